"""Independent pieces of work in a few processes of one thread each; leaving early waits for what runs."""

from __future__ import annotations

import itertools
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import TypeVar

from edgefuse_export.errors import ExportError

Unit = TypeVar("Unit")
Done = TypeVar("Done")


@contextmanager
def worked(work: Callable[[Unit], Done], units: Sequence[Unit], workers: int) -> Iterator[Iterator[Done]]:
    """The outcomes as they come. Leaving early waits for the pieces that run, and begins no other."""
    if workers == 1 or len(units) <= 1:
        yield (work(unit) for unit in units)
        return
    # A fork would copy the locks of torch's threads in whatever state they are.
    executor = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))

    def begin(some: Iterator[Unit]) -> set[Future[Done]]:
        return {executor.submit(work, unit) for unit in some}

    try:
        yield _in_turn(iter(units), workers, begin)
    except BrokenProcessPool as error:
        raise ExportError("a worker process was killed; what was finished is kept") from error
    finally:
        executor.shutdown(cancel_futures=True)


def _in_turn(
    units: Iterator[Unit], workers: int, begin: Callable[[Iterator[Unit]], set[Future[Done]]]
) -> Iterator[Done]:
    with _deaf_to_interrupts():
        running = begin(itertools.islice(units, workers))
    while running:
        done, running = wait(running, return_when=FIRST_COMPLETED)
        running |= begin(itertools.islice(units, len(done)))
        yield from (future.result() for future in done)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started in here are deaf to Ctrl-C, even while they import: it is their parent's to end them.

    Their parent hears one that comes meanwhile as soon as it leaves: the signal is held back, not thrown away.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    resource_tracker.ensure_running()  # which lifts the mask when it begins
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
