"""JSON lines: one result a line, written beside the target and moved into place only when it is whole."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from edgefuse.errors import SinkError
from edgefuse.files import part_of
from edgefuse.modalities.base import contract_reason
from edgefuse.modalities.gps import GPS, NO_FIX
from edgefuse.sinks.base import Sink
from edgefuse.types import Result, Sample


class JsonlSink(Sink):
    """Writes results to `path`, which appears complete at the end of a `with` block or not at all.

    Until then, and after a failure for good, the lines are in `path` + ".part", cut after the last whole line. A path
    that is no regular file (a pipe, a device) is written directly.

    kinds  stream -> modality kind; of those of kind gps each line has the newest fix that had come by then, trusted or
           not, as `fixes: {stream: [latitude_deg, longitude_deg]}`, so that a report can draw where it happened
    """

    def __init__(self, path: str | os.PathLike[str], kinds: Mapping[str, str] | None = None) -> None:
        self.path = Path(path)
        self._kinds = kinds or {}
        self._fixes: dict[str, list[float]] = {}
        self._direct = self.path.exists() and not self.path.is_file()
        self._target = self.path if self._direct else part_of(self.path)
        self._lines = 0
        self._whole_bytes = 0
        self._file: BinaryIO | None = None

    def __enter__(self) -> JsonlSink:
        """Open for writing; a SinkError when that is not possible."""
        try:
            self._file = self._target.open("wb", buffering=0)
        except OSError as error:
            raise SinkError(f"cannot be opened for writing: {error.strerror}", place=str(self.path)) from error
        return self

    def sample(self, stream: str, sample: Sample) -> None:
        """Remember where the receiver says that it is."""
        fix = sample.payload
        if self._kinds.get(stream) != "gps" or contract_reason(fix, GPS.dtype, (7,)) is not None:
            return
        if np.isfinite(fix[:2]).all() and fix[6] > NO_FIX:
            self._fixes[stream] = [round(float(degrees), 8) for degrees in fix[:2]]

    def write(self, result: Result, truth: Mapping[str, str] | None = None) -> None:
        """Append one line; a SinkError when it cannot be stored whole."""
        document = {**result.as_json(), **({"truth": dict(truth)} if truth is not None else {})}
        if self._fixes:
            document["fixes"] = dict(self._fixes)
        line = json.dumps(document, allow_nan=False, separators=(",", ":")).encode() + b"\n"
        assert self._file is not None, "write belongs inside the with block"
        try:
            self._write_whole(line)
        except OSError as error:
            raise self._failure(error) from error
        self._lines += 1
        self._whole_bytes += len(line)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        try:
            if not self._direct:
                self._file.truncate(self._whole_bytes)
                os.fsync(self._file.fileno())
            self._file.close()
            if kind is None and not self._direct:
                self._target.replace(self.path)
        except OSError as failure:
            if kind is None:
                raise self._failure(failure) from failure

    def _write_whole(self, line: bytes) -> None:
        assert self._file is not None
        view = memoryview(line)
        while view:
            view = view[self._file.write(view) :]

    def _failure(self, error: OSError) -> SinkError:
        kept = "" if self._direct else f"; the {self._lines} whole results so far are in {self._target}"
        return SinkError(f"cannot be written: {error.strerror or error}{kept}", place=str(self.path))
