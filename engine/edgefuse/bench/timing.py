"""Timing: durations of contenders that ran interleaved, the percentiles that their number supports, and ratios.

Ratios come from one run, with their spread; absolute times are printed with them because people ask, and mean little on
another machine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgefuse.types import F64, Array

BLOCKS = 10  # a ratio is given for the whole run and for each tenth of it: the spread
PERCENTILES = (50.0, 90.0, 99.0, 99.9)
_Z = 2.5758  # of a normal variable that lies within +-z in 99 %

Contender = Callable[[], Mapping[str, Array]]


def least_count(percentile: float) -> int:
    """Durations that a percentile needs, to lie in 99 % of runs within its own tail: (p +- (1 - p)) of all of them.

    n = z^2 p / (1 - p), the normal approximation of the binomial, as MLPerf's rules size their runs (Reddi et al. 2020,
    MLPerf Inference Benchmark): 657 for p99, 6,629 for p99.9.
    """
    p = percentile / 100.0
    return math.ceil(round(_Z**2 * p / (1.0 - p), 6))


def percentiles(ms: F64) -> dict[str, float]:
    """`p50_ms` and so on, those that so many durations support."""
    return {f"p{q:g}_ms": rounded(np.percentile(ms, q)) for q in PERCENTILES if ms.size >= least_count(q)}


def rounded(ms: float) -> float:
    """To ten nanoseconds."""
    return round(float(ms), 5)


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations of one contender in one scenario: float64 [rounds], milliseconds, in order."""

    name: str
    ms: F64

    def as_json(self) -> dict[str, Any]:
        """Percentiles that there are enough durations for, the others under `too_few`, and medians by tenths.

        jitter_ms: mean absolute difference of successive durations.
        """
        told = percentiles(self.ms)
        return {
            "n": self.ms.size,
            **told,
            "mean_ms": rounded(self.ms.mean()),
            "max_ms": rounded(self.ms.max()),
            "jitter_ms": rounded(np.abs(np.diff(self.ms)).mean() if self.ms.size > 1 else 0.0),
            "too_few": [f"p{q:g}" for q in PERCENTILES if f"p{q:g}_ms" not in told],
            "tenths_ms": [rounded(np.median(block)) for block in self.blocks()],
        }

    def blocks(self) -> list[F64]:
        """The tenths of the run, or single durations where there are fewer."""
        return np.array_split(self.ms, min(BLOCKS, self.ms.size))

    def ratio_to(self, other: Timing) -> dict[str, float]:
        """Median over median, and the lowest and highest of the same ratio within each tenth; p99 where n supports it.

        Where one took no measurable time there is no ratio; it is left out.
        """
        mine, theirs = float(np.median(self.ms)), float(np.median(other.ms))
        if mine <= 0.0 or theirs <= 0.0:
            return {}
        most = min(BLOCKS, self.ms.size, other.ms.size)
        pairs = zip(np.array_split(self.ms, most), np.array_split(other.ms, most), strict=True)
        tenths = [float(np.median(a) / np.median(b)) for a, b in pairs]
        ratio = {"p50": mine / theirs, "low": min(tenths), "high": max(tenths)}
        if min(self.ms.size, other.ms.size) >= least_count(99.0):
            ratio["p99"] = float(np.percentile(self.ms, 99) / np.percentile(other.ms, 99))
        return {key: round(value, 4) for key, value in ratio.items()}


def interleave(
    contenders: Mapping[str, Callable[[], object]],
    rounds: int,
    warmup: int,
    *,
    warm: bool = False,
    least_s: float = 0.0,
    pause: Callable[[], None] | None = None,
) -> Sequence[Timing]:
    """Time every contender once a round, the first of each round rotating, after `warmup` rounds that are not kept.

    warm: run each once more right before it is timed, so that it finds its own data in the caches
    least_s: go on for as long as this, whatever `rounds` says
    pause: what happens before each is timed
    """
    names = list(contenders)
    ns: list[list[int]] = [[] for _ in names]
    begun_s, i = time.monotonic(), -warmup
    while i < rounds or time.monotonic() - begun_s < least_s:
        for k in range(len(names)):
            which = (k + i) % len(names)  # nobody is always the one that runs after the same neighbour
            run = contenders[names[which]]
            if warm:
                run()
            if pause is not None and i >= 0:
                pause()
            start_ns = time.perf_counter_ns()
            run()
            if i >= 0:
                ns[which].append(time.perf_counter_ns() - start_ns)
        i += 1
    return [Timing(name, np.array(row, np.float64) / 1e6) for name, row in zip(names, ns, strict=True)]
