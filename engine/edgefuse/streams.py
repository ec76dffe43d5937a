"""Streams: what has arrived, in order, and which of it a tick may look at. `push` never raises and never waits."""

from __future__ import annotations

import itertools
import operator
import threading
import time
from collections import deque
from typing import Any

import numpy as np
from msgspec.structs import replace

from edgefuse.plan import Plan
from edgefuse.sources.clock import ClockMap
from edgefuse.types import NS_PER_MS, Account, Arrival, Reason, Sample

CAPACITY = 64  # samples that may wait between two ticks: two seconds of a 30 Hz camera
LATEST_STAMP_NS = (1 << 63) - 1
NO_STAMP = -1

_numbers = itertools.count(1)


class Stream:
    """The inbox of one stream: samples wait here until a tick's time has reached their stamp.

    tolerance_ns  a stamp this far ahead of the tick waits for its time; beyond it is a fault
    reach_ns      how far past its own time a tick may look, where a stream is chosen by nearness or interpolated
    sort          samples that one tick takes out are looked at by stamp, not as they came
    clock         maps the sensor's own stamps to the engine clock; None where they are on it already
    latency_ns    least time from capture to arrival, of a sensor with a clock of its own
    """

    def __init__(
        self,
        name: str,
        tolerance_ns: int,
        *,
        reach_ns: int = 0,
        sort: bool = False,
        clock: ClockMap | None = None,
        latency_ns: int = 0,
    ) -> None:
        self.name = name
        self.account = Account()
        self._tolerance_ns, self._reach_ns, self._sort = tolerance_ns, reach_ns, sort
        self._clock, self._latency_ns = clock, latency_ns
        self._lock = threading.Lock()  # held for an append or a swap, never for work
        self._inbox: deque[Sample] = deque()
        self._overflow = 0
        self._ahead: list[Sample] = []
        self._last_ns: int | None = None

    def push(self, stamp_ns: int, payload: Any, arrival_ns: int | None = None) -> Sample:
        """Take a reading as it comes, from any thread; what is wrong with it is found at the tick.

        When more than CAPACITY readings wait for a tick, the oldest goes, and is counted. A sensor with a clock of its
        own has arrived now, on the monotonic clock, where arrival_ns does not say when.
        """
        if self._clock is not None and arrival_ns is None:
            arrival_ns = time.monotonic_ns()
        stamp, arrival = whole(stamp_ns), whole(arrival_ns)
        with self._lock:
            self.account.received += 1
            sample = Sample(self.name, NO_STAMP if stamp is None else stamp, payload, arrival, new_number())
            if len(self._inbox) == CAPACITY:
                self._inbox.popleft()
                self._overflow += 1
            self._inbox.append(sample)
        return sample

    def due(self, t_ns: int) -> list[Arrival]:
        """Take out, in order of arrival, all that the tick at t_ns may judge; what is ahead of it keeps waiting."""
        if not self._inbox and not self._ahead:  # most streams at most ticks
            return []
        with self._lock:
            taken, self._inbox = self._inbox, deque()
            overflow, self._overflow = self._overflow, 0
        for _ in range(overflow):
            self.account.drop("overflow")
        candidates, self._ahead = self._ahead + [self._mapped(sample) for sample in taken], []
        if self._sort:
            candidates.sort(key=lambda sample: sample.stamp_ns)
        due = [arrival for sample in candidates if (arrival := self._judge(sample, t_ns)) is not None]
        while len(self._ahead) > CAPACITY:
            self._ahead.pop(0)
            self.account.drop("overflow")
        return due

    def counted(self) -> tuple[int, int]:
        """How many samples have been received, and how many of them no tick has judged yet."""
        with self._lock:
            return self.account.received, len(self._inbox) + len(self._ahead) + self._overflow

    @property
    def clock_jumps(self) -> int:
        """How often the sensor's clock has been seen to jump."""
        return self._clock.jumps if self._clock is not None else 0

    def _mapped(self, sample: Sample) -> Sample:
        if self._clock is None or sample.stamp_ns == NO_STAMP:
            return sample
        stamp_ns = self._clock.map(sample.stamp_ns, sample.arrived_ns - self._latency_ns, self.name)
        return replace(sample, stamp_ns=stamp_ns)

    def _judge(self, sample: Sample, t_ns: int) -> Arrival | None:
        reason = self._stamp_reason(sample.stamp_ns, t_ns)
        if reason is None and sample.stamp_ns > t_ns + self._reach_ns:
            self._ahead.append(sample)
            return None
        if reason is None:
            self._last_ns = sample.stamp_ns
        return Arrival(sample, reason)

    def _stamp_reason(self, stamp_ns: int, t_ns: int) -> Reason | None:
        # The future comes first: a wild stamp must never become the one that later stamps are compared with.
        if stamp_ns == NO_STAMP:
            return "bad_stamp"
        if stamp_ns > t_ns + self._tolerance_ns:
            return "future_stamp"
        if self._last_ns is None or stamp_ns > self._last_ns:
            return None
        return "duplicate" if stamp_ns == self._last_ns else "out_of_order"


def new_number() -> int:
    """A number that no other sample of this process has, larger than all before."""
    return next(_numbers)


def whole(stamp_ns: object) -> int | None:
    """A stamp as Python's whole number, None for what is none; a driver may hand over anything."""
    try:
        stamp = int(operator.index(stamp_ns))  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 (an object may raise whatever it likes)
        return None
    return stamp if 0 <= stamp <= LATEST_STAMP_NS else None


def copied(payload: Any) -> Any:
    """The engine's own copy of a payload, so that a driver may reuse its buffer; what is no array stays as it is.

    What cannot be copied, for it is larger than all memory, becomes None, and is refused at the tick.
    """
    try:
        return np.array(payload, order="C") if isinstance(payload, np.ndarray) else payload
    except Exception:  # noqa: BLE001 (no payload may raise out of `push`)
        return None


def streams_of(plan: Plan) -> dict[str, Stream]:
    """An empty inbox for every stream of the plan; streams whose stamps come from one clock share its map."""
    config, clocks = plan.config, dict[str, ClockMap]()
    tolerance_ns = round((config.future_tolerance_ms + config.wait_ms) * NS_PER_MS)
    reach_ns = round(config.wait_ms * NS_PER_MS)
    return {
        own.name: Stream(
            own.name,
            tolerance_ns,
            reach_ns=reach_ns if own.choice.looks_ahead else 0,
            sort=config.wait_ms > 0.0,
            clock=clocks.setdefault(own.clock, ClockMap()) if own.clock is not None else None,
            latency_ns=round(own.latency_ms * NS_PER_MS),
        )
        for own in plan.streams
    }
