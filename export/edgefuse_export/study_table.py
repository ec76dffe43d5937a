"""What a study of absence says: by subset the one bundle, the specialist, and their difference with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgefuse.types import F64
from edgefuse_export.study import JOINER, Outcome, Role

RESAMPLES = 2000
AVERAGE_POINTS, WORST_POINTS = -1.0, -2.0  # of accuracy: what the one bundle may stay behind


@dataclass(frozen=True, slots=True)
class Row:
    """One subset: accuracies in percent, mean over the seeds, and the difference in points with a 95 % interval.

    rival   the specialist's; of all streams, that of the model trained without absence
    """

    streams: tuple[str, ...]
    bundle: float
    rival: float
    points: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The rows, their mean and worst difference in points, and over how many test rows, groups and seeds.

    untrained   mean accuracy over the subsets, in percent, of the model that was not trained for absence
    """

    rows: tuple[Row, ...]
    average: float
    worst: float
    whole: float
    untrained: float
    n: int
    groups: int
    seeds: int

    @property
    def reached(self) -> bool:
        """Within a point on average and two at worst, and with all streams not below the one without dropout."""
        return self.average >= AVERAGE_POINTS and self.worst >= WORST_POINTS and self.whole >= 0.0

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "reached": self.reached}


def verdict(outcomes: Sequence[Outcome], groups: NDArray[np.int64] | None) -> Verdict:
    """From all outcomes of a study; groups int64 [n]: the recording of each test row, None: each of its own."""
    subsets = list(next(o for o in outcomes if o.role == "bundle").right)
    rows = tuple(_row(outcomes, subset, groups) for subset in subsets)
    differences = [row.points for row in rows]
    untrained = [100 * float(_right(outcomes, "whole", subset).mean()) for subset in subsets]
    n = outcomes[0].n
    return Verdict(
        rows=rows,
        average=float(np.mean(differences)),
        worst=min(differences),
        whole=rows[-1].points,
        untrained=float(np.mean(untrained)),
        n=n,
        groups=n if groups is None else len(np.unique(groups)),
        seeds=len({o.seed for o in outcomes}),
    )


def _row(outcomes: Sequence[Outcome], subset: str, groups: NDArray[np.int64] | None) -> Row:
    streams = tuple(subset.split(JOINER))
    bundle = _right(outcomes, "bundle", subset)
    rival = _right(outcomes, "specialist" if _has(outcomes, subset) else "whole", subset)
    low, high = interval(bundle - rival, groups)
    points = 100 * float((bundle - rival).mean())
    return Row(streams, 100 * float(bundle.mean()), 100 * float(rival.mean()), points, 100 * low, 100 * high)


def _has(outcomes: Sequence[Outcome], subset: str) -> bool:
    return any(o.role == "specialist" and o.streams == subset for o in outcomes)


def _right(outcomes: Sequence[Outcome], role: Role, subset: str) -> F64:
    """float64 [seeds, n]: 1 where a model of this role is right about a row from this subset."""
    found = [o for o in outcomes if o.role == role and subset in o.right]
    return np.array([o.rows(subset) for o in sorted(found, key=lambda o: o.seed)], dtype=np.float64)


def interval(differences: F64, groups: NDArray[np.int64] | None) -> tuple[float, float]:
    """95 % of the means over resampled seeds and groups (bootstrap of both), from differences [seeds, n].

    Efron and Tibshirani 1993, An Introduction to the Bootstrap, with whole groups drawn, as rows of one are alike.
    """
    rng = np.random.default_rng(0)
    seeds, n = differences.shape
    whose = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(whose).astype(np.float64)
    sums = np.array([np.bincount(whose, weights=row) for row in differences])
    means = []
    for _ in range(RESAMPLES):
        drawn = rng.integers(len(sizes), size=len(sizes))
        chosen = sums[rng.integers(seeds, size=seeds)].mean(0)
        means.append(chosen[drawn].sum() / sizes[drawn].sum())
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def text(found: Verdict) -> str:
    """For a terminal."""
    lines = ["bundle  specialist  difference in points, 95 %   streams"]
    for row in found.rows:
        span = f"[{row.low:+.1f}, {row.high:+.1f}]"
        lines.append(
            f"{row.bundle:5.1f}   {row.rival:9.1f}   {row.points:+6.1f}  {span:<16}   {', '.join(row.streams)}"
        )
    return "\n".join([*lines, *_words(found)])


def markdown(found: Verdict) -> str:
    """The table for a page."""
    lines = ["| streams | one bundle % | specialist % | difference, points | 95 % |", "| --- | --- | --- | --- | --- |"]
    for row in found.rows:
        cells = (f"{row.bundle:.1f}", f"{row.rival:.1f}", f"{row.points:+.1f}", f"{row.low:+.1f} to {row.high:+.1f}")
        lines.append(f"| {', '.join(row.streams)} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *_words(found)]) + "\n"


def _words(found: Verdict) -> list[str]:
    goal = f"{AVERAGE_POINTS:g} on average and {WORST_POINTS:g} at worst"
    of = f"{found.n} test rows" + (f" of {found.groups} groups" if found.groups < found.n else "")
    own = float(np.mean([row.bundle for row in found.rows]))
    return [
        f"{found.average:+.2f} points on average, {found.worst:+.1f} at worst, where at least {goal} are asked;",
        f"with all streams {found.whole:+.1f} to the same model trained on the whole set alone.",
        f"{of}, {found.seeds} seeds. Over all subsets {own:.1f} %; not trained for absence {found.untrained:.1f} %.",
    ]
