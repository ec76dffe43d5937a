"""Figures: what was timed, what follows from it, whether it may be believed, and whether its goal is met.

Nothing that took its time on an emulated device becomes a number in what is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from edgefuse.types import F64

MEASURED, EMULATED, MISSING, WRONG = "measured", "emulated", "not available", "WRONG"
NOT_MEASURED = "took no time that this clock can tell"
CLOCKS = ("events", "graph", "host")
LAUNCHED = ("events", "host")  # with what the host takes to launch
NOT_SO = "is not timed so"


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of the rounds, and what one in ten of them lies below, and one in ten above."""

    median: float
    p10: float
    p90: float

    @staticmethod
    def of(values: F64) -> Spread | None:
        """None where a round gave no finite number."""
        if values.size == 0 or not np.isfinite(values).all():
            return None
        p10, median, p90 = (float(q) for q in np.percentile(values, (10, 50, 90)))
        return Spread(median, p10, p90)

    def as_json(self) -> dict[str, float]:
        return {"median": _short(self.median), "p10": _short(self.p10), "p90": _short(self.p90)}


@dataclass(frozen=True, slots=True)
class Goal:
    """What a median should reach, or stay below."""

    bound: float
    at_least: bool = True

    def met(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        return f"at {'least' if self.at_least else 'most'} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Row:
    """One contender.

    events_us  float64 [rounds], microseconds a launch by events around a batch of launches; None where not so timed
    graph_us   the same of a batch that is one CUDA graph: what the device takes alone; None where it cannot be one
    host_us    float64 [rounds], microseconds of one call and one synchronisation by the host's clock
    missing    why it is not there
    wrong      why it must not be believed
    counts     what is counted and not timed
    """

    name: str
    events_us: F64 | None = None
    graph_us: F64 | None = None
    host_us: F64 | None = None
    missing: str | None = None
    wrong: str | None = None
    counts: Mapping[str, float] = field(default_factory=dict)

    def us(self, clock: str) -> F64:
        found: F64 | None = getattr(self, f"{clock}_us")
        return np.zeros(0) if found is None else found

    def as_json(self, real: bool) -> dict[str, Any]:
        """What there is of it; times only of a device that is `real`."""
        status, why = _status(self.missing, self.wrong, real)
        told: dict[str, Any] = {"name": self.name, "status": status, "why": why}
        spreads = {clock: Spread.of(self.us(clock)) if status == MEASURED else None for clock in CLOCKS}
        told |= {f"by_{clock}_us": None if s is None else s.as_json() for clock, s in spreads.items()}
        return {**told, "counts": {} if status in (MISSING, WRONG) else dict(self.counts)}


@dataclass(frozen=True, slots=True)
class Figure:
    """What follows from rows: float64 [rounds], in a unit ("" of a ratio), and what it should be."""

    name: str
    unit: str
    values: F64
    goal: Goal | None = None
    missing: str | None = None
    wrong: str | None = None

    def as_json(self, real: bool) -> dict[str, Any]:
        spread = Spread.of(self.values)
        missing = self.missing or (NOT_MEASURED if spread is None and real else None)
        status, why = _status(missing, self.wrong, real)
        told: dict[str, Any] = {"name": self.name, "status": status, "why": why, "unit": self.unit}
        there = spread if status == MEASURED else None
        told |= {"median": None, "p10": None, "p90": None} if there is None else there.as_json()
        met = None if self.goal is None or there is None else self.goal.met(there.median)
        return {**told, "goal": None if self.goal is None else str(self.goal), "met": met}


@dataclass(frozen=True, slots=True)
class Section:
    """Contenders that ran in turns, and what follows; `failed` says what ended it before there were any."""

    title: str
    how: str
    rows: Sequence[Row] = ()
    figures: Sequence[Figure] = ()
    failed: str | None = None

    def wrong(self) -> list[str]:
        """What must not be believed, and why."""
        own = [] if self.failed is None else [f"{self.title}: {self.failed}"]
        return [*own, *(f"{self.title}: {row.name}: {row.wrong}" for row in self.rows if row.wrong is not None)]

    def as_json(self, real: bool) -> dict[str, Any]:
        rows, figures = ([part.as_json(real) for part in parts] for parts in (self.rows, self.figures))
        return {"title": self.title, "how": self.how, "failed": self.failed, "rows": rows, "figures": figures}


def figure(name: str, unit: str, rows: Sequence[Row], values: Callable[[], F64], goal: Goal | None = None) -> Figure:
    """What `values` makes of rows; nothing where one of them is missing or wrong."""
    wrong = next((f"{row.name} is" for row in rows if row.wrong is not None), None)
    missing = next((f"{row.name}: {row.missing}" for row in rows if row.missing is not None), None)
    found = values() if wrong is None and missing is None else np.zeros(0)
    return Figure(name, unit, found, goal, missing, wrong)


def ratio(top: Row, bottom: Row, clock: str, goal: Goal | None = None) -> Figure:
    """Round by round, by one of the clocks."""
    name = f"{top.name} / {bottom.name}, by {clock}"
    told = figure(name, "", (top, bottom), lambda: _ratios(top.us(clock), bottom.us(clock)), goal)
    return told if told.values.size or told.missing or told.wrong else replace(told, missing=NOT_SO)


def _ratios(above: F64, below: F64) -> F64:
    return divided(above, below) if above.size == below.size else np.zeros(0)


def rate(name: str, unit: str, row: Row, amount: float, goal: Goal | None = None) -> Figure:
    """Amount / microseconds of one launch, by events; `unit` is that of the amount in a microsecond."""
    return figure(name, unit, (row,), lambda: divided(np.full(row.us("events").size, amount), row.us("events")), goal)


def divided(above: F64, below: F64) -> F64:
    """Infinite or no number where below took no time."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return above / below


def _status(missing: str | None, wrong: str | None, real: bool) -> tuple[str, str | None]:
    if wrong is not None:
        return WRONG, wrong
    if missing is not None:
        return MISSING, missing
    return (MEASURED, None) if real else (EMULATED, "times of an emulated device mean nothing")


def _short(value: float) -> float:
    return float(f"{value:.5g}")
