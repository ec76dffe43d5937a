"""Laps: where the time of a device goes, stage by stage, by marks in its queue; nobody waits for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Clock(Protocol):
    """What has a queue that marks can be put into."""

    def mark(self, again: int = -1) -> int: ...
    def elapsed_ms(self, begin: int, end: int) -> float: ...


class Laps:
    """As `Stopwatch`, of what is queued: the time since the last lap is booked to a stage, once all is done."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._marks: list[int] = []
        self._stages: list[str] = []

    def begin(self) -> None:
        """What is queued from here on counts."""
        self._stages.clear()
        self._put()

    def lap(self, stage: str) -> None:
        """A stage has been queued."""
        self._stages.append(stage)
        self._put()

    def read(self) -> Mapping[str, float]:
        """Stage -> milliseconds, after somebody has waited; of one that was queued twice the sum."""
        spent = dict.fromkeys(self._stages, 0.0)
        for i, stage in enumerate(self._stages):
            spent[stage] += self._clock.elapsed_ms(self._marks[i], self._marks[i + 1])
        return spent

    def _put(self) -> None:
        at = len(self._stages)
        if at == len(self._marks):
            self._marks.append(self._clock.mark())
        else:
            self._clock.mark(self._marks[at])
