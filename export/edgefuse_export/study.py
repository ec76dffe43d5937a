"""The study of absence: one model for every subset of its streams, against a specialist trained for just that subset.

A training is one (role, streams, seed). The bundle is trained with the task's recipe for absence and measured on every
subset; `whole` is trained without it; a specialist has the streams of its subset only. All have the same budget.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from edgefuse.operators import subsets
from edgefuse.schema import Finite, Strict
from edgefuse_export.evaluate import right_answers
from edgefuse_export.labelled import Labelled
from edgefuse_export.seeded import alone
from edgefuse_export.settings import Settings
from edgefuse_export.store import Store
from edgefuse_export.task import Task
from edgefuse_export.tasks import open_task
from edgefuse_export.training import Progress, train
from edgefuse_export.workers import worked

NAME = "absence.jsonl"
JOINER = "+"  # of the streams of a subset
Role = Literal["bundle", "whole", "specialist"]
Rows = NDArray[np.bool_]

# What trainings depend on, in this package: a change elsewhere leaves finished ones good.
SOURCES = (
    *("training", "augment", "dropout", "encoders", "fusion", "joins", "models", "graphs"),
    *("site_model", "sequences", "sequence_augment"),
)


@dataclass(frozen=True, slots=True)
class Unit:
    """One training: its role, the streams it has, joined, and its seed."""

    role: Role
    streams: str
    seed: int


class Outcome(Strict):
    """What became of a unit: mean loss of the last epoch, and for each subset which test rows it answered right.

    right: subset, as `a+b` -> the n bits, packed and in base 64.
    """

    role: Role
    streams: str
    seed: int
    loss: Finite | None
    n: int
    right: dict[str, str]

    @property
    def unit(self) -> Unit:
        return Unit(self.role, self.streams, self.seed)

    def rows(self, subset: str) -> Rows:
        """bool [n]: which test rows were answered right from this subset."""
        return unpacked(self.right[subset], self.n)


_Store = Store[Unit, Outcome]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a study is of: the task by its name, the settings, how many seeds, and where its data and trainings lie."""

    data: str
    settings: Settings
    seeds: int
    work: Path


def study(plan: Plan, workers: int, progress: Progress) -> list[Outcome]:
    """Every training of the plan; what `work` already holds of just this is not done again."""
    task = open_task(plan.data, plan.settings, plan.work, progress)
    # Apart, as a change of the recipe for absence leaves good what was trained without it.
    bundles, others = (_store(plan, task, role) for role in ("bundle", "whole"))
    stores: dict[Role, _Store] = {"bundle": bundles, "whole": others, "specialist": others}
    units = list(units_of(list(task.train.tensors), plan.seeds))
    missing = [unit for unit in units if unit not in stores[unit.role].outcomes]
    with worked(functools.partial(measure, plan), missing, workers) as outcomes:
        for outcome in progress(outcomes, len(missing), "trainings"):
            stores[outcome.role].add(outcome)
    return [stores[unit.role].outcomes[unit] for unit in units]


def _store(plan: Plan, task: Task, role: Role) -> _Store:
    return Store(plan.work / NAME, fingerprint(plan, task, role), Outcome, lambda outcome: outcome.unit)


def units_of(names: list[str], seeds: int) -> Iterator[Unit]:
    """Seed by seed: the bundle, the model without training for absence, and a specialist for each smaller subset.

    The specialist of all streams is the model without training for absence.
    """
    whole = JOINER.join(names)
    for seed in range(seeds):
        yield Unit("bundle", whole, seed)
        yield Unit("whole", whole, seed)
        yield from (Unit("specialist", JOINER.join(s), seed) for s in subsets(names) if len(s) < len(names))


def measure(plan: Plan, unit: Unit) -> Outcome:
    """Do one training, in one thread, and ask it about the test rows: the whole one too about every subset."""
    task, names = _task(plan), unit.streams.split(JOINER)
    settings = replace(_settings(plan, unit.role), seed=unit.seed)
    asked = [tuple(names)] if unit.role == "specialist" else subsets(names)
    with alone(unit.seed):
        trained = train(task, settings, unseen, only=frozenset(names))
        right = right_answers(trained.model, task.test.only(frozenset(names)), task.output.name, asked)
    loss = trained.losses[-1]
    kept = {JOINER.join(s): packed(rows) for s, rows in zip(asked, right, strict=True)}
    return Outcome(**asdict(unit), loss=loss if math.isfinite(loss) else None, n=len(task.test), right=kept)


def _settings(plan: Plan, role: Role) -> Settings:
    """What a role is trained with: only the bundle is answered from subsets."""
    if role == "bundle":
        return plan.settings
    return replace(plan.settings, subsets=0, drop_rate=0.0, drop_rates={}, whole_weight=1.0, distil=0.0)


def fingerprint(plan: Plan, task: Task, role: Role = "bundle") -> str:
    """Of all that outcomes depend on: data, settings but the seed, torch, and the sources that make and train."""
    name = plan.data.partition(":")[0].replace("-", "_")
    return fingerprint_of(_settings(plan, role), (task.train, task.test), (*SOURCES, f"tasks/{name}"))


def fingerprint_of(settings: Settings, data: Iterable[Labelled], sources: Iterable[str]) -> str:
    """Of settings but the seed, torch, data, and files and folders of this package."""
    said = {k: v for k, v in settings.as_json().items() if k not in ("seed", "minutes")}
    digest = hashlib.sha256(json.dumps([said, torch.__version__], sort_keys=True).encode())
    for part in data:
        for array in (*part.tensors.values(), part.labels):
            digest.update(np.ascontiguousarray(array).tobytes())
    here = Path(__file__).parent
    for name in sources:
        for file in sorted((here / name).glob("*.py")) if (here / name).is_dir() else [here / f"{name}.py"]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


@functools.lru_cache(maxsize=1)
def _opened(data: str, settings: str, work: Path) -> Task:
    return open_task(data, Settings(**json.loads(settings)), work, unseen)


def _task(plan: Plan) -> Task:
    """The task, once a process."""
    return _opened(plan.data, json.dumps(plan.settings.as_json()), plan.work)


def unseen(items: Iterator[Any], total: int, what: str) -> Iterator[Any]:
    """The items, without a bar: for workers."""
    yield from items


def packed(rows: Rows) -> str:
    """bool [n] as its bits in base 64."""
    return base64.b64encode(np.packbits(rows).tobytes()).decode()


def unpacked(bits: str, n: int) -> Rows:
    """bool [n], as `packed` took it."""
    return np.unpackbits(np.frombuffer(base64.b64decode(bits), np.uint8), count=n).astype(np.bool_)
