"""The command: all sections in order, each told when it is there, then one JSON file and the exit status."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from edgefuse import bundle
from edgefuse.device import Device
from edgefuse.doctor import shipped_bundle
from edgefuse.errors import BundleError, DeviceError

from . import kernels, ticks
from .facts import facts_of, is_real
from .figures import MISSING, Row, Section
from .kernels import OPERATORS_OF_MAPS, Sizes
from .table import describe, describe_facts

SCHEMA = 1
ROUNDS = 50
USAGE = """Measures edgefuse on this machine's GPU. Status 0: all was right, or there is no GPU; 1: something was WRONG,
or EDGEFUSE_REQUIRE_GPU is set and it cannot be used."""

Job = tuple[str, Callable[[], Section]]


def measured(
    device: Device, paths: Sequence[Path], rounds: int, sizes: Sizes, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Everything, as JSON; each section is told when it ends."""
    facts = facts_of(device)
    real, wrong, told = is_real(facts), list[str](), list[dict[str, Any]]()
    tell(describe_facts(facts))
    for section in _sections(device, paths, rounds, sizes):
        told.append(section.as_json(real))
        wrong += section.wrong()
        tell(describe(told[-1]))
    rows = [row for section in told for row in section["rows"]]
    ticked = any(row["name"] == ticks.ENGINE and row["status"] != MISSING for row in rows)
    return {"schema": SCHEMA, "facts": facts, "rounds": rounds, "sections": told, "ticked": ticked, "wrong": wrong}


def _sections(device: Device, paths: Sequence[Path], rounds: int, sizes: Sizes) -> Iterator[Section]:
    """The ceilings first, which others are measured by."""
    ceilings = attempted("ceilings of the device", partial(kernels.ceilings, device, rounds, sizes))
    yield ceilings
    copy = ceilings.rows[0] if ceilings.rows else Row(kernels.COPY, wrong="was not measured")
    for title, job in _jobs(device, paths, copy, rounds, sizes):
        yield attempted(title, job)


def _jobs(device: Device, paths: Sequence[Path], copy: Row, rounds: int, sizes: Sizes) -> Iterator[Job]:
    for dims, width in sizes.vectors:
        yield f"MultConcat {list(dims)}", partial(kernels.vectors, device, dims, width, rounds, sizes)
    for shape in sizes.maps:
        for name in OPERATORS_OF_MAPS:
            yield f"{name} of maps {list(shape)}", partial(kernels.maps, device, name, shape, copy, rounds, sizes)
    for path in paths:
        yield f"tick of {path}", partial(ticks.whole_tick, path, rounds)
    for path in paths:
        yield f"explained tick of {path}", partial(ticks.explained_tick, path, rounds)


def attempted(title: str, job: Callable[[], Section]) -> Section:
    """A section; one that fails does not take the others with it."""
    try:
        return job()
    except Exception as error:  # noqa: BLE001 (whatever a device or a peer raises)
        return Section(title, "", failed=f"{type(error).__name__}: {error}")


def main(argv: Sequence[str], sizes: Sizes | None = None) -> int:
    """Measure what can be measured here; 1 where something was wrong."""
    asked = _parser().parse_args(argv)
    try:
        device = Device(0)
    except DeviceError as error:
        print(f"nothing was measured, as there is no GPU to use: {error}")
        return int(_required())
    paths = [shipped_bundle(), *asked.bundle]
    report = measured(device, paths, asked.rounds, sizes or Sizes(), partial(print, flush=True))
    if _required() and not report["ticked"]:
        report["wrong"].append("the engine has not run on the GPU: see why its ticks are not available")
    if asked.out is not None:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    print("\n".join(["", *(f"WRONG: {what}" for what in report["wrong"])]) if report["wrong"] else "\nall was right")
    return 1 if report["wrong"] else 0


def _required() -> bool:
    """Is it a failure where nothing can be measured?"""
    return bool(os.environ.get("EDGEFUSE_REQUIRE_GPU"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gpu_numbers", description=USAGE)
    parser.add_argument("--out", type=Path, metavar="FILE", help="the figures as JSON")
    parser.add_argument("--rounds", type=_count, default=ROUNDS, metavar="N", help=f"of each race ({ROUNDS})")
    parser.add_argument(
        "--bundle", type=_bundle, action="append", default=[], metavar="EFB", help="one more to tick with"
    )
    return parser


def _bundle(text: str) -> Path:
    try:
        bundle.read(text)
    except BundleError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return Path(text)


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return count
