"""A run as its report counts it: how long each answer stood, where streams were out, and how often for which reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgefuse.reasons import REASONS
from edgefuse.types import F64, NS_PER_S

OUT = ("error", "stale")  # health of a stream that is taken out
PAUSE_PERIODS = 3.0  # a longer time from one answer to the next is a pause, and none of it counts as an answer's
MOST_FAILURES = 20  # numbered, in lanes and their table
COLUMNS = 700  # as finely as a page shows a run; what is finer is thinned

Result = Mapping[str, Any]
Indices = NDArray[np.int64]
Value = TypeVar("Value")


@dataclass(frozen=True)
class Run:
    """The results of a run, as `report.read_results` gives them, in order of time and at least one."""

    results: Sequence[Result]

    @cached_property
    def seconds(self) -> F64:
        """float64 [T]: time of each answer after the first."""
        first_ns = self.results[0]["t_ns"]
        return np.array([(result["t_ns"] - first_ns) / NS_PER_S for result in self.results])

    @cached_property
    def period_s(self) -> float:
        """The usual time from one answer to the next, the median; 0 where there is one answer."""
        return float(np.median(np.diff(self.seconds))) if len(self.results) > 1 else 0.0

    @cached_property
    def lasts_s(self) -> F64:
        """float64 [T]: how long each answer stood: until the next, and one period where that is a pause or the end."""
        steps = np.append(np.diff(self.seconds), self.period_s)
        return np.where(steps > PAUSE_PERIODS * self.period_s, self.period_s, steps)

    @cached_property
    def parts(self) -> Indices:
        """int64 [T]: how many pauses lie before each answer."""
        return np.concatenate([[0], np.cumsum(np.diff(self.seconds) > PAUSE_PERIODS * self.period_s)])

    @property
    def length_s(self) -> float:
        return float(self.seconds[-1]) + self.period_s

    @property
    def pauses(self) -> list[tuple[float, float]]:
        """Where the answers stopped for a while: (from, how long), the longest first."""
        steps = np.diff(self.seconds)
        found = np.flatnonzero(np.diff(self.parts))
        return sorted(((float(self.seconds[i]), float(steps[i])) for i in found), key=lambda pause: -pause[1])

    @property
    def streams(self) -> tuple[str, ...]:
        return tuple(self.results[0]["streams"])

    @property
    def bundle(self) -> str:
        named = self.results[0]["bundle"]
        version = named.get("version")
        return str(named["name"]) if version is None else f"{named['name']} {version}"

    def lane(self, stream: str) -> list[Mapping[str, Any]]:
        """What each answer held of one stream."""
        return [result["streams"][stream] for result in self.results]

    def span_s(self, begin: int, end: int) -> float:
        """How long the answers [begin, end) stood, pauses not counted."""
        return float(self.lasts_s[begin:end].sum())


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stream taken out in the answers [begin, end), with the reasons that were given, in their order."""

    stream: str
    begin: int
    end: int
    from_s: float
    lasts_s: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """How often a stream gave a reason: answers, stretches of them, and their time."""

    stream: str
    reason: str
    answers: int
    stretches: int
    total_s: float
    longest_s: float


def runs_of(values: Sequence[Value]) -> Iterator[tuple[int, int, Value]]:
    """Stretches of equal values: (begin, end, value), [begin, end) being all there is of it."""
    begin = 0
    for i in range(1, len(values) + 1):
        if i == len(values) or values[i] != values[begin]:
            yield begin, i, values[begin]
            begin = i


def health(lane: Mapping[str, Any]) -> str:
    """What was said of a stream's health; of lines that do not say it, what their reason means."""
    said, reason = lane.get("health"), lane["reason"]
    return str(said or (reason_row(reason)[0] if reason else "ok"))


def reason_row(reason: str) -> tuple[str, str]:
    """Health and words of a reason; of one that this version does not know, `error` and nothing."""
    return next((row for known, row in REASONS.items() if known == reason), ("error", ""))


def outages(run: Run) -> list[Stretch]:
    """Every stretch in which a stream was taken out, the longest first."""
    found = []
    for stream in run.streams:
        lane = run.lane(stream)
        for begin, end, out in runs_of([health(one) in OUT for one in lane]):
            if out:
                reasons = dict.fromkeys(one["reason"] or "no reason given" for one in lane[begin:end])
                at_s = float(run.seconds[begin])
                found.append(Stretch(stream, begin, end, at_s, run.span_s(begin, end), tuple(reasons)))
    return sorted(found, key=lambda one: (-one.lasts_s, one.begin))


def awaited(run: Run, stretch: Stretch) -> bool:
    """Did the stream only not deliver yet? Silence from first to last is no waiting."""
    return stretch.begin == 0 and stretch.end < len(run.results) and stretch.reasons == ("no_data",)


def told(run: Run) -> list[Told]:
    """Every reason of every stream, streams in their order, each with what lasted longest first."""
    rows: list[Told] = []
    for stream in run.streams:
        spans: dict[str, list[tuple[int, float]]] = {}
        for begin, end, reason in runs_of([one["reason"] for one in run.lane(stream)]):
            if reason is not None:
                spans.setdefault(reason, []).append((end - begin, run.span_s(begin, end)))
        own = [_told(stream, reason, parts) for reason, parts in spans.items()]
        rows += sorted(own, key=lambda row: -row.total_s)
    return rows


def _told(stream: str, reason: str, parts: Sequence[tuple[int, float]]) -> Told:
    times = [lasts_s for _, lasts_s in parts]
    return Told(stream, reason, sum(n for n, _ in parts), len(parts), sum(times), max(times))


def columns(run: Run, most: int = COLUMNS) -> list[tuple[int, int]]:
    """Answers as a page shows them: [begin, end) of each; one by one, or thinned to equal times where they are more."""
    count = len(run.results)
    if count <= most:
        return [(i, i + 1) for i in range(count)]
    edges = np.searchsorted(run.seconds, np.linspace(0.0, run.length_s, most + 1)[1:-1])
    bounds = np.unique([0, *edges.tolist(), count]).tolist()
    return list(pairwise(bounds))


def right(result: Result, output: str) -> bool | None:
    """Was this output right? None where the truth is not known."""
    truth = result["truth"].get(output) if "truth" in result else None
    return None if truth is None else bool(result["labels"].get(output) == truth)


def lasted(seconds: float) -> str:
    """A duration in words."""
    if seconds < 0.0995:
        return f"{1000.0 * seconds:.0f} ms"
    if seconds < 119.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def clock(run: Run, seconds: float) -> str:
    """A moment of a run: seconds, or hours, minutes and seconds of a long one."""
    if run.length_s < 600.0:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
