"""Finished pieces of a long task, a JSON line appended as each ends, so that none is done twice."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Generic, TypeVar

from edgefuse.bundle import strict_json
from edgefuse.complaints import complaint
from edgefuse.errors import BundleError
from edgefuse.schema import Strict, document_of, validate
from edgefuse_export.errors import ExportError

Done = TypeVar("Done", bound=Strict)
Unit = TypeVar("Unit", bound=Hashable)


class Store(Generic[Unit, Done]):
    """A file of JSON lines: `outcomes` has those of this fingerprint, by their unit, whatever else the file holds.

    A last line that was cut off, by a kill or a full disk, is taken out. ExportError naming file and line for anything
    else that is not an outcome, and where the file cannot be read or written.
    """

    def __init__(self, path: Path, fingerprint: str, schema: type[Done], unit: Callable[[Done], Unit]) -> None:
        self.path, self.fingerprint, self._schema, self._unit = path, fingerprint, schema, unit
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = self._whole_lines()
        except OSError as error:
            raise self._failure(error) from error
        outcomes = [self._outcome(i, line) for i, line in enumerate(lines, 1)]
        self.outcomes: dict[Unit, Done] = {unit(o): o for o in outcomes if o is not None}

    def add(self, outcome: Done) -> None:
        """Append one line, and have it on the disk before the next piece ends."""
        document = {"fingerprint": self.fingerprint, **document_of(outcome)}
        try:
            with self.path.open("ab") as file:
                file.write(json.dumps(document, allow_nan=False).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._failure(error) from error
        self.outcomes[self._unit(outcome)] = outcome

    def _whole_lines(self) -> list[bytes]:
        if not self.path.exists():
            return []
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(self.path, whole)  # or the next line would be written behind the torn one
        return data[:whole].splitlines()

    def _outcome(self, number: int, line: bytes) -> Done | None:
        place = f"{self.path}: line {number}"
        try:
            document = dict(strict_json(line, place))
            return validate(self._schema, document) if document.pop("fingerprint") == self.fingerprint else None
        except BundleError as error:
            raise ExportError(str(error)) from error
        except (ValueError, TypeError, KeyError) as error:
            what = complaint(error) if isinstance(error, ValueError) else "not an outcome of this command"
            raise ExportError(f"{place}: {what}") from error

    def _failure(self, error: OSError) -> ExportError:
        return ExportError(f"{self.path}: {error.strerror or error}")
