"""A recording held in memory, played again and again, and what faults have changed in it on the way."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from msgspec.structs import replace

from edgefuse.errors import SourceError
from edgefuse.sources.base import Source
from edgefuse.types import NS_PER_S, Array, Sample

MAX_BYTES = 2 << 30
SEAM_NS = NS_PER_S // 10  # between the last sample of one time and the first of the next

Key = tuple[int, int]  # arrival and stamp, ns


class Recorded(Source):
    """Samples in memory, in order of arrival; domain, topics, problems and truth are those of the source read.

    times   how often they are played, one time after the other, with stamps that go on
    """

    def __init__(self, source: Source, samples: Sequence[Sample], times: int = 1) -> None:
        super().__init__()
        self._times = times
        self.domain, self.topics, self.problems = source.domain, source.topics, source.problems
        self._source = source
        self._samples = tuple(samples)
        self._arrivals_ns: dict[str, list[int]] = {}

    def samples(self) -> Iterator[Sample]:
        yield from self._samples
        for k in range(1, self._times):
            yield from (_later(sample, k * self._round_ns) for sample in self._samples)

    def truth(self, t_ns: int) -> Mapping[str, str] | None:
        if self._times == 1:
            return self._source.truth(t_ns)
        return self._source.truth(self.start_ns + (t_ns - self.start_ns) % self._round_ns)

    @property
    def length_s(self) -> float:
        """From the first arrival to the last; 0 of nothing."""
        return ((self._times - 1) * self._round_ns + self._span_ns) / NS_PER_S if self._samples else 0.0

    @property
    def _span_ns(self) -> int:
        return self._samples[-1].arrived_ns - self._samples[0].arrived_ns

    @property
    def _round_ns(self) -> int:
        return self._span_ns + SEAM_NS

    @property
    def start_ns(self) -> int:
        """The first arrival."""
        return self._samples[0].arrived_ns

    def arrivals_ns(self, topic: str) -> list[int]:
        """When each sample of the topic arrives, in order."""
        if topic not in self._arrivals_ns:
            self._arrivals_ns[topic] = [s.arrived_ns for s in self.samples() if s.stream == topic]
        return self._arrivals_ns[topic]

    def payloads(self, topic: str) -> dict[Key, list[Array]]:
        """What arrives of the topic, by arrival and stamp."""
        found: dict[Key, list[Array]] = {}
        for sample in self.samples():
            if sample.stream == topic:
                found.setdefault((sample.arrived_ns, sample.stamp_ns), []).append(sample.payload)
        return found


def _later(sample: Sample, shift_ns: int) -> Sample:
    return replace(sample, stamp_ns=sample.stamp_ns + shift_ns, arrival_ns=sample.arrived_ns + shift_ns)


def record(source: Source, place: str, times: int = 1, max_bytes: int = MAX_BYTES) -> Recorded:
    """Read a source to its end; a SourceError where it holds nothing or more than fits, or is live and has no end."""
    if source.live:
        raise SourceError("is live and has no end: record it first", place=place)
    samples: list[Sample] = []
    known: set[int] = set()  # payloads by identity: a source may give one out many times
    held = 0
    for sample in source.samples():
        held += 0 if id(sample.payload) in known else sample.payload.nbytes
        known.add(id(sample.payload))
        if held > max_bytes:
            what = f"holds more than {max_bytes >> 20} MiB of samples, which is what may be kept in memory"
            raise SourceError(f"{what}: give a shorter stretch", place=place)
        samples.append(sample)
    if not samples:
        raise SourceError("holds no samples", place=place)
    return Recorded(source, samples, times)


class Watched(Source):
    """A source with faults, compared with the recording it was made from while it is played.

    changed     topic -> when (ns) a sample came that is not as recorded, or one that is recorded did not
    span_ns     arrival of the first and the last sample that came; None where none did
    """

    def __init__(self, source: Source, recorded: Recorded, topics: Collection[str]) -> None:
        super().__init__()
        self.domain, self.topics, self.problems = source.domain, source.topics, source.problems
        self.changed: dict[str, list[int]] = {topic: [] for topic in topics}
        self.span_ns: tuple[int, int] | None = None
        self._source, self._recorded = source, recorded

    def truth(self, t_ns: int) -> Mapping[str, str] | None:
        return self._source.truth(t_ns)

    def samples(self) -> Iterator[Sample]:
        due = {topic: self._recorded.payloads(topic) for topic in self.changed}
        for sample in self._source.samples():
            self.span_ns = ((self.span_ns or (sample.arrived_ns,))[0], sample.arrived_ns)
            if sample.stream in due and not _as_recorded(sample, due[sample.stream]):
                self.changed[sample.stream].append(sample.arrived_ns)
            yield sample
        for topic, left in due.items():
            lost = [arrival for (arrival, _), payloads in left.items() if payloads]
            self.changed[topic] = sorted({*self.changed[topic], *lost})


def _as_recorded(sample: Sample, due: Mapping[Key, list[Array]]) -> bool:
    """Is it one that the recording holds? Then it is no longer due."""
    payloads = due.get((sample.arrived_ns, sample.stamp_ns), [])
    for i, payload in enumerate(payloads):
        if _same(payload, sample.payload):
            del payloads[i]
            return True
    return False


def _same(a: Array, b: Array) -> bool:
    return a is b or (a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())
