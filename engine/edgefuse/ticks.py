"""Ticks: the times at which an engine is stepped, by a recording's own time or by the clock of a live source."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from edgefuse.plan import Plan
from edgefuse.sources.base import Source
from edgefuse.sources.clock import now_ns
from edgefuse.types import NS_PER_MS, NS_PER_S, Sample

_LAST_S = 2.0  # that the thread of a live source is given to end


def ticks(
    plan: Plan, source: Source, push: Callable[[str, Sample], None], tick_hz: float, realtime: bool = False
) -> Iterator[int]:
    """The times to step at, while samples are pushed to the streams that they are for as they arrive."""
    routes, wait_ns = _routes(plan), round(plan.config.wait_ms * NS_PER_MS)

    def hand(sample: Sample) -> None:
        for stream in routes.get(sample.stream, ()):
            push(stream, sample)

    yield from (
        _live(source, hand, tick_hz, wait_ns)
        if source.live
        else _recorded(source, hand, _Ticks(tick_hz, wait_ns, realtime))
    )


def _recorded(source: Source, hand: Callable[[Sample], None], clock: _Ticks) -> Iterator[int]:
    for sample in source.samples():
        yield from clock.until(sample.arrived_ns)
        hand(sample)
    yield from clock.last()


class _Feed:
    """A thread that hands over what a live source brings; `ended` once it is over, `failed` where it broke."""

    def __init__(self, source: Source, hand: Callable[[Sample], None]) -> None:
        self.ended = threading.Event()
        self.failed: list[BaseException] = []
        self._source, self._hand = source, hand
        self._thread = threading.Thread(target=self._run, name="edgefuse source", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._source.close()
        self._thread.join(_LAST_S)

    def _run(self) -> None:
        try:
            for sample in self._source.samples():
                self._hand(sample)
        except BaseException as error:  # noqa: BLE001 (raised again where somebody can hear it)
            self.failed.append(error)
        self.ended.set()


def _live(source: Source, hand: Callable[[Sample], None], tick_hz: float, wait_ns: int) -> Iterator[int]:
    """Ticks of the steady clock, while a thread hands over what comes; those that were missed are left out."""
    feed, start_ns, count = _Feed(source, hand), now_ns(), 0
    try:
        while True:
            t_ns = start_ns + round(count * NS_PER_S / tick_hz)
            ended = feed.ended.wait(max(0, t_ns + wait_ns - now_ns()) / NS_PER_S)
            yield t_ns
            if ended:
                break
            count = max(count + 1, int((now_ns() - start_ns - wait_ns) * tick_hz / NS_PER_S))
    finally:
        feed.close()
    if feed.failed:
        raise feed.failed[0]


def _routes(plan: Plan) -> dict[str, list[str]]:
    routes: dict[str, list[str]] = {}
    for own in plan.streams:
        routes.setdefault(own.topic, []).append(own.name)
    return routes


class _Ticks:
    """The ticks: t0, the first arrival, then one a period; in real time ticks and arrivals wait for their moment."""

    def __init__(self, tick_hz: float, wait_ns: int, realtime: bool) -> None:
        self._hz, self._wait_ns = tick_hz, wait_ns
        self._realtime = realtime
        self._start_ns: int | None = None
        self._wall_start_ns = 0
        self._count = 0

    def until(self, arrived_ns: int) -> Iterator[int]:
        """The ticks that are due before an arrival."""
        if self._start_ns is None:
            self._start_ns, self._wall_start_ns = arrived_ns, time.monotonic_ns()
        while (t_ns := self._next_ns()) + self._wait_ns < arrived_ns:
            yield self._at(t_ns)
        self._await(arrived_ns)

    def last(self) -> Iterator[int]:
        """The tick that takes in the last arrivals."""
        if self._start_ns is not None:
            yield self._at(self._next_ns())

    def _next_ns(self) -> int:
        assert self._start_ns is not None
        return self._start_ns + round(self._count * NS_PER_S / self._hz)

    def _at(self, t_ns: int) -> int:
        self._count += 1
        self._await(t_ns + self._wait_ns)
        return t_ns

    def _await(self, t_ns: int) -> None:
        if self._realtime and self._start_ns is not None:
            ahead_ns = (t_ns - self._start_ns) - (time.monotonic_ns() - self._wall_start_ns)
            time.sleep(max(0, ahead_ns) / NS_PER_S)
