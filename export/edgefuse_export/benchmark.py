"""The operators compared on the digits: which, in which processes, and what need not be done again.

A training is one (operator, seed, fold): the seed deals the folds and, with the fold, draws weights, order and masks.
So all operators meet the same splits, the same masks and the same first weights of the encoders.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from edgefuse import algebra, joins
from edgefuse import operators as operator_table
from edgefuse.operators import OPERATORS
from edgefuse_export.benchmark_store import Outcome, Store, Unit
from edgefuse_export.benchmark_training import Protocol, measure
from edgefuse_export.digits import VIEWS
from edgefuse_export.errors import ExportError
from edgefuse_export.labelled import Labelled
from edgefuse_export.workers import worked

Progress = Callable[[Iterator[Outcome], int], Iterator[Outcome]]


def applicable(operator: str) -> bool:
    """Can this operator join six vectors, and does the table know all of it?"""
    return OPERATORS[operator].exactly in (None, len(VIEWS)) and operator != "graph"


def chosen(names: str | None) -> list[str]:
    """The operators of a list `a,b,c`, without repeats; all that are applicable for None. ExportError naming others."""
    if names is None:
        return [name for name in OPERATORS if applicable(name)]
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",")))
    known = ", ".join(filter(applicable, OPERATORS))
    if problems := [f"unknown operator {name!r}; known: {known}" for name in wanted if name not in OPERATORS]:
        raise ExportError(*problems)
    if problems := [f"operator {name!r} cannot join {len(VIEWS)} vectors" for name in wanted if not applicable(name)]:
        raise ExportError(*problems)
    return wanted


def benchmark(
    data: Labelled, operators: Sequence[str], protocol: Protocol, folder: Path, workers: int, progress: Progress
) -> list[Outcome]:
    """Every operator with every seed on every fold; what `folder` already holds of just this is not done again.

    The outcomes are the same for any number of workers. `progress` is handed the iterator over what is still to do,
    with its length, and passes it on. Raises ExportError.
    """
    store = Store(folder, fingerprint(data, protocol))
    units = [Unit(*u) for u in itertools.product(operators, range(protocol.seeds), range(protocol.folds))]
    missing = [unit for unit in units if unit not in store.outcomes]
    with worked(functools.partial(measure, data, protocol), missing, workers) as outcomes:
        for outcome in progress(outcomes, len(missing)):
            store.add(outcome)
    return [store.outcomes[unit] for unit in units]


def fingerprint(data: Labelled, protocol: Protocol) -> str:
    """Of all that outcomes depend on: the data, the protocol, torch, and the sources that make, train and measure."""
    settings = {name: value for name, value in asdict(protocol).items() if name != "seeds"}
    digest = hashlib.sha256(json.dumps([settings, torch.__version__]).encode())
    for array in (*data.tensors.values(), data.labels):
        digest.update(np.ascontiguousarray(array).tobytes())
    tables = [Path(str(module.__file__)) for module in (algebra, joins, operator_table)]
    for file in [*sorted(Path(__file__).parent.rglob("*.py")), *tables]:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
