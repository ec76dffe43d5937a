"""Deadline: which encoders fit into what is left of a tick, by their recent times and by what each is worth."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Sequence

RECENT = 128  # durations that a p99 is told from
A_FEW = 8  # from so many on the largest is left out: one that was slow by chance does not decide

Worth = Callable[[Collection[int]], float | None]  # what to expect of an answer from these streams, where it is known


class Times:
    """The recent durations of one encoder, in milliseconds."""

    def __init__(self) -> None:
        self._recent_ms: deque[float] = deque(maxlen=RECENT)

    def note(self, ms: float) -> None:
        self._recent_ms.append(ms)

    @property
    def p99_ms(self) -> float:
        """The smallest duration that 99 % of the recent ones, the largest left out, do not exceed; 0: none is known."""
        ordered = sorted(self._recent_ms)
        if len(ordered) >= A_FEW:
            ordered.pop()
        return ordered[math.ceil(0.99 * len(ordered)) - 1] if ordered else 0.0


def fitting(
    wanted: Sequence[int], costs_ms: Sequence[float], left_ms: float, kept: Collection[int], worth: Worth
) -> list[int]:
    """Those of the wanted streams whose encoders together fit into left_ms, in their order.

    While they do not fit, the one goes whose loss costs least of the expected metric for each millisecond it saves: the
    dearest, where no metric is known. costs_ms: by stream; kept: streams that stand without encoding anything.
    """
    chosen = list(wanted)
    while chosen and sum(costs_ms[i] for i in chosen) > left_ms:
        chosen.remove(min(chosen, key=lambda i: _price(i, chosen, costs_ms, kept, worth)))
    return chosen


def _price(
    i: int, chosen: Sequence[int], costs_ms: Sequence[float], kept: Collection[int], worth: Worth
) -> tuple[float, float]:
    """Expected loss for each millisecond saved without stream i, then the dearer first."""
    standing = {*chosen, *kept}
    whole, without = worth(standing), worth(standing - {i})
    loss = 0.0 if whole is None or without is None else whole - without
    return (loss / costs_ms[i] if costs_ms[i] > 0.0 else math.inf, -costs_ms[i])
