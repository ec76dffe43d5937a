"""What `retrofit` and `quantize` are told alike: a bundle, data to fit on and to measure on, and where to write."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgefuse_export.labelled import Labelled


def options(parser: argparse.ArgumentParser) -> None:
    """Bundle, data, output and places."""
    parser.add_argument("bundle", help="an .efb file")
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--data", help="a task: fitted on its training rows, measured on the others")
    data.add_argument("--labelled", type=Path, help="a folder of STREAM.npy and labels.npy; see `datasheet`")
    parser.add_argument("--output", help="the output that is measured (default: the first)")
    parser.add_argument("--work", type=Path, default=Path("runs/datasheet"), help="where data that is made is kept")
    parser.add_argument("--out", type=Path, help="the bundle to write (default: the same file)")


def data_of(arguments: argparse.Namespace) -> tuple[Labelled, Labelled]:
    """What is fitted on and what is measured on: the halves of a folder, or a task's rows."""
    from edgefuse_export.labelled import halves, read_labelled
    from edgefuse_export.run import progress
    from edgefuse_export.settings import Settings
    from edgefuse_export.tasks import open_task

    if arguments.labelled is not None:
        return halves(read_labelled(arguments.labelled))
    task = open_task(arguments.data, Settings(), arguments.work, progress)
    return task.train, task.test
