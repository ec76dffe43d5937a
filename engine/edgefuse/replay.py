"""Replay: drive an engine by a source's own time, one result a tick, as fast as it goes or in real time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from msgspec.structs import asdict

from edgefuse.engine import Engine
from edgefuse.errors import ConfigError
from edgefuse.faults import Fault, FaultySource
from edgefuse.front import Front
from edgefuse.plan import Plan
from edgefuse.sources.base import Source
from edgefuse.ticks import ticks
from edgefuse.types import Result, Sample, Trust

Tap = Callable[[str, Sample], None]


@dataclass(frozen=True, slots=True)
class Tick:
    """A result, and the truth at its time where the source knows it."""

    result: Result
    truth: Mapping[str, str] | None


def replay(
    engine: Engine, source: Source, *, tick_hz: float, realtime: bool = False, tap: Tap | None = None
) -> Iterator[Tick]:
    """Push every sample at its arrival and step at every tick, from the first arrival until the source ends.

    A tick sees what had arrived by its time, or `wait_ms` of the configuration later, so the same samples give the same
    results at any speed. Where encoding happens on arrival, and not in real time, it is done by the next one. A live
    source is stepped from the beginning, whether something arrives or not. tap: is shown each sample with its stream,
    of a live source in a thread of its own.
    """
    in_domain = same_world(engine, source)

    def push(stream: str, sample: Sample) -> None:
        if tap is not None:
            tap(stream, sample)
        engine.push(stream, sample.stamp_ns, sample.payload, copy=False, arrival_ns=sample.arrived_ns)
        if not (realtime or source.live):
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
    faults = [Fault(**{**asdict(fault), "stream": topics.get(fault.stream, fault.stream)}) for fault in config.faults]
    try:
        return FaultySource(source, faults, config.seed)
    except ConfigError as error:
        raise ConfigError(error.what, place=f"{config_place}: {error.place}") from error
