"""Survey: what a source offers, measured by listening to it: topics, rates, gaps, clock offsets, shapes, problems."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

import numpy as np
from msgspec import structs

from edgefuse.progress import Progress
from edgefuse.sources.base import Problem, Source
from edgefuse.sources.clock import ClockMap
from edgefuse.types import NS_PER_MS, NS_PER_S, Array, Sample

GAP_PERIODS = 2.5  # median intervals that a longer one is a gap from
LISTEN_S = 5.0  # to a live source, where nobody says how long
_KIND_OF = {"uint8": "camera", "uint16": "depth", "float64": "gps", "float32": "vector"}


@dataclass(frozen=True, slots=True)
class Offset:
    """A topic's arrivals minus its stamps: the sensor's clock against the computer's, plus what the transport takes.

    least_ms   the quickest transport; below 0 the stamps are from the future
    drift_ppm  how much faster the computer's clock runs, as the engine finds it; 0 for less than 10 s
    jumps      how often the sensor's clock was seen to jump
    """

    least_ms: float
    median_ms: float
    max_ms: float
    drift_ppm: float
    jumps: int


@dataclass(frozen=True, slots=True)
class TopicSurvey:
    """One topic as it was heard.

    rate_hz    samples a second from the first arrival to the last; None of fewer than two
    median_ms, longest_ms  between the stamps of two samples in a row; `gaps` of them above 2.5 times the median
    offset     None where every sample arrives at its own stamp, as where a recording tells no arrivals
    payload    dtype and shape, an axis that varies as FROM-TO
    fix        latitude_deg, longitude_deg, altitude_m of the first fix, of GPS
    stamps_ns  of every sample, in order of arrival
    """

    name: str
    kind: str
    count: int
    rate_hz: float | None
    median_ms: float | None
    longest_ms: float | None
    gaps: int
    offset: Offset | None
    payload: tuple[str, ...]
    fix: tuple[float, float, float] | None
    stamps_ns: array[int] = field(repr=False, compare=False)

    def as_json(self) -> dict[str, object]:
        return {key: value for key, value in asdict(self).items() if key != "stamps_ns"}


@dataclass(frozen=True, slots=True)
class Survey:
    """What was heard of a source, and for how long; problems are those that it counted meanwhile.

    whole  unless an interrupt ended it before what was asked for was heard
    """

    live: bool
    heard_s: float
    topics: tuple[TopicSurvey, ...]
    problems: tuple[Problem, ...]
    whole: bool = True

    def as_json(self) -> dict[str, object]:
        topics = [topic.as_json() for topic in self.topics]
        problems = [structs.asdict(problem) for problem in self.problems]
        told = {"live": self.live, "heard_s": self.heard_s, "whole": self.whole}
        return {**told, "topics": topics, "problems": problems}


def survey(source: Source, seconds: float | None = None) -> Survey:
    """Listen to a source and measure; a recording as a whole, or so many seconds of it, a live source 5 s if not said.

    Ctrl-C leaves what was heard by then. A SourceError where the source has one.
    """
    heard: dict[str, _Heard] = {topic: _Heard() for topic in source.topics}
    heard_s, first_ns = 0.0, None
    with Progress(_length_s(source, seconds), "s") as progress:
        for sample in _listened(source, seconds):
            heard.setdefault(sample.stream, _Heard()).take(sample)
            first_ns = sample.arrived_ns if first_ns is None else first_ns
            heard_s = (sample.arrived_ns - first_ns) / NS_PER_S
            progress.reach(heard_s)
    if source.live and not progress.stopped:
        heard_s = seconds or LISTEN_S
    topics = tuple(own.measured(name, source.topics.get(name)) for name, own in heard.items())
    return Survey(source.live, round(heard_s, 3), topics, tuple(source.problems), not progress.stopped)


def _length_s(source: Source, seconds: float | None) -> float | None:
    """How much there will be to hear, where that is known."""
    if source.live:
        return seconds or LISTEN_S
    known = [length_s for length_s in (source.length_s, seconds) if length_s is not None]
    return min(known, default=None)


def _listened(source: Source, seconds: float | None) -> Iterator[Sample]:
    if source.live:
        timer = threading.Timer(seconds or LISTEN_S, source.close)
        timer.start()
        try:
            yield from source.samples()
        finally:
            timer.cancel()
            source.close()
        return
    first_ns: int | None = None
    for sample in source.samples():
        first_ns = sample.arrived_ns if first_ns is None else first_ns
        if seconds is not None and sample.arrived_ns - first_ns > seconds * NS_PER_S:
            return
        yield sample


class _Heard:
    """What is kept of one topic while it is listened to."""

    def __init__(self) -> None:
        self._stamps_ns, self._arrivals_ns = array("q"), array("q")
        self._shapes: dict[tuple[str, int], list[tuple[int, int]]] = {}
        self._fix: tuple[float, float, float] | None = None
        self._clock = ClockMap()

    def take(self, sample: Sample) -> None:
        self._stamps_ns.append(sample.stamp_ns)
        self._arrivals_ns.append(sample.arrived_ns)
        self._clock.map(sample.stamp_ns, sample.arrived_ns)
        payload = sample.payload
        known = self._shapes.setdefault((str(payload.dtype), payload.ndim), [(n, n) for n in payload.shape])
        known[:] = [(min(low, n), max(high, n)) for (low, high), n in zip(known, payload.shape, strict=True)]
        if self._fix is None and _is_fix(payload):
            self._fix = (float(payload[0]), float(payload[1]), float(payload[2]))

    def measured(self, name: str, kind: str | None) -> TopicSurvey:
        count = len(self._arrivals_ns)  # an interrupt may have come between the two
        stamps, arrivals = (np.array(own[:count], np.int64) for own in (self._stamps_ns, self._arrivals_ns))
        intervals_ms = np.diff(stamps) / NS_PER_MS
        span_s = float(arrivals[-1] - arrivals[0]) / NS_PER_S if len(arrivals) > 1 else 0.0
        middle_ms = float(np.median(intervals_ms)) if len(intervals_ms) else None
        return TopicSurvey(
            name=name,
            kind=kind or next((_KIND_OF.get(dtype, "unknown") for dtype, _ in self._shapes), "unknown"),
            count=len(stamps),
            rate_hz=round((len(stamps) - 1) / span_s, 3) if span_s else None,
            median_ms=None if middle_ms is None else round(middle_ms, 3),
            longest_ms=round(float(intervals_ms.max()), 3) if len(intervals_ms) else None,
            gaps=0 if middle_ms is None else int((intervals_ms > GAP_PERIODS * middle_ms).sum()),
            offset=self._offset(arrivals - stamps),
            payload=tuple(_shape_line(dtype, sides) for (dtype, _), sides in self._shapes.items()),
            fix=self._fix,
            stamps_ns=self._stamps_ns,
        )

    def _offset(self, delays_ns: Array) -> Offset | None:
        if not delays_ns.any():
            return None
        least, middle, most = (float(f(delays_ns)) / NS_PER_MS for f in (np.min, np.median, np.max))
        drift = round(self._clock.drift_ppm, 2)
        return Offset(round(least, 3), round(middle, 3), round(most, 3), drift, self._clock.jumps)


def _is_fix(payload: Array) -> bool:
    return (
        payload.dtype == np.float64 and payload.shape == (7,) and payload[6] >= 0 and bool(np.isfinite(payload).all())
    )


def _shape_line(dtype: str, sides: list[tuple[int, int]]) -> str:
    return f"{dtype} [{', '.join(str(low) if low == high else f'{low}-{high}' for low, high in sides)}]"


def describe(found: Survey) -> str:
    """The survey as a table for a person, problems below."""
    columns = ("topic", "kind", "count", "Hz", "median ms", "longest ms", "gaps", "clock", "payload")
    rows = [columns, *(_row(topic) for topic in found.topics)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    stopped = "" if found.whole else ", stopped there"
    head = f"{'listened' if found.live else 'recorded'} for {found.heard_s:g} s{stopped}, {len(found.topics)} topics"
    told = [f"problem: {problem.place}: {problem.what}" + _times(problem.count) for problem in found.problems[:10]]
    more = [f"problem: {len(found.problems) - 10} more"] if len(found.problems) > 10 else []
    return "\n".join([head, *lines, *told, *more])


def _row(topic: TopicSurvey) -> tuple[str, ...]:
    numbers = (topic.rate_hz, topic.median_ms, topic.longest_ms)
    told = ["-" if number is None else f"{number:.1f}" for number in numbers]
    return (topic.name, topic.kind, str(topic.count), *told, str(topic.gaps), _clock(topic), "; ".join(topic.payload))


def _clock(topic: TopicSurvey) -> str:
    own = topic.offset
    if own is None:
        return "as stamped" if topic.count else "-"
    jumps = f", {own.jumps} jumps" if own.jumps else ""
    drift = f", {own.drift_ppm:+.0f} ppm" if abs(own.drift_ppm) >= 0.5 else ""
    return f"{own.median_ms:+.1f} ms, at most {own.max_ms:+.1f}{drift}{jumps}"


def _times(count: int) -> str:
    return f" ({count} times)" if count > 1 else ""
