"""Turns: contenders run round by round, by events around batches of launches and by the host's clock, then checked.

A launch takes the host some microseconds, which is longer than a small kernel: the same batch as one CUDA graph tells
what the device takes.
"""

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
    def captured(self, work: Callable[[], object]) -> Callable[[], object]: ...


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
    whole: bool = False  # it launches graphs of its own, which can be no part of another
    spoil: Callable[[], object] = lambda: None  # makes the last result no number

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

    def us(self, run: Callable[[], object], launches: int, ahead: int = 0) -> float:
        """Microseconds a launch of so many in a row. The host may be what they wait for: then that is what it takes.

        ahead: so many more before them, for the device to be busy with while the host launches the first.
        """
        for _ in range(ahead):
            run()
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
    events = _by_events(there, {n: own.run for n, own in there.items()}, rounds, launches, 0)
    batches = {name: batch for name, own in there.items() if (batch := _batch(own, launches)) is not None}
    for name in batches:
        there[name].spoil()
    graphs = {name: us / launches for name, us in _by_events(there, batches, rounds, 1, 1).items()}
    wrong = {name: there[name].wrong() for name in batches}  # before anybody runs again
    host = {t.name: 1e3 * t.ms for t in interleave({n: own.call for n, own in there.items()}, rounds, WARM_UP)}
    return [
        Row(name, missing=own)
        if isinstance(own, str)
        else Row(
            name, events[name], graphs.get(name), host[name], wrong=wrong.get(name) or own.wrong(), counts=own.counts
        )
        for name, own in contenders.items()
    ]


def _batch(contender: Contender, launches: int) -> Callable[[], object] | None:
    """So many runs as one CUDA graph; None where that cannot be."""
    if contender.whole:
        return None
    try:
        launch = contender.queue.captured(lambda: [contender.run() for _ in range(launches)])
        launch()
        contender.queue.wait()
    except Exception:  # noqa: BLE001 (whatever a library raises when it is captured)
        return None
    return launch


def _by_events(
    contenders: Mapping[str, Contender],
    runs: Mapping[str, Callable[[], object]],
    rounds: int,
    launches: int,
    ahead: int,
) -> dict[str, F64]:
    """Name -> float64 [rounds], microseconds of a run; the first of each round rotates."""
    names, stretches = list(runs), {name: Stretch(contenders[name].queue) for name in runs}
    found = {name: np.zeros(rounds) for name in names}
    for i in range(rounds):
        for k in range(len(names)):
            name = names[(k + i) % len(names)]
            found[name][i] = stretches[name].us(runs[name], launches, ahead)
    return found
