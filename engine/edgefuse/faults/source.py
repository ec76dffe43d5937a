"""The source with faults: a wrapped source whose samples pass through their faults, in order of their new arrival."""

from __future__ import annotations

import heapq
import math
import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgefuse.errors import ConfigError
from edgefuse.faults.base import MAX_DRIFT_PPM, SEVERITIES, Fault, Memory, Moment
from edgefuse.faults.table import KINDS
from edgefuse.sources.base import Source
from edgefuse.types import NS_PER_S, Array, Sample


@dataclass(slots=True)
class _Waiting:
    """Samples that are on their way, given out by time of arrival and, where that is equal, as they came."""

    heap: list[tuple[int, int, Sample]] = field(default_factory=list)
    count: int = 0

    def push(self, sample: Sample) -> None:
        heapq.heappush(self.heap, (sample.arrived_ns, self.count, sample))
        self.count += 1

    def until(self, t_ns: float) -> Iterator[Sample]:
        while self.heap and self.heap[0][0] <= t_ns:
            yield heapq.heappop(self.heap)[2]


@dataclass(slots=True)
class _Past:
    """What has come on a stream so far, before its faults.

    looks_back_ns  how long payloads are kept; 0: not at all, for they may be large
    """

    looks_back_ns: int
    last_good: Array | None = None
    kept: deque[tuple[int, Array]] = field(default_factory=deque)
    first_ns: int = 0
    last_ns: int = 0
    count: int = 0

    def note(self, sample: Sample) -> None:
        now_ns = sample.arrived_ns
        self.first_ns = self.first_ns if self.count else now_ns
        self.last_ns, self.count = now_ns, self.count + 1
        if self.looks_back_ns:
            self.kept.append((now_ns, sample.payload))
            while len(self.kept) > 1 and self.kept[1][0] <= now_ns - self.looks_back_ns:
                self.kept.popleft()

    def earlier(self) -> Array | None:
        """The newest payload that is old enough."""
        old = self.kept and self.kept[0][0] <= self.last_ns - self.looks_back_ns
        return self.kept[0][1] if old else None

    def period_ns(self) -> int:
        return (self.last_ns - self.first_ns) // max(self.count - 1, 1)


class _Lane:
    """One stream with its faults, and what is remembered between its samples."""

    def __init__(self, stream: str, modality: str, faults: Sequence[Fault], seed: int) -> None:
        told = [(i, fault, Memory()) for i, fault in enumerate(faults)]
        self._coming = deque(sorted(told, key=lambda row: row[1].from_s))
        self._current: list[tuple[int, Fault, Memory]] = []
        self._modality = modality
        self._seed = (seed, _number(stream))
        self._past = _Past(round(max(KINDS[fault.kind].looks_back_s for fault in faults) * NS_PER_S))

    def after_faults(self, sample: Sample, since_s: float) -> list[Sample]:
        """What comes in place of a sample that arrives so long after the source's first."""
        self._past.note(sample)
        active = self._active(since_s)
        if self._past.last_good is None or not active:
            self._past.last_good = sample.payload
        rng = np.random.default_rng((*self._seed, sample.stamp_ns % 2**64)) if active else None
        samples = [sample]
        for _, fault, memory in active:
            assert rng is not None
            moment = self._moment(fault, memory, since_s, rng)
            samples = [changed for one in samples for changed in _applied(one, fault, moment)]
        return samples

    def _active(self, since_s: float) -> list[tuple[int, Fault, Memory]]:
        """The faults whose window this is, in the order they were told; a storm costs no more than a few."""
        while self._coming and self._coming[0][1].from_s <= since_s:
            self._current = sorted([*self._current, self._coming.popleft()], key=lambda row: row[0])
        self._current = [row for row in self._current if since_s < row[1].to_s]
        return self._current

    def _moment(self, fault: Fault, memory: Memory, since_s: float, rng: np.random.Generator) -> Moment:
        past = self._past
        assert past.last_good is not None
        return Moment(
            rng=rng,
            seed=(*self._seed, _number(fault.kind), 1),
            modality=self._modality,
            last_good=past.last_good,
            earlier=past.earlier(),
            into_s=since_s - fault.from_s,
            period_ns=past.period_ns(),
            memory=memory,
        )


def _applied(sample: Sample, fault: Fault, moment: Moment) -> tuple[Sample, ...]:
    changed = KINDS[fault.kind].apply(sample, fault, moment)
    moment.memory.count += 1
    return changed


def _number(name: str) -> int:
    return zlib.crc32(name.encode())


class FaultySource(Source):
    """The wrapped source with faults applied, in their order; the same seed gives the same samples bit for bit.

    source  any source; its payloads are never written to, its domain, topics, problems and truth pass through
    faults  on streams that `source.topics` names; ConfigError names `faults[i]` and the field that is wrong
    seed    of all chance; each sample draws from (seed, stream, stamp), whatever else is in the recording
    """

    def __init__(self, source: Source, faults: Sequence[Fault], seed: int = 0) -> None:
        super().__init__()
        for i, fault in enumerate(faults):
            _check(fault, f"faults[{i}]", source.topics)
        self.domain = source.domain
        self.topics = source.topics
        self.problems = source.problems
        self.live = source.live
        self._source = source
        self._faults = tuple(faults)
        self._seed = seed % 2**64

    def truth(self, t_ns: int) -> Mapping[str, str] | None:
        """The truth of the wrapped source: faults change what is sensed, not what is so."""
        return self._source.truth(t_ns)

    @property
    def length_s(self) -> float | None:
        return self._source.length_s

    def close(self) -> None:
        self._source.close()

    def samples(self) -> Iterator[Sample]:
        """The wrapped source's samples after their faults, in order of their new arrival."""
        waiting, lanes = _Waiting(), self._lanes()
        first_ns: int | None = None
        for sample in self._source.samples():
            first_ns = sample.arrived_ns if first_ns is None else first_ns
            since_s = (sample.arrived_ns - first_ns) / NS_PER_S
            lane = lanes.get(sample.stream)
            for changed in [sample] if lane is None else lane.after_faults(sample, since_s):
                waiting.push(changed)
            # Faults only ever delay, so nothing that is still to come can arrive before this one did.
            yield from waiting.until(sample.arrived_ns)
        yield from waiting.until(math.inf)

    def _lanes(self) -> dict[str, _Lane]:
        streams = dict.fromkeys(fault.stream for fault in self._faults)
        return {
            stream: _Lane(stream, self.topics[stream], [f for f in self._faults if f.stream == stream], self._seed)
            for stream in streams
        }


def _check(fault: Fault, place: str, topics: Mapping[str, str]) -> None:
    """Refuse a fault that names an unknown stream or kind, does not fit the stream, or has numbers out of range."""
    if fault.stream not in topics:
        raise ConfigError(f"no stream {fault.stream!r}; there are {', '.join(topics)}", place=f"{place}.stream")
    if fault.kind not in KINDS:
        raise ConfigError(f"no fault {fault.kind!r}; there are {', '.join(KINDS)}", place=f"{place}.kind")
    fits, modality = KINDS[fault.kind].fits, topics[fault.stream]
    if fits is not None and modality not in fits:
        what = f"{fault.stream!r} is of kind {modality}; {fault.kind!r} fits {', '.join(sorted(fits))}"
        raise ConfigError(what, place=f"{place}.stream")
    ranges = {
        "from_s": math.isfinite(fault.from_s) and fault.from_s >= 0.0,
        "to_s": fault.to_s > fault.from_s,
        "delay_ms": math.isfinite(fault.delay_ms) and fault.delay_ms >= 0.0,
        "jump_s": math.isfinite(fault.jump_s),
        "severity": type(fault.severity) is int and fault.severity in SEVERITIES,
        "share": 0.0 <= fault.share <= 1.0,
        "drift_ppm": abs(fault.drift_ppm) <= MAX_DRIFT_PPM,
    }
    for name, good in ranges.items():
        if not good:
            raise ConfigError(f"{getattr(fault, name)} is out of range", place=f"{place}.{name}")
