"""Stages: where the time of an answer goes, from the first copy of a sample to the result, and what the engine adds.

The copy is timed around `push`, the other stages by the engine's own stopwatch, the whole around both, so what is left
is real: `everything else` is what no stage accounts for.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgefuse.bench.moments import Feed
from edgefuse.bench.timing import percentiles, rounded
from edgefuse.types import F64, NS_PER_MS

ELSE = "everything else"
WHOLE = "total"
KEPT = 20_000  # answers, at most


class Watched:
    """Answers of a feed, and what the stages of the last of them took.

    While it is timed it only keeps what it is given; `rows` makes sense of that later.
    """

    def __init__(self, feed: Feed, names: Sequence[str] | None = None) -> None:
        """names: the streams that are new each time, all where it is not said."""
        self._feed, self._names = feed, names
        self._kept: deque[tuple[int, int, int, Mapping[str, float]]] = deque(maxlen=KEPT)

    def __call__(self) -> Mapping[str, Any]:
        start_ns = time.perf_counter_ns()
        t_ns = self._feed.push(self._names)
        copied_ns = time.perf_counter_ns()
        result = self._feed.engine.step(t_ns)
        self._kept.append((start_ns, copied_ns, time.perf_counter_ns(), result.timing_ms))
        return result.outputs

    def rows(self, last: int) -> list[dict[str, float]]:
        """Stage -> ms of so many answers, the last ones, as far as they are kept."""
        return [
            {**split(timing_ms), "copy": (copied_ns - start_ns) / NS_PER_MS, WHOLE: (end_ns - start_ns) / NS_PER_MS}
            for start_ns, copied_ns, end_ns, timing_ms in list(self._kept)[-last:]
        ]


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
    told = {"mean_ms": rounded(ms.mean()), **percentiles(ms), "max_ms": rounded(ms.max())}
    return {**told, "share": round(float(ms.mean() / whole.mean()), 4)}
