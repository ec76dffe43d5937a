"""PipedFile: a file for a library that hangs or is silent when a disk is full: it writes into a pipe, and we write."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from edgefuse.sinks.partfile import PartFile

_CHUNK_BYTES = 1 << 18


class PipedFile:
    """What goes into `entrance`, a path to be opened once for writing, comes out in a PartFile; see there.

    The one who writes is never held up by a disk that fails, and is done when it closes its end.
    """

    def __init__(self, path: Path) -> None:
        self._file = PartFile(path)
        self._exit, self._held = os.pipe()
        self.entrance = f"/proc/self/fd/{self._held}"
        self._thread = threading.Thread(target=self._run, name="edgefuse file", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """A SinkError where something could not be written."""
        self._file.check()

    def close(self, whole: bool) -> None:
        """Wait until all has been written, and close the file; a SinkError where that has failed."""
        os.close(self._held)
        self._thread.join()
        self._file.close(whole)

    def _run(self) -> None:
        while data := os.read(self._exit, _CHUNK_BYTES):
            self._file.write(data)
        os.close(self._exit)
