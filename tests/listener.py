"""What a live source gives, taken in a thread of its own, and a wait for something to become true."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from edgefuse.sources.base import Source
from edgefuse.types import Sample

PATIENCE_S = 30.0


def until(true: Callable[[], bool], each: Callable[[], None] = lambda: None) -> None:
    """Wait, and do `each` now and then, until it is true; an AssertionError where it never is."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        each()
        time.sleep(0.005)


class Listener:
    """Use it in a `with` block: the source is closed at its end, and its iterator must then stop."""

    def __init__(self, source: Source) -> None:
        self.source, self.samples = source, list[Sample]()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.source.close()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def wait(self, count: int) -> list[Sample]:
        until(lambda: len(self.samples) >= count)
        return self.samples

    def _run(self) -> None:
        for sample in self.source.samples():
            self.samples.append(sample)
