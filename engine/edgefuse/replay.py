"""Replay: drive an engine by a source's own time, one result a tick, as fast as it goes or in real time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from edgefuse.engine import Engine
from edgefuse.errors import ConfigError
from edgefuse.faults import Fault, FaultySource
from edgefuse.front import Front
from edgefuse.plan import Plan
from edgefuse.sources.base import Source
from edgefuse.types import NS_PER_MS, NS_PER_S, Result, Sample, Trust


@dataclass(frozen=True, slots=True)
class Tick:
    """A result, and the truth at its time where the source knows it."""

    result: Result
    truth: Mapping[str, str] | None


def replay(engine: Engine, source: Source, *, tick_hz: float, realtime: bool = False) -> Iterator[Tick]:
    """Push every sample at its arrival and step at every tick, from the first arrival until the source ends.

    A tick sees what had arrived by its time, or `wait_ms` of the configuration later, so the same samples give the same
    results at any speed. Where encoding happens on arrival, and not in real time, it is done by the next one.
    """
    in_domain = same_world(engine, source)

    def push(stream: str, sample: Sample) -> None:
        engine.push(stream, sample.stamp_ns, sample.payload, copy=False, arrival_ns=sample.arrived_ns)
        if not realtime:
            engine.settle()

    for t_ns in ticks(engine.plan, source, push, tick_hz, realtime):
        yield Tick(engine.step(t_ns, in_domain=in_domain), source.truth(t_ns))


def replay_trust(plan: Plan, source: Source, *, tick_hz: float) -> Iterator[tuple[int, dict[str, Trust]]]:
    """(event time in ns, stream -> trust) at every tick that `replay` would answer, without encoding anything."""
    front = Front(plan)

    def push(stream: str, sample: Sample) -> None:
        front.push(stream, sample.stamp_ns, sample.payload, sample.arrived_ns)

    for t_ns in ticks(plan, source, push, tick_hz, realtime=False):
        yield t_ns, dict(zip(plan.names, front.trusts(t_ns), strict=True))


def ticks(
    plan: Plan, source: Source, push: Callable[[str, Sample], None], tick_hz: float, realtime: bool = False
) -> Iterator[int]:
    """The times to step at, while samples are pushed to the streams that they are for as they arrive."""
    clock = _Ticks(tick_hz, round(plan.config.wait_ms * NS_PER_MS), realtime)
    routes = _routes(plan)
    for sample in source.samples():
        yield from clock.until(sample.arrived_ns)
        for stream in routes.get(sample.stream, ()):
            push(stream, sample)
    yield from clock.last()


def same_world(engine: Engine, source: Source) -> bool | None:
    """Does the source show the world that the model was trained on? None when either does not say."""
    ours = engine.bundle.manifest.domain
    return None if "unknown" in (ours, source.domain) else ours == source.domain


def injected(engine: Engine, source: Source, config_place: str = "configuration") -> Source:
    """The source with the configuration's faults put in; a fault names the model's stream, not the source's topic."""
    config = engine.plan.config
    if not config.faults:
        return source
    topics = {plan.name: plan.topic for plan in engine.plan.streams}
    faults = [
        Fault(**{**fault.model_dump(), "stream": topics.get(fault.stream, fault.stream)}) for fault in config.faults
    ]
    try:
        return FaultySource(source, faults, config.seed)
    except ConfigError as error:
        raise ConfigError(error.what, place=f"{config_place}: {error.place}") from error


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
