"""Section: what one scenario of a bench found: timings, ratios between them, shares of stages, other figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgefuse.bench.timing import Timing

Figures = Mapping[str, Mapping[str, Any]]  # row -> column -> value
Pairs = Iterable[tuple[str, str]]  # ratios to give, as (numerator, denominator)


@dataclass(frozen=True, slots=True)
class Section:
    """One scenario.

    timings   contender -> its durations; ratios: `a / b` -> p50, its spread by tenths, p99
    stages    stage -> mean and percentiles in ms, and its share of the whole
    figures   what is no duration of one answer, with the unit in each column's name
    left_out  contender -> why it did not run
    """

    title: str
    timings: Mapping[str, Timing] = field(default_factory=dict)
    ratios: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    stages: Figures = field(default_factory=dict)
    figures: Figures = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        parts = {
            "timings": {name: timing.as_json() for name, timing in self.timings.items()},
            "ratios": {name: dict(ratio) for name, ratio in self.ratios.items()},
            "stages": {name: dict(row) for name, row in self.stages.items()},
            "figures": {name: dict(row) for name, row in self.figures.items()},
            "left_out": dict(self.left_out),
        }
        return {"title": self.title, **{key: value for key, value in parts.items() if value}}


def compared(title: str, timings: Sequence[Timing], pairs: Pairs | None = None, **more: Any) -> Section:
    """Timings of one run with their ratios: of these pairs, or of the first to every other."""
    by_name = {timing.name: timing for timing in timings}
    wanted = [(timings[0].name, other.name) for other in timings[1:]] if pairs is None else pairs
    found = {f"{a} / {b}": by_name[a].ratio_to(by_name[b]) for a, b in wanted if a in by_name and b in by_name}
    return Section(title, by_name, found, **more)
