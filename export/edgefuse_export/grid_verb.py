"""The verb `grid`: the RGB-D study's table on clips of the simulated site; resumable."""

from __future__ import annotations

import argparse
from pathlib import Path

from edgefuse.command import counted, finish


def options(parser: argparse.ArgumentParser) -> None:
    """How often, with how many processes, and where it is kept."""
    parser.add_argument("--seeds", type=counted, default=3, help="how often everything is trained (default 3)")
    parser.add_argument("--workers", type=counted, default=2, help="processes, one thread each (default 2)")
    parser.add_argument("--epochs", type=counted, help="passes over the clips")
    parser.add_argument("--work", type=Path, default=Path("runs/grid"), help="where clips and trainings are kept")
    parser.add_argument("--out", type=Path, help="also write the tables as Markdown")


def grid(arguments: argparse.Namespace) -> int:
    """Train what is missing, and print the tables."""
    from edgefuse.files import write_whole
    from edgefuse_export import grid as grids
    from edgefuse_export.errors import kept_in
    from edgefuse_export.grid_table import as_json, cells, markdown
    from edgefuse_export.run import progress

    given = {} if arguments.epochs is None else {"epochs": arguments.epochs}
    plan = grids.Plan(grids.settings_of(**given), arguments.seeds, arguments.work)
    outcomes = grids.grid(plan, arguments.workers, progress)
    page = markdown(outcomes)
    print(page)
    if arguments.out is not None:
        with kept_in(arguments.out):
            write_whole(arguments.out, page.encode())
    return finish(arguments, {"cells": as_json(cells(outcomes))})
