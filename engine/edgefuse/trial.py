"""One replay of a campaign: the faults put in, every answer noted, and each fault measured against the clean replay."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgefuse.campaign import Trial
from edgefuse.engine import Engine
from edgefuse.faults import Fault, FaultySource
from edgefuse.findings import Alarms, FaultOutcome, TrialOutcome
from edgefuse.modes import mode_of
from edgefuse.plan import Plan
from edgefuse.recorded import Recorded, Watched
from edgefuse.replay import Tick, replay_trust
from edgefuse.replay import replay as replayed
from edgefuse.scores import (
    Excuse,
    Found,
    Record,
    Seen,
    accuracy,
    clean_alarms,
    detection,
    false_alarms,
    modes_in,
    recovery,
    samples_between,
    ticks_due,
)
from edgefuse.sources.base import Source
from edgefuse.types import NS_PER_MS, NS_PER_S, Trust

FOR_EVER_NS = 1 << 63  # after every tick


@dataclass(frozen=True)
class Bench:
    """What all replays of a campaign share: the engine, the recording, and the streams that it feeds.

    answers   replay the whole engine; else its streams, health and fallback alone
    """

    engine: Engine
    recorded: Recorded
    seed: int
    tick_hz: float
    streams: tuple[str, ...]
    answers: bool = True

    @property
    def topic_of(self) -> dict[str, str]:
        return {plan.name: plan.topic for plan in self.engine.plan.streams}

    @property
    def wait_ns(self) -> int:
        return round(self.engine.plan.config.wait_ms * NS_PER_MS)

    def at_ns(self, seconds: float) -> int:
        """Seconds after the first sample, on the engine clock."""
        return FOR_EVER_NS if math.isinf(seconds) else self.recorded.start_ns + round(seconds * NS_PER_S)


@dataclass(frozen=True)
class Played:
    """One replay: what was seen at each tick, what the faults changed, and the exception that ended it, if one did."""

    records: tuple[Record, ...]
    watched: Watched
    error: str | None = None


def play(bench: Bench, faults: Sequence[Fault]) -> Played:
    """Replay the recording from the start with faults, which name the model's streams. Nothing that happens in it is
    raised: an engine that does is what a campaign looks for."""
    topics = bench.topic_of
    moved = [_on_topic(fault, topics) for fault in faults]
    source = FaultySource(bench.recorded, moved, bench.seed) if moved else bench.recorded
    watched = Watched(source, bench.recorded, {fault.stream for fault in moved})
    records: list[Record] = []
    try:
        records.extend(_records(bench, watched))
    except Exception as error:  # noqa: BLE001 (whatever it is: it is the finding)
        return Played(tuple(records), watched, f"{type(error).__name__}: {error}")
    return Played(tuple(records), watched)


def _records(bench: Bench, source: Source) -> Iterator[Record]:
    if bench.answers:
        bench.engine.reset()
        yield from map(_seen, replayed(bench.engine, source, tick_hz=bench.tick_hz))
    else:
        for t_ns, trusts in replay_trust(bench.engine.plan, source, tick_hz=bench.tick_hz):
            yield Record(t_ns, mode_of(list(trusts.values())), _streams(trusts))


def _streams(trusts: Mapping[str, Trust]) -> dict[str, Seen]:
    return {name: Seen(trust.state, trust.health, trust.reason) for name, trust in trusts.items()}


def clean_outcome(bench: Bench, clean: Played) -> TrialOutcome:
    """The replay without faults: what it says against a stream is a false alarm."""
    return _outcome(bench, "clean", clean, clean_alarms(clean.records, bench.streams), ())


def trial_outcome(bench: Bench, trial: Trial, clean: Played) -> TrialOutcome:
    """Play one trial and measure each of its faults."""
    played = play(bench, trial.faults)
    measured = [_Measure(bench, played, clean, fault, _until_ns(bench, trial, fault)) for fault in trial.faults]
    excuses = [excuse for one in measured for excuse in one.excuses()]
    alarms = false_alarms(played.records, clean.records, bench.streams, excuses)
    return _outcome(bench, trial.name, played, alarms, [one.outcome() for one in measured])


def reached_from(plan: Plan, stream: str) -> set[str]:
    """The streams that a fault of one reaches: of the same topic, derived from them, or held against them."""
    streams = plan.streams
    reached = {own.name for own in streams if own.topic == streams[plan.names.index(stream)].topic}
    while True:
        sources = {own.index for own in streams if own.name in reached}
        more = {own.name for own in streams if own.parent in sources or own.partner in sources} - reached
        if not more:
            return reached
        reached |= more


def _on_topic(fault: Fault, topics: Mapping[str, str]) -> Fault:
    return replace(fault, stream=topics[fault.stream])


def _seen(tick: Tick) -> Record:
    result, truth = tick.result, tick.truth or {}
    named = [result.labels[name] == label for name, label in truth.items() if name in result.labels]
    return Record(
        t_ns=result.t_ns,
        mode=result.mode,
        streams=_streams(result.streams),
        right=all(named) if named else None,
        finite=all(bool(np.isfinite(values).all()) for values in result.outputs.values()),
    )


def _until_ns(bench: Bench, trial: Trial, fault: Fault) -> int:
    """When the next fault of the same topic begins."""
    topics = bench.topic_of
    later = [f.from_s for f in trial.faults if f.from_s > fault.from_s and topics[f.stream] == topics[fault.stream]]
    return bench.at_ns(min(later, default=math.inf))


def _outcome(bench: Bench, name: str, played: Played, alarms: Alarms, faults: Collection[FaultOutcome]) -> TrialOutcome:
    span_ns = played.watched.span_ns
    return TrialOutcome(
        name=name,
        ticks=ticks_due(*span_ns, bench.tick_hz, bench.wait_ns) if span_ns else 0,
        answers=len(played.records),
        broken_outputs=sum(not record.finite for record in played.records),
        error=played.error,
        false_alarms=alarms,
        faults=tuple(faults),
        modes=tuple(record.mode for record in played.records),
    )


class _Measure:
    """One fault of a replay, compared with the clean one up to the next fault of its stream."""

    def __init__(self, bench: Bench, played: Played, clean: Played, fault: Fault, until_ns: int) -> None:
        self._bench, self._fault, self._until_ns = bench, fault, until_ns
        self._records, self._clean = played.records, clean.records
        self._from_ns, self._to_ns = bench.at_ns(fault.from_s), bench.at_ns(fault.to_s)
        self._arrivals_ns = bench.recorded.arrivals_ns(bench.topic_of[fault.stream])
        changed = played.watched.changed[bench.topic_of[fault.stream]]
        self._changed = changed[bisect_left(changed, self._from_ns) : bisect_left(changed, until_ns)]

    def outcome(self) -> FaultOutcome:
        found, back = self._detected(), self._recovered(self._fault.stream)
        arrivals, wait_ns = self._arrivals_ns, self._bench.wait_ns
        return FaultOutcome(
            fault=self._fault,
            changed=len(self._changed),
            detected=found,
            detected_samples=samples_between(arrivals, self._changed[0], found.t_ns + wait_ns) if found else None,
            recovered=back,
            recovered_samples=samples_between(arrivals, self._changed[-1] + 1, back.t_ns + wait_ns) if back else None,
            share=accuracy(self._records, self._from_ns, self._to_ns),
            clean=accuracy(self._clean, self._from_ns, self._to_ns),
            modes=modes_in(self._records, self._from_ns, self._to_ns),
        )

    def excuses(self) -> list[Excuse]:
        """While it lasts and until each is back, the streams that it reaches need not be sound."""
        return [
            Excuse(stream, self._from_ns, back.t_ns if (back := self._recovered(stream)) else self._until_ns)
            for stream in reached_from(self._bench.engine.plan, self._fault.stream)
        ]

    def _detected(self) -> Found | None:
        if not self._changed:
            return None
        # A tick looks `wait_ms` past its own time.
        seen_ns = self._changed[0] - self._bench.wait_ns
        return detection(self._records, self._clean, self._fault.stream, seen_ns, self._over_ns())

    def _over_ns(self) -> int:
        """When the first good sample has come, and a tick has seen the last bad one: what is told then comes too late
        to be of the fault, such as that a stream that has got used to it looks strange without."""
        last_ns = self._changed[-1]
        coming = bisect_right(self._arrivals_ns, last_ns)
        seeing = bisect_left(self._records, last_ns, key=lambda record: record.t_ns)
        next_ns = self._arrivals_ns[coming] if coming < len(self._arrivals_ns) else FOR_EVER_NS
        tick_ns = self._records[seeing].t_ns if seeing < len(self._records) else FOR_EVER_NS
        return min(max(next_ns, tick_ns + 1), self._until_ns)

    def _recovered(self, stream: str) -> Found | None:
        if not self._changed:
            return None
        return recovery(self._records, self._clean, stream, self._changed[-1] - self._bench.wait_ns, self._until_ns)
