"""Turns: contenders run round by round, by events around batches of launches and by the host's clock, then checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from edgefuse.bench.kernels import TOLERANCE
from edgefuse.bench.timing import interleave
from edgefuse.types import F64, Array

from .figures import Row

WARM_UP = 5  # launches or calls that are not timed


class Queue(Protocol):
    """What work is queued on, and marks in it, as of a `Device`."""

    def mark(self, again: int = -1) -> int: ...
    def wait(self) -> None: ...
    def elapsed_ms(self, begin: int, end: int) -> float: ...


@dataclass(frozen=True, slots=True)
class Contender:
    """Whoever is timed.

    run        queue it once
    result     what the last run gave, after waiting for it
    truth      what that should be; tolerance: and how far it may be off, as a part of the largest value
    """

    run: Callable[[], object]
    queue: Queue
    result: Callable[[], Array]
    truth: Array
    tolerance: float = TOLERANCE
    counts: Mapping[str, float] = field(default_factory=dict)

    def call(self) -> None:
        """One run, and wait for it."""
        self.run()
        self.queue.wait()

    def wrong(self) -> str | None:
        """Why its result is not the truth, if it is not."""
        found = self.result()
        if found.shape != self.truth.shape:
            return f"gives {found.shape}, not {self.truth.shape}"
        allowed = self.tolerance * float(np.abs(self.truth).max(initial=0.0))
        off = float(np.abs(found - self.truth).max(initial=0.0))
        return None if off <= allowed else f"is off by {off:.3g}, {allowed:.3g} is allowed"


class Stretch:
    """A stretch of a queue between two marks."""

    def __init__(self, queue: Queue) -> None:
        self._queue, self._begin, self._end = queue, queue.mark(), queue.mark()

    def us(self, run: Callable[[], object], launches: int) -> float:
        """Microseconds a launch of so many in a row. The host may be what they wait for: then that is what it takes."""
        self._queue.mark(self._begin)
        for _ in range(launches):
            run()
        self._queue.mark(self._end)
        self._queue.wait()
        return 1e3 * self._queue.elapsed_ms(self._begin, self._end) / launches


def race(contenders: Mapping[str, Contender | str], rounds: int, launches: int) -> list[Row]:
    """A row for each, in order; one that is a text is not there, and that is why.

    Each is checked after it was timed, so that what was timed is what is checked.
    """
    there = {name: own for name, own in contenders.items() if not isinstance(own, str)}
    for own in there.values():
        for _ in range(WARM_UP):
            own.call()
    events = _by_events(there, rounds, launches)
    host = {t.name: 1e3 * t.ms for t in interleave({n: own.call for n, own in there.items()}, rounds, WARM_UP)}
    return [
        Row(name, missing=own)
        if isinstance(own, str)
        else Row(name, events[name], host[name], wrong=own.wrong(), counts=own.counts)
        for name, own in contenders.items()
    ]


def _by_events(contenders: Mapping[str, Contender], rounds: int, launches: int) -> dict[str, F64]:
    """Name -> float64 [rounds], microseconds; the first of each round rotates."""
    names, stretches = list(contenders), {name: Stretch(own.queue) for name, own in contenders.items()}
    found = {name: np.zeros(rounds) for name in names}
    for i in range(rounds):
        for k in range(len(names)):
            name = names[(k + i) % len(names)]
            found[name][i] = stretches[name].us(contenders[name].run, launches)
    return found
