"""The tasks that the project can train on, by the name that `--data` gives: one file each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from edgefuse_export.errors import ExportError
from edgefuse_export.settings import Settings
from edgefuse_export.task import Task
from edgefuse_export.tasks import digits, hydraulic, rgbd, site, utd_mhad
from edgefuse_export.training import Progress

Opener = Callable[[Path | None, Settings, Path, Progress], Task]

TASKS: Mapping[str, Opener] = {
    "site": site.open_task,
    "digits": digits.open_task,
    "utd-mhad": utd_mhad.open_task,
    "hydraulic": hydraulic.open_task,
    "rgbd": rgbd.open_task,
}


def open_task(name: str, settings: Settings, work: Path, progress: Progress) -> Task:
    """The task that `NAME` or `NAME:DIR` means; work: a folder where data that is made is kept. ExportError."""
    kind, _, place = name.partition(":")
    if kind not in TASKS:
        raise ExportError(f"no data {name!r}; known: {', '.join(TASKS)}, those of a recording as NAME:DIR")
    return TASKS[kind](Path(place) if place else None, settings, work, progress)
