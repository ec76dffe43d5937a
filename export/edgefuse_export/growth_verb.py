"""The verb `growth`: what an answer costs on this machine as streams, embeddings, pictures, clouds and ticks grow."""

from __future__ import annotations

import argparse
from pathlib import Path

from edgefuse.command import counted, finish, log
from edgefuse.progress import until_stopped


def options(parser: argparse.ArgumentParser) -> None:
    """Which axes, and how long."""
    parser.add_argument("--axes", help="such as streams,points (default: all)")
    parser.add_argument("--rounds", type=counted, default=300, help="answers of each contender (default 300)")
    parser.add_argument("--out", type=Path, help="also write the tables as Markdown")


def growth(arguments: argparse.Namespace) -> int:
    """Measure and print the tables."""
    from edgefuse.errors import UsageError
    from edgefuse.files import write_whole
    from edgefuse_export.growth import AXES, grow, markdown
    from edgefuse_export.run import progress

    axes = list(AXES) if arguments.axes is None else [name.strip() for name in arguments.axes.split(",")]
    if unknown := [name for name in axes if name not in AXES]:
        raise UsageError(f"growth: no axis {unknown[0]!r}; there are {', '.join(AXES)}")
    found, stopped = until_stopped(grow(axes, arguments.rounds, progress))
    if stopped:
        log(f"stopped after {found[-1].axis} {found[-1].value}")
    tables = markdown(found)
    print(tables)
    if arguments.out is not None:
        write_whole(arguments.out, tables.encode())
    return finish(arguments, {"growth": [point.as_json() for point in found]}, 2 if stopped else 0)
