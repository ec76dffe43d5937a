"""PartFile: a file that a library writes, at its place once it is whole, in `.part` before; its errors are kept."""

from __future__ import annotations

import os
from pathlib import Path

from edgefuse.errors import SinkError
from edgefuse.files import part_of


class PartFile:
    """What a library writes into that cannot be trusted to tell when it could not.

    After a failure everything is taken and left out, so that nobody waits or complains; `check` raises it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._failed: OSError | None = None
        try:
            self._file = part_of(path).open("wb", buffering=0)
        except OSError as error:
            raise SinkError(f"cannot be opened for writing: {error.strerror}", place=str(path)) from error

    def write(self, data: bytes | bytearray | memoryview) -> int:
        view = memoryview(data if self._failed is None else b"")
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            self._failed = error
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def flush(self) -> None:
        pass

    def check(self) -> None:
        """A SinkError where something could not be written."""
        if self._failed is not None:
            what = f"cannot be written: {self._failed.strerror}; what was written so far is in {part_of(self.path)}"
            raise SinkError(what, place=str(self.path)) from self._failed

    def close(self, whole: bool) -> None:
        """Close it, and where it is whole, move it to its place; a SinkError where that, or a write, has failed."""
        try:
            if self._failed is None:
                os.fsync(self._file.fileno())
            self._file.close()
            if whole and self._failed is None:
                part_of(self.path).replace(self.path)
        except OSError as error:
            self._failed = error
        if whole:
            self.check()
