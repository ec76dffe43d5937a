"""Seeded faults put between a source and the engine: sensors that vanish, freeze, lie, lag or change their format."""

from __future__ import annotations

import heapq
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from edgefuse.errors import ConfigError
from edgefuse.sources.base import Source
from edgefuse.types import NS_PER_MS, NS_PER_S, Array, Sample

FaultKind = Literal[
    "off",
    "stuck",
    "garbage",
    "nan",
    "black",
    "no_fix",
    "empty",
    "wrong_shape",
    "wrong_dtype",
    "delayed",
    "stamp_jump",
]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong with one stream for a while.

    from_s, to_s  the window [from_s, to_s), in seconds of arrival after the source's first sample; to_s may be infinite
    delay_ms      how much later samples arrive (`delayed`)
    jump_s        what the sensor's clock is off by, either way (`stamp_jump`)
    """

    stream: str
    kind: FaultKind
    from_s: float
    to_s: float
    delay_ms: float = 300.0
    jump_s: float = 100.0


@dataclass(frozen=True, slots=True)
class Moment:
    """What a fault may know beside its sample: chance, and the newest payload of the stream before any fault of it."""

    rng: np.random.Generator
    last_good: Array


Apply = Callable[[Sample, Fault, Moment], Sample | None]


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table: what becomes of a sample (None: it is lost), and the modality kinds it makes sense for."""

    apply: Apply
    fits: frozenset[str] | None = None


def _off(_sample: Sample, _fault: Fault, _moment: Moment) -> None:
    return None


def _delayed(sample: Sample, fault: Fault, _moment: Moment) -> Sample:
    return replace(sample, arrival_ns=sample.arrived_ns + round(fault.delay_ms * NS_PER_MS))


def _stamp_jump(sample: Sample, fault: Fault, _moment: Moment) -> Sample:
    # The arrival is written down first: where it is the stamp itself, it would jump along.
    return replace(sample, stamp_ns=sample.stamp_ns + round(fault.jump_s * NS_PER_S), arrival_ns=sample.arrived_ns)


def _stuck(sample: Sample, _fault: Fault, moment: Moment) -> Sample:
    return replace(sample, payload=moment.last_good)


def _garbage(sample: Sample, _fault: Fault, moment: Moment) -> Sample:
    payload, rng = sample.payload, moment.rng
    integers = payload.dtype.kind in "iu"
    values = np.frombuffer(rng.bytes(payload.nbytes), payload.dtype).copy() if integers else _wild(payload.size, rng)
    with np.errstate(over="ignore"):
        return replace(sample, payload=values.astype(payload.dtype).reshape(payload.shape))


def _wild(size: int, rng: np.random.Generator) -> Array:
    """Floats of any magnitude, float64 [size], and half of the times a run of NaN or infinity among them."""
    values: Array = rng.standard_normal(size) * 10.0 ** rng.uniform(-3.0, 9.0)
    if rng.integers(2):
        start, length = rng.integers(0, max(size, 1)), rng.integers(1, max(size // 20, 1) + 1)
        values[start : start + length] = rng.choice([np.nan, np.inf, -np.inf])
    return values


def _on_payload(change: Callable[[Array], Array]) -> Apply:
    """A fault of the payload alone; `change` returns a new array and never writes into the one it is given."""

    def apply(sample: Sample, _fault: Fault, _moment: Moment) -> Sample:
        return replace(sample, payload=change(sample.payload))

    return apply


def _nan(payload: Array) -> Array:
    return np.full(payload.shape, np.nan, payload.dtype if payload.dtype.kind == "f" else np.float32)


def _no_fix(payload: Array) -> Array:
    """Status -1; position and variances stay, as of a receiver that repeats or dead-reckons them."""
    changed: Array = np.atleast_1d(payload).copy()
    changed[..., -1:] = -1
    return changed


def _other_dtype(payload: Array) -> Array:
    return payload.astype(np.float64 if payload.dtype == np.float32 else np.float32)


# The table. `empty` keeps the other axes (a cloud of [0, 4]); `wrong_shape` leaves a batch axis in front, which no
# modality kind has, so that it is wrong whatever sizes a model accepts.
KINDS: Mapping[str, Kind] = {
    "off": Kind(_off),
    "stuck": Kind(_stuck),
    "garbage": Kind(_garbage),
    "nan": Kind(_on_payload(_nan), frozenset({"lidar", "gps", "vector"})),
    "black": Kind(_on_payload(np.zeros_like), frozenset({"camera"})),
    "no_fix": Kind(_on_payload(_no_fix), frozenset({"gps"})),
    "empty": Kind(_on_payload(lambda payload: np.atleast_1d(payload)[:0].copy())),
    "wrong_shape": Kind(_on_payload(lambda payload: payload[np.newaxis].copy())),
    "wrong_dtype": Kind(_on_payload(_other_dtype)),
    "delayed": Kind(_delayed),
    "stamp_jump": Kind(_stamp_jump),
}


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
        self._source = source
        self._faults = tuple(faults)
        self._seed = seed % 2**64

    def truth(self, t_ns: int) -> Mapping[str, str] | None:
        """The truth of the wrapped source: faults change what is sensed, not what is so."""
        return self._source.truth(t_ns)

    def samples(self) -> Iterator[Sample]:
        """The wrapped source's samples after their faults, in order of their new arrival."""
        waiting = _Waiting()
        last_good: dict[str, Array] = {}
        first_ns: int | None = None
        for sample in self._source.samples():
            first_ns = sample.arrived_ns if first_ns is None else first_ns
            changed = self._after_faults(sample, (sample.arrived_ns - first_ns) / NS_PER_S, last_good)
            if changed is not None:
                waiting.push(changed)
            # Faults only ever delay, so nothing that is still to come can arrive before this one did.
            yield from waiting.until(sample.arrived_ns)
        yield from waiting.until(math.inf)

    def _after_faults(self, sample: Sample, since_s: float, last_good: dict[str, Array]) -> Sample | None:
        faults = [f for f in self._faults if f.stream == sample.stream and f.from_s <= since_s < f.to_s]
        if not faults:
            last_good[sample.stream] = sample.payload
            return sample
        moment = Moment(self._rng(sample), last_good.setdefault(sample.stream, sample.payload))
        changed: Sample | None = sample
        for fault in faults:
            changed = KINDS[fault.kind].apply(changed, fault, moment) if changed is not None else None
        return changed

    def _rng(self, sample: Sample) -> np.random.Generator:
        name = zlib.crc32(sample.stream.encode())
        return np.random.default_rng((self._seed, name, sample.stamp_ns % 2**64))


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
    }
    for name, good in ranges.items():
        if not good:
            raise ConfigError(f"{getattr(fault, name)} is out of range", place=f"{place}.{name}")
