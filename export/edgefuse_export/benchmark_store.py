"""Finished trainings of the operator benchmark, a JSON line appended as each ends, so that none is done twice."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from edgefuse.bundle import strict_json
from edgefuse.errors import BundleError
from edgefuse.schema import Finite, Fraction, Strict, complaint, validate
from edgefuse_export.errors import ExportError

NAME = "operators.jsonl"
JOINER = "+"  # of the streams of a subset


@dataclass(frozen=True, slots=True)
class Unit:
    """One training: which operator, which seed, and which fold is left out."""

    operator: str
    seed: int
    fold: int


class Outcome(Strict):
    """What became of a unit: mean loss of the last epoch (None if not finite), and subset, as `a+b` -> accuracy."""

    operator: str
    seed: int
    fold: int
    loss: Finite | None
    accuracy: dict[str, Fraction]

    @property
    def unit(self) -> Unit:
        return Unit(self.operator, self.seed, self.fold)


class Store:
    """`operators.jsonl` in a folder: `outcomes` has those of this fingerprint, whatever else the file holds.

    A last line that was cut off, by a kill or a full disk, is taken out. ExportError naming file and line for anything
    else that is not an outcome, and where the file cannot be read or written.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.path, self.fingerprint = folder / NAME, fingerprint
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lines = self._whole_lines()
        except OSError as error:
            raise self._failure(error) from error
        outcomes = [self._outcome(i, line) for i, line in enumerate(lines, 1)]
        self.outcomes: dict[Unit, Outcome] = {o.unit: o for o in outcomes if o is not None}

    def add(self, outcome: Outcome) -> None:
        """Append one line, and have it on the disk before the next training ends."""
        document = {"fingerprint": self.fingerprint, **outcome.model_dump(mode="json")}
        try:
            with self.path.open("ab") as file:
                file.write(json.dumps(document, allow_nan=False).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._failure(error) from error
        self.outcomes[outcome.unit] = outcome

    def _whole_lines(self) -> list[bytes]:
        if not self.path.exists():
            return []
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(self.path, whole)  # or the next line would be written behind the torn one
        return data[:whole].splitlines()

    def _outcome(self, number: int, line: bytes) -> Outcome | None:
        place = f"{self.path}: line {number}"
        try:
            document = dict(strict_json(line, place))
            return validate(Outcome, document) if document.pop("fingerprint") == self.fingerprint else None
        except BundleError as error:
            raise ExportError(str(error)) from error
        except (ValueError, TypeError, KeyError) as error:
            what = complaint(error) if isinstance(error, ValueError) else "not an outcome of the benchmark"
            raise ExportError(f"{place}: {what}") from error

    def _failure(self, error: OSError) -> ExportError:
        return ExportError(f"{self.path}: {error.strerror or error}")
