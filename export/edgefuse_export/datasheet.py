"""The datasheet of a bundle, measured by the bundle itself: every subset, every rung, every age, and their cost."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgefuse.calibration import Calibration
from edgefuse.datasheet import AgeFigure, Datasheet, RungFigure, SubsetFigure
from edgefuse.offline import Offline
from edgefuse.operators import subsets
from edgefuse.types import F32, U8, Rung
from edgefuse_export.errors import ExportError
from edgefuse_export.estimate import estimate_of
from edgefuse_export.held_out import Moments, Shown
from edgefuse_export.score import Metric, Score, metric_of
from edgefuse_export.usable import usable

ALL_UP_TO = 8  # streams; above, the telling subsets and some at random
SAMPLED = 200
AGES_MS = (0.0, 100.0, 200.0, 400.0, 700.0, 1000.0, 1500.0, 2000.0, 3000.0, 5000.0)
ROUNDS = 30  # of every timing
WORTH_IT = 0.002  # by so much a stand-in must beat the mask, which costs nothing


@dataclass(frozen=True, slots=True)
class Measured:
    """The sheet, the best rung, and what was left out of the measurement and why."""

    sheet: Datasheet
    rung: Rung
    notes: tuple[str, ...]


def asked_subsets(names: Sequence[str]) -> list[tuple[str, ...]]:
    """All subsets of few streams; of many each alone, each missing, all, and some drawn from seed 0."""
    n = len(names)
    if n <= ALL_UP_TO:
        return subsets(names)
    telling = [(i,) for i in range(n)] + [tuple(j for j in range(n) if j != i) for i in range(n)] + [tuple(range(n))]
    drawn = np.random.default_rng(0).random((SAMPLED, n)) < 0.5
    some = [tuple(int(i) for i in np.flatnonzero(row)) for row in drawn if row.any()]
    return [tuple(names[i] for i in chosen) for chosen in dict.fromkeys([*telling, *some])]


def measure(
    offline: Offline,
    output: str,
    split: str,
    moments: Moments,
    aged: Callable[[int, float], Moments] | None,
    shown: Shown,
    within: float | None = None,
) -> Measured:
    """Everything about one output. aged(i, ms): the same moments with stream i older, where they are a sequence.

    within: refuse where a 95 % interval is wider than plus and minus this. ExportError also for truths that cannot be
    measured on.
    """
    metric = metric_of(offline.bundle, output)
    moments, notes = usable(moments, offline, output)
    names = offline.plan.names
    asked = asked_subsets(names)
    masks, whole = _masks(offline, asked), asked.index(tuple(names))
    scored = {
        rung: _scored(metric, _answers(offline, output, moments, masks, rung, shown), moments) for rung in offline.rungs
    }
    best = _best(scored, metric)
    figures = _subset_figures(asked, scored[best], moments, _latencies(offline, masks))
    if within is not None:
        _refuse_wide(figures, within)
    known = scored[best][whole].calibration
    ages = () if aged is None else tuple(_ages(offline, output, aged, best, metric, known, shown))
    sheet = Datasheet(
        metric=metric.name,
        better=metric.better,
        output=output,
        split=split,
        subset_trained=offline.bundle.manifest.fallback.subset_trained,
        latency_of=_processor(),
        subsets=figures,
        rungs=tuple(_rung_figures(asked, scored, moments)),
        ages=ages,
        estimate=estimate_of(names, figures),
    )
    return Measured(sheet, best, tuple(notes))


def _masks(offline: Offline, asked: Sequence[Sequence[str]]) -> U8:
    names = offline.plan.names
    return np.array([[name in some for name in names] for some in asked], np.uint8)


def _answers(offline: Offline, output: str, moments: Moments, masks: U8, rung: Rung, shown: Shown) -> F32:
    """float32 [n, M, K]."""
    numbers = shown(iter(range(len(moments))), len(moments), f"subsets, rung {rung}")
    return np.array([offline.answers([e[k] for e in moments.embeddings], masks, rung)[output] for k in numbers])


def _scored(metric: Metric, answers: F32, moments: Moments) -> list[Score]:
    """Of every subset, from answers [n, M, K]."""
    return [metric.score(answers[:, m], moments.labels, moments.groups) for m in range(answers.shape[1])]


def _best(scored: dict[Rung, list[Score]], metric: Metric) -> Rung:
    """The rung that answers best on average over the subsets; the mask, unless another is better by WORTH_IT."""
    means = {rung: float(np.mean([score.value for score in scores])) for rung, scores in scored.items()}
    if metric.better == "lower":
        return min(means, key=lambda rung: means[rung] * (1.0 + WORTH_IT * (rung != "mask")))
    return max(means, key=lambda rung: means[rung] - WORTH_IT * (rung != "mask"))


def _subset_figures(
    asked: Sequence[tuple[str, ...]], scores: Sequence[Score], moments: Moments, latencies: Sequence[float]
) -> tuple[SubsetFigure, ...]:
    return tuple(
        SubsetFigure(
            streams=streams,
            **_figure(own, moments),
            temperature=own.calibration.temperature,
            bias=own.calibration.bias,
            ece=own.ece,
            latency_ms=latency,
        )
        for streams, own, latency in zip(asked, scores, latencies, strict=True)
    )


def _rung_figures(
    asked: Sequence[tuple[str, ...]], scored: dict[Rung, list[Score]], moments: Moments
) -> Iterator[RungFigure]:
    """Of every rung and subset in which it matters."""
    most = max(map(len, asked))
    for rung, scores in scored.items() if len(scored) > 1 else ():
        for streams, own in zip(asked, scores, strict=True):
            if len(streams) < most:
                yield RungFigure(streams=streams, rung=rung, **_figure(own, moments))


def _ages(
    offline: Offline,
    output: str,
    aged: Callable[[int, float], Moments],
    rung: Rung,
    metric: Metric,
    known: Calibration,
    shown: Shown,
) -> Iterator[AgeFigure]:
    """Each stream's samples made older, step by step, up to twice what its bundle lets it be held.

    known: the calibration of all streams, by which they are then judged too.
    """
    every = np.ones((1, len(offline.plan.streams)), np.uint8)
    steps = [
        (own, ms) for own in offline.plan.streams for ms in AGES_MS if ms == 0.0 or ms * 1e6 <= 2.0 * own.max_age_ns
    ]
    for own, ms in shown(iter(steps), len(steps), "ages"):
        moments = aged(own.index, ms)
        answers = _answers(offline, output, moments, every, rung, lambda items, total, what: items)
        score = metric.again(answers[:, 0], moments.labels, moments.groups, known)
        at_ms = 0.0 if moments.age_ms is None else float(moments.age_ms[:, own.index].mean())
        yield AgeFigure(stream=own.name, age_ms=round(at_ms, 1), **_figure(score, moments))


def _figure(score: Score, moments: Moments) -> dict[str, Any]:
    return {**score.fields, "n": len(moments), "recordings": _recordings(moments)}


def _recordings(moments: Moments) -> int | None:
    return None if moments.groups is None else len(np.unique(moments.groups))


def _refuse_wide(figures: Sequence[SubsetFigure], within: float) -> None:
    wide = [f for f in figures if (f.high - f.low) / 2 > within]
    if wide:
        worst = max(wide, key=lambda f: f.high - f.low)
        half = (worst.high - worst.low) / 2
        needed = int(np.ceil(worst.n * (half / within) ** 2))
        what = f"{len(wide)} of {len(figures)} subsets have wider intervals than +-{within:g}; the widest, of"
        raise ExportError(f"{what} {', '.join(worst.streams)}, +-{half:.3f} of n = {worst.n}: it takes about {needed}")


def _latencies(offline: Offline, masks: U8) -> list[float]:
    """Median milliseconds of each subset: its encoders, and fusion and head for its mask."""
    encoders = [_median_ms(lambda i=i: offline.encode_again(i)) for i in range(len(offline.plan.streams))]  # type: ignore[misc]
    found = []
    for mask in masks:
        rest = _median_ms(lambda mask=mask: offline.fuse_again(mask))  # type: ignore[misc]
        found.append(round(sum(ms for ms, on in zip(encoders, mask, strict=True) if on) + rest, 4))
    return found


def _median_ms(work: Callable[[], Any]) -> float:
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter_ns()
        work()
        times.append((time.perf_counter_ns() - begin) / 1e6)
    return statistics.median(times)


def _processor() -> str:
    """The name of this machine's processor, as the kernel tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "an unnamed processor"
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "Model"))]
    return names[0] if names else "an unnamed processor"
