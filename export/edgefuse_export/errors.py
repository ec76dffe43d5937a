"""The one error of the workstation side: a model cannot become a bundle, and why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edgefuse.errors import EdgefuseError

if TYPE_CHECKING:
    from edgefuse_export.report import GateReport


class ExportError(EdgefuseError):
    """A model, its samples or a training run cannot be exported; `problems` lists everything that was found wrong.

    `report` is the gate's report where the gate was reached, None where the model did not get that far.
    """

    def __init__(self, *problems: str, report: GateReport | None = None) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
        self.report = report


@contextmanager
def kept_in(place: Path) -> Iterator[None]:
    """What the disk refuses inside, as an ExportError that names the place."""
    try:
        yield
    except OSError as error:
        raise ExportError(f"{place}: {error.strerror or error}") from error
