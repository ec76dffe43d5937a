"""Streams: what has arrived, in order, and which of it a tick may look at. `push` never raises and never waits."""

from __future__ import annotations

import operator
import threading
from typing import Any

import numpy as np

from edgefuse.types import NS_PER_MS, Account, Arrival, Reason, Sample

CAPACITY = 64  # samples that may wait between two ticks: two seconds of a 30 Hz camera
LATEST_STAMP_NS = (1 << 63) - 1


class Stream:
    """The inbox of one stream: samples wait here until a tick's time has reached their stamp."""

    def __init__(self, name: str, future_tolerance_ms: float) -> None:
        self.name = name
        self.account = Account()
        self._tolerance_ns = round(future_tolerance_ms * NS_PER_MS)
        self._lock = threading.Lock()  # held for an append or a swap, never for work
        self._inbox: list[Sample] = []
        self._overflow = 0
        self._ahead: list[Sample] = []
        self._last_ns: int | None = None

    def push(self, stamp_ns: int, payload: Any) -> None:
        """Take a reading as it comes, from any thread; what is wrong with it is found at the tick.

        When more than CAPACITY readings wait for a tick, the oldest goes, and is counted.
        """
        sample = Sample(self.name, stamp_ns, payload)
        with self._lock:
            self.account.received += 1
            if len(self._inbox) == CAPACITY:
                self._inbox.pop(0)
                self._overflow += 1
            self._inbox.append(sample)

    def due(self, t_ns: int) -> list[Arrival]:
        """Take out, in order of arrival, all that the tick at t_ns may judge; what is ahead of it keeps waiting."""
        with self._lock:
            taken, self._inbox = self._inbox, []
            overflow, self._overflow = self._overflow, 0
        for _ in range(overflow):
            self.account.drop("overflow")
        candidates, self._ahead = self._ahead + taken, []
        return [arrival for sample in candidates if (arrival := self._judge(sample, t_ns)) is not None]

    def waiting(self) -> int:
        """How many samples no tick has judged yet."""
        return len(self._inbox) + len(self._ahead) + self._overflow

    def _judge(self, sample: Sample, t_ns: int) -> Arrival | None:
        reason = self._stamp_reason(sample.stamp_ns, t_ns)
        if reason is None and sample.stamp_ns > t_ns:
            self._ahead.append(sample)
            return None
        if reason is None:
            self._last_ns = sample.stamp_ns
        return Arrival(sample, reason)

    def _stamp_reason(self, stamp_ns: object, t_ns: int) -> Reason | None:
        # The future comes first: a wild stamp must never become the one that later stamps are compared with.
        try:
            stamp = operator.index(stamp_ns)  # type: ignore[arg-type]
        except TypeError:
            return "bad_stamp"
        if not 0 <= stamp <= LATEST_STAMP_NS:
            return "bad_stamp"
        if stamp > t_ns + self._tolerance_ns:
            return "future_stamp"
        if self._last_ns is None or stamp > self._last_ns:
            return None
        return "duplicate" if stamp == self._last_ns else "out_of_order"


def copied(payload: Any) -> Any:
    """The engine's own copy of a payload, so that a driver may reuse its buffer; what is no array stays as it is."""
    return np.array(payload, order="C") if isinstance(payload, np.ndarray) else payload
