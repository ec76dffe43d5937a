"""The score of one set of answers: a metric with its interval, by the kind of output that was answered."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgefuse.bundle import Bundle
from edgefuse.calibration import NONE, Calibration
from edgefuse.datasheet import Z_95, Better
from edgefuse.types import F64, Array
from edgefuse_export.calibration import Groups, calibrated, share
from edgefuse_export.errors import ExportError


@dataclass(frozen=True, slots=True)
class Score:
    """A metric with its 95 % interval; of classes also what makes probabilities honest, and their error."""

    value: float
    low: float
    high: float
    calibration: Calibration = NONE
    ece: float | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """As a figure of the datasheet has them."""
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class Metric:
    """What is measured of a kind of output, and how: answers [n, K], truths, groups -> Score.

    again: the same with a calibration that is known already.
    """

    name: str
    better: Better
    score: Callable[[Array, Array, Groups | None], Score]
    again: Callable[[Array, Array, Groups | None, Calibration], Score]


def of_classes(logits: Array, labels: Array, groups: Groups | None) -> Score:
    """The share of right answers, each with a calibration from the other half of the recordings."""
    found = calibrated(logits, labels, groups)
    return Score(*share(found.right(labels), groups), found.calibration, found.error(labels))


def of_values(values: Array, targets: Array, groups: Groups | None) -> Score:
    """The mean absolute error over rows and values, in the unit of the output."""
    errors = np.abs(values.astype(np.float64) - targets).mean(1)
    half = Z_95 * standard_error(errors, groups)
    mean = float(errors.mean())
    return Score(mean, max(0.0, mean - half), mean + half)


def standard_error(values: F64, groups: Groups | None) -> float:
    """Of the mean of values [n]; rows of one recording are alike, and whole recordings are what varies (Kish 1965)."""
    whose = np.arange(len(values)) if groups is None else np.unique(groups, return_inverse=True)[1]
    sums, sizes = np.bincount(whose, weights=values), np.bincount(whose)
    m = len(sizes)
    if m < 2:
        return float(values.std())  # of one recording nobody can tell
    between = ((sums - values.mean() * sizes) ** 2).sum()
    return math.sqrt(m / (m - 1) * between) / len(values)


def _again_classes(logits: Array, labels: Array, groups: Groups | None, known: Calibration) -> Score:
    return Score(*share(known.scores(logits).argmax(1) == labels, groups), known)


def _again_values(values: Array, targets: Array, groups: Groups | None, known: Calibration) -> Score:
    return of_values(values, targets, groups)


METRICS: Mapping[str, Metric] = {
    "class_logits": Metric("accuracy", "higher", of_classes, _again_classes),
    "regression": Metric("mean absolute error", "lower", of_values, _again_values),
}


def metric_of(bundle: Bundle, output: str) -> Metric:
    """What is measured of an output. ExportError where there is no such output, or nothing to measure of its kind."""
    kinds = {o.name: o.kind for o in bundle.manifest.head.outputs}
    if kinds.get(output) not in METRICS:
        can = ", ".join(name for name, kind in kinds.items() if kind in METRICS) or "none"
        raise ExportError(f"output {output!r} cannot be measured; those that can: {can}")
    return METRICS[kinds[output]]
