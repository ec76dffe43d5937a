"""Aside: a second thread that takes part in the work of a tick, where there is enough of it to be worth waking it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable

from edgefuse.pools import cores

Job = Callable[[], object]


class Aside:
    """`share` does jobs in the calling thread and in one of its own, which begins at the first call. No other order.

    Jobs are worth sharing where they let go of Python's lock: kernels, OpenCV, large copies.
    """

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._called, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._failed: list[BaseException] = []
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def useful(self) -> bool:
        """Is there a core for it?"""
        return not self._closed and cores() > 1

    def share(self, jobs: Iterable[Job]) -> None:
        """Do all of them, the first ones first, and come back when they are done. Raises what a job raises."""
        self._jobs.extend(jobs)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="edgefuse aside", daemon=True)
            self._thread.start()
        self._called.release()
        self._work()
        if not self._called.acquire(blocking=False):  # it has heard the call: else nothing is left for it to do
            self._done.acquire()
        if self._failed:
            raise self._failed.pop()

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._called.release()

    def _run(self) -> None:
        while True:
            self._called.acquire()
            if self._closed:
                return
            self._work()
            self._done.release()

    def _work(self) -> None:
        while self._jobs:
            try:
                job = self._jobs.popleft()
            except IndexError:  # the other thread was quicker
                return
            try:
                job()
            except BaseException as error:  # noqa: BLE001 (it is raised in the thread that asked)
                self._failed.append(error)
