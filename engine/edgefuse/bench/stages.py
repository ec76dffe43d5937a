"""Stages: where the time of an answer goes, from the first copy of a sample to the result, and what the engine adds.

The copy is timed around `push`, the other stages by the engine's own stopwatch, the whole around both, so what is left
is real: `everything else` is what no stage accounts for.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgefuse.bench.moments import Feed
from edgefuse.bench.timing import PERCENTILES, least_count
from edgefuse.types import F64

ELSE = "everything else"
WHOLE = "total"


class Watched:
    """Answers of a feed, each with what its stages took."""

    def __init__(self, feed: Feed, names: Sequence[str] | None = None) -> None:
        """names: the streams that are new each time, all where it is not said."""
        self._feed, self._names = feed, names
        self.rows: list[Mapping[str, float]] = []

    def __call__(self) -> Mapping[str, Any]:
        start_ns = time.perf_counter_ns()
        t_ns = self._feed.push(self._names)
        copied_ns = time.perf_counter_ns()
        result = self._feed.engine.step(t_ns)
        whole_ms = (time.perf_counter_ns() - start_ns) / 1e6
        self.rows.append({**split(result.timing_ms), "copy": (copied_ns - start_ns) / 1e6, WHOLE: whole_ms})
        return result.outputs


def split(timing_ms: Mapping[str, float]) -> dict[str, float]:
    """A result's timings with the encoders one by one instead of together."""
    whole = ("total", "encode")
    return {s: ms for s, ms in timing_ms.items() if s.startswith("encode.") or ("." not in s and s not in whole)}


def table(rows: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Stage -> mean_ms, share of the total's mean, and the percentiles that so many answers support; the total last.

    Means add up: what is left of the total's is `everything else`.
    """
    order = ["copy", *(s for s in dict.fromkeys(s for row in rows for s in row) if s not in ("copy", WHOLE))]
    columns = {stage: np.array([row.get(stage, 0.0) for row in rows]) for stage in [*order, WHOLE]}
    columns[ELSE] = columns[WHOLE] - sum(columns[stage] for stage in order)
    return {stage: _figures(columns[stage], columns[WHOLE]) for stage in [*order, ELSE, WHOLE]}


def _figures(ms: F64, whole: F64) -> dict[str, float]:
    told = {f"p{q:g}_ms": float(np.percentile(ms, q)) for q in PERCENTILES if ms.size >= least_count(q)}
    figures = {"mean_ms": float(ms.mean()), **told, "max_ms": float(ms.max())}
    return {
        **{key: round(value, 5) for key, value in figures.items()},
        "share": round(float(ms.mean() / whole.mean()), 4),
    }
