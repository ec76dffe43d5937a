"""The seam for devices that may go away: opened again, with pauses that grow, until they are back or it is the end."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

from edgefuse.errors import SourceError
from edgefuse.sources.base import Source
from edgefuse.types import Sample

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 8.0


class LiveDevice(Source):
    """A live source of one device. Subclass it, give `_open`, `_read` and `_shut`.

    Opened at once, so that a device that is not there is a SourceError; when it goes away later that is a problem, and
    it is opened again and again, at first after half a second, then after twice as long each time up to 8 s.
    """

    live = True
    first_pause_s = FIRST_PAUSE_S

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place
        self.ended = threading.Event()
        try:
            self._handle = self._open()
        except OSError as error:
            raise SourceError(f"cannot be opened: {error.strerror or error}", place=place) from error

    def samples(self) -> Iterator[Sample]:
        """What the device sends until `close`, from however many times that it is there."""
        handle, pause_s = self._handle, self.first_pause_s
        while True:
            try:
                for sample in self._read(handle):
                    pause_s = self.first_pause_s
                    yield sample
            except OSError:
                pass  # told below, as every other way to go
            finally:
                self._shut(handle)
            if not self.ended.is_set():
                self.report(self.place, "went away: it is opened again when it is back")
            again, pause_s = self._again(pause_s)
            if again is None:
                return
            handle = again

    def close(self) -> None:
        self.ended.set()

    def _again(self, pause_s: float) -> tuple[Any, float]:
        """The device once it is back, or None at the end; and how long to wait the next time."""
        while not self.ended.wait(pause_s):
            pause_s = min(2.0 * pause_s, LONGEST_PAUSE_S)
            try:
                return self._open(), pause_s
            except OSError:
                continue
        return None, pause_s

    @abstractmethod
    def _open(self) -> Any:
        """The open device; OSError where that cannot be."""

    @abstractmethod
    def _read(self, handle: Any) -> Iterator[Sample]:
        """What it sends, until it goes away (return, or OSError) or `self.ended` is set. It never waits for long."""

    @abstractmethod
    def _shut(self, handle: Any) -> None:
        """Let go of it; raises nothing."""
