"""Beside: a sink's work in a thread of its own, so that no tick waits for a disk, a network or a viewer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType

from edgefuse.errors import SinkError
from edgefuse.sinks.base import Sink
from edgefuse.types import Result, Sample

WAITING = 64  # things that may wait for a sink: two seconds of a 30 Hz camera
_LOOK_S = 0.2  # how often somebody who waits looks whether the thread still lives


class Beside(Sink):
    """Hands everything on to `sink`, in order.

    lossy    where it does not keep up, what comes then is left out and counted in `dropped`, as a live source must not
             be held up; else whoever hands over waits
    dropped  results and samples that were left out
    """

    def __init__(self, sink: Sink, *, lossy: bool) -> None:
        self._sink, self._lossy = sink, lossy
        self.dropped = 0
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue(WAITING)
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="edgefuse sink", daemon=True)

    def __enter__(self) -> Beside:
        self._sink.__enter__()
        self._thread.start()
        return self

    def write(self, result: Result, truth: Mapping[str, str] | None = None) -> None:
        self._hand(partial(self._sink.write, result, truth))

    def sample(self, stream: str, sample: Sample) -> None:
        self._hand(partial(self._sink.sample, stream, sample))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._thread.is_alive() and not self._put(None):
            pass
        self._thread.join()
        failed = self._failed if kind is None else error
        self._sink.__exit__(type(failed) if failed is not None else None, failed, trace)
        if kind is None:
            self._raise()

    def _hand(self, work: Callable[[], None]) -> None:
        self._raise()
        if self._lossy:
            try:
                self._waiting.put_nowait(work)
            except queue.Full:
                self.dropped += 1
            return
        while not self._put(work):
            self._raise()

    def _put(self, work: Callable[[], None] | None) -> bool:
        try:
            self._waiting.put(work, timeout=_LOOK_S)
        except queue.Full:
            return False
        return True

    def _run(self) -> None:
        try:
            while (work := self._waiting.get()) is not None:
                work()
        except BaseException as error:  # noqa: BLE001 (raised again where somebody can hear it)
            self._failed = error

    def _raise(self) -> None:
        if self._failed is not None:
            if isinstance(self._failed, SinkError):
                raise SinkError(self._failed.what, place=self._failed.place) from self._failed
            raise self._failed
