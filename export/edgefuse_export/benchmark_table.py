"""What the operator benchmark found, as figures with their intervals: a table for a person, Markdown and JSON."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgefuse_export.benchmark_store import JOINER, Outcome
from edgefuse_export.benchmark_training import Protocol, fresh_model
from edgefuse_export.digits import VIEWS
from edgefuse_export.models import FusionModel

Latency = Callable[[FusionModel], float | None]  # one measurement of the fuse stage on this device, in microseconds
ROUNDS = 7
HEADINGS = ("operator", "all views", "all subsets", "one view missing", "fusion parameters", "parameters", "fuse, us")
_PAGE_ABOVE = f"""# Operators compared on handwritten digits

UCI Multiple Features: {{digits}} digits in six views ({", ".join(VIEWS)}).
Every operator meets the same splits and encoders (Linear to {{hidden}}, ReLU, Linear to {{embedding}}), and gets
{{epochs}} epochs of Adam with each view dropped at {{drop_rate}}. Folds: {{folds}}, stratified; seeds: {{seeds}}.
Made by `edgefuse-export benchmark-operators`.
"""
_PAGE_BELOW = f"""
Accuracies in %. *All subsets*: the mean over the {2 ** len(VIEWS) - 1} subsets of the views. *One view missing*:
without the view that is missed most, and which that is. After ±: corrected resampled t intervals at 95 % over folds and
seeds (Nadeau and Bengio 2003). They cover another draw of as many digits and other seeds, not other data. All operators
met the same splits, so differences between two of them are surer than their intervals look."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean accuracy, and half the length of its 95 % interval; None where one training cannot tell."""

    mean: float
    half: float | None

    def __str__(self) -> str:
        return f"{100 * self.mean:.1f}" + (f" ± {100 * self.half:.1f}" if self.half is not None else "")


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """One operator. all_views, subsets (the mean over all of them), and without the view that is missed most.

    not_finite   trainings that ended with a loss that is none; they are counted in the figures like any other
    latency_us   of the fuse stage, all views present; None where it was not measured
    """

    operator: str
    all_views: Figure
    subsets: Figure
    missing: Figure
    missing_view: str
    fusion_parameters: int
    parameters: int
    latency_us: float | None
    trainings: int
    not_finite: int


def corrected_interval(values: Sequence[float], folds: int) -> Figure:
    """Mean over cross-validated accuracies, with the corrected resampled t interval at 95 %.

    Of n values with variance s2 the half length is t(n - 1) sqrt((1 / n + 1 / (folds - 1)) s2): Nadeau and Bengio 2003,
    doi 10.1023/A:1024068626366. The second term is there because the n trainings share most of their data and, from
    seed to seed, all of their test rows; without it the interval would be far too short. It covers another draw of as
    many digits and other seeds, as far as that correction, a rule of thumb, goes; it does not cover other data, nor
    another protocol. All operators met the same splits, so differences between two of them are surer than their
    intervals look.
    """
    mean, n = statistics.fmean(values), len(values)
    if n < 2:
        return Figure(mean, None)
    return Figure(mean, student_t(n - 1) * ((1 / n + 1 / (folds - 1)) * statistics.variance(values)) ** 0.5)


def student_t(freedom: int) -> float:
    """The 97.5 % quantile of Student's t, from its distribution function by numbers (t = sqrt(freedom) tan(angle))."""
    angles = np.linspace(0.0, np.pi / 2, 200_001)
    density = np.cos(angles) ** (freedom - 1)
    area = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return float(freedom**0.5 * np.tan(np.interp(0.95, area / area[-1], angles)))


def rows(outcomes: Sequence[Outcome], protocol: Protocol, latency: Latency) -> list[OperatorRow]:
    """One row an operator, in the order in which they come."""
    names = list(dict.fromkeys(outcome.operator for outcome in outcomes))
    models = {name: fresh_model(name, protocol).eval() for name in names}
    took_us = interleaved(models, latency)
    own = {name: [outcome for outcome in outcomes if outcome.operator == name] for name in names}
    return [_row(name, own[name], protocol, models[name], took_us[name]) for name in names]


def interleaved(models: Mapping[str, FusionModel], latency: Latency) -> dict[str, float | None]:
    """Median over rounds in which every model has its turn, so that a slow moment of the machine meets them all."""
    rounds = [{name: latency(model) for name, model in models.items()} for _ in range(ROUNDS)]
    columns = {name: [one[name] for one in rounds] for name in models}
    known = {name: [us for us in column if us is not None] for name, column in columns.items()}
    return {name: statistics.median(column) if column else None for name, column in known.items()}


def text(table: Sequence[OperatorRow]) -> str:
    """The table in columns for a terminal."""
    cells = [HEADINGS, *(_cells(row) for row in table)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells) + _diverged(table)


def markdown(table: Sequence[OperatorRow], protocol: Protocol, digits: int) -> str:
    """A page: what was done, the table, and what the intervals mean."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *(_cells(row) for row in table)]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{_PAGE_ABOVE.format(**asdict(protocol), digits=digits)}\n{body}\n{_PAGE_BELOW}{_diverged(table)}\n"


def as_json(table: Sequence[OperatorRow], protocol: Protocol, digits: int) -> dict[str, Any]:
    """The same as a document."""
    return {"protocol": asdict(protocol), "digits": digits, "operators": [asdict(row) for row in table]}


def _cells(row: OperatorRow) -> tuple[str, ...]:
    missing = f"{row.missing} ({row.missing_view})"
    latency = "-" if row.latency_us is None else f"{row.latency_us:.1f}"
    counts = (f"{row.fusion_parameters:,}", f"{row.parameters:,}")
    return (row.operator, str(row.all_views), str(row.subsets), missing, *counts, latency)


def _diverged(table: Sequence[OperatorRow]) -> str:
    found = [f"{row.operator} {row.not_finite} of {row.trainings}" for row in table if row.not_finite]
    return f"\n\nTrainings that ended without a finite loss: {', '.join(found)}." if found else ""


def _row(
    operator: str, outcomes: Sequence[Outcome], protocol: Protocol, model: FusionModel, latency_us: float | None
) -> OperatorRow:
    def figure(*absent: str) -> Figure:
        present = JOINER.join(name for name in VIEWS if name not in absent)
        return corrected_interval([outcome.accuracy[present] for outcome in outcomes], protocol.folds)

    # Which view is missed most is asked of the means: the worst of each training would be lower by luck alone.
    without = {view: figure(view) for view in VIEWS}
    worst = min(without, key=lambda view: without[view].mean)
    means = [statistics.fmean(outcome.accuracy.values()) for outcome in outcomes]
    return OperatorRow(
        operator=operator,
        all_views=figure(),
        subsets=corrected_interval(means, protocol.folds),
        missing=without[worst],
        missing_view=worst,
        fusion_parameters=sum(p.numel() for p in model.fusion.parameters()),
        parameters=sum(p.numel() for p in model.parameters()),
        latency_us=latency_us,
        trainings=len(outcomes),
        not_finite=sum(outcome.loss is None for outcome in outcomes),
    )
