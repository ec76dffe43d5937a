"""Clocks: the engine's own of live sources, and what maps a sensor's stamps to it, from the times they arrive at."""

from __future__ import annotations

import time
from collections import deque

from edgefuse.types import NS_PER_MS, NS_PER_S

BLOCK_NS = 1 * NS_PER_S
WINDOW_BLOCKS = 60
DRIFT_AFTER_NS = 10 * NS_PER_S
MAX_DRIFT_PPM = 200
EARLY_NS = 20 * NS_PER_MS
LATE_NS = 250 * NS_PER_MS

# Read once: a system clock that is set meanwhile must not move the engine's.
_SINCE_1970_NS = time.time_ns() - time.monotonic_ns()


def now_ns() -> int:
    """The engine clock of live sources: nanoseconds since 1970 as the system knew them, but steady from then on."""
    return time.monotonic_ns() + _SINCE_1970_NS


class ClockMap:
    """Offset and drift of one sensor clock, estimated from (sensor stamp, arrival) pairs in integer nanoseconds.

    A pair's delay, arrival minus stamp minus the declared least latency, is the offset plus what the transport added.
    Added delay is never negative, so the least delay of each second is kept for a minute: the lower edge of these
    minima is the offset, and the edge's slope between the older and the newer half of the minute is the drift.

    Error bound: |mapped - true capture| <= |least latency - latency_ms| + j + d, where j is the added delay of the
    luckiest sample in a half window and d = drift x 10 s before the drift is estimated (0.5 ms at 50 ppm), 0 after.

    A delay that is 20 ms below or 250 ms above what is expected (a sensor reset, a leap, a wild stamp) needs a second
    sample that agrees: then the map re-anchors on the two and `jumps` counts one. A single wild stamp is mapped with
    the offset in force, and forgotten. A sensor clock that steps back by less than 250 ms looks like a slow transport
    and is followed within a minute; a latency that grows by more than that for good looks like a jump.
    """

    def __init__(self, latency_ms: float = 0.0) -> None:
        self._latency_ns = round(latency_ms * NS_PER_MS)
        self._least: deque[tuple[int, int]] = deque(maxlen=WINDOW_BLOCKS)  # (stamp, delay) of each second's least
        self._suspects: dict[str, tuple[int, int]] = {}  # by what shares the clock: each has a latency of its own
        self._drift = (0, 1)
        self.jumps = 0

    def map(self, stamp_ns: int, arrival_ns: int, stream: str = "") -> int:
        """The capture time on the engine clock of the sample stamped `stamp_ns` by its sensor.

        stream: which of the streams it comes on, where several share the clock.
        """
        pair = (stamp_ns, arrival_ns - stamp_ns - self._latency_ns)
        suspect = self._suspects.pop(stream, None)
        if not self._least or self._believable(pair):
            self._learn(pair)
        elif suspect is not None and _agree(suspect, pair):
            self._anchor(suspect, pair)
        else:
            self._suspects[stream] = pair
        return stamp_ns + self._offset(stamp_ns)

    @property
    def drift_ppm(self) -> float:
        """How much faster the engine clock runs than the sensor's, in parts per million; 0 until it is known."""
        return 1e6 * self._drift[0] / self._drift[1]

    def _believable(self, pair: tuple[int, int]) -> bool:
        return -EARLY_NS <= pair[1] - self._offset(pair[0]) <= LATE_NS

    def _anchor(self, *pairs: tuple[int, int]) -> None:
        # A stream that is merely quicker than the one the map was anchored on shifts it a little: no jump of the clock.
        self.jumps += abs(pairs[-1][1] - self._offset(pairs[-1][0])) > LATE_NS
        self._least.clear()
        self._drift = (0, 1)
        self._suspects.clear()
        for pair in pairs:
            self._learn(pair)

    def _learn(self, pair: tuple[int, int]) -> None:
        newest = self._least[-1] if self._least else None
        if newest is None or pair[0] // BLOCK_NS > newest[0] // BLOCK_NS:
            self._least.append(pair)
            self._drift = _slope(list(self._least))
        elif pair[1] < newest[1]:
            self._least[-1] = pair

    def _offset(self, stamp_ns: int) -> int:
        rise, run = self._drift
        return min(delay + rise * (stamp_ns - at) // run for at, delay in self._least)


def _agree(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Whether two samples tell one offset: a queue that empties at once brings the same arrival for growing stamps."""
    return 2 * abs(second[1] - first[1]) <= second[0] - first[0]


def _slope(least: list[tuple[int, int]]) -> tuple[int, int]:
    """(rise, run) of the delay in ns between the least of the older half and the least of the newer half."""
    half = len(least) // 2
    if least[-1][0] - least[0][0] < DRIFT_AFTER_NS:
        return 0, 1
    (at_0, delay_0), (at_1, delay_1) = (min(part, key=lambda p: p[1]) for part in (least[:half], least[half:]))
    run = at_1 - at_0
    limit = run * MAX_DRIFT_PPM // 1_000_000
    return max(-limit, min(limit, delay_1 - delay_0)), run
