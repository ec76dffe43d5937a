"""Honest numbers: shares with intervals that know of recordings, probabilities with a temperature, and their error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from edgefuse.calibration import NONE, Calibration, softmax
from edgefuse.types import F64, Array
from edgefuse_export.evaluate import wilson

BINS = 15
LOG_T = float(np.log(20.0))  # no temperature is beyond 20, or below a twentieth
Groups = NDArray[np.int64]


def share(right: NDArray[np.bool_], groups: Groups | None) -> tuple[float, float, float]:
    """The share of right answers and its 95 % interval (Wilson), on as many rows as these are worth.

    Rows of one recording are alike: n is divided by the design effect (Kish 1965, Survey Sampling), the variance
    between recordings over what independent rows would have. It never counts more rows than there are.
    """
    n, hits = len(right), int(right.sum())
    worth = n if groups is None else effective(right, groups)
    low, high = wilson(hits / n * worth, worth)
    return hits / n, low, high


def effective(right: NDArray[np.bool_], groups: Groups) -> float:
    """How many independent rows would tell as much."""
    whose = np.unique(groups, return_inverse=True)[1]
    sizes, hits = np.bincount(whose), np.bincount(whose, weights=right)
    n, p, m = len(right), float(right.mean()), len(sizes)
    alone = p * (1 - p) / n
    if m < 2 or alone == 0.0:
        return float(m)
    between = float((m / (m - 1)) * ((hits - p * sizes) ** 2).sum() / n**2)
    return float(n) if between == 0.0 else min(float(n), n * alone / between)


def fit(logits: Array, labels: NDArray[np.int64], biased: bool) -> Calibration:
    """What makes labels int64 [n] likeliest, of logits [n, K]: a temperature and, if biased, a value a class.

    Guo et al. 2017, arXiv 1706.04599; Alexandari et al. 2020, arXiv 1901.06852. The values count as if one row more had
    said that they are small, so that a class which is never seen does not send them to infinity.
    """
    rows, n = logits.astype(np.float64), len(labels)
    hit = np.eye(rows.shape[1])[labels]

    def loss(x: F64) -> tuple[float, F64]:
        scaled = rows * np.exp(-x[0])
        p = softmax(scaled + x[1:])
        off = (p - hit) / n
        slope = np.concatenate([[-(off * scaled).sum()], off.sum(0) + x[1:] / n])
        likely = np.log(np.maximum(p[np.arange(n), labels], 1e-300))
        slope[1:] *= biased
        return float(0.5 * (x[1:] ** 2).sum() / n - likely.mean()), slope

    bounds = [(-LOG_T, LOG_T), *[(None, None)] * rows.shape[1]]
    found = minimize(loss, np.zeros(1 + rows.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds)
    bias = tuple(round(float(b), 6) for b in found.x[1:]) if biased else ()
    return Calibration(round(float(np.exp(found.x[0])), 6), bias)


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A calibration from all rows, and probabilities float64 [n, K] by ones from the other half of the recordings."""

    calibration: Calibration
    held_out: F64

    def right(self, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """bool [n]: of which rows the likeliest class is right."""
        found: NDArray[np.bool_] = self.held_out.argmax(1) == labels
        return found

    def error(self, labels: NDArray[np.int64]) -> float:
        """As of `calibration_error`."""
        return calibration_error(self.held_out, labels)


def calibrated(logits: Array, labels: NDArray[np.int64], groups: Groups | None) -> Calibrated:
    """With a bias where, in the halves that it was not fitted on, it makes the labels likelier; else without."""
    whose = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    plain, biased = (_held_out(logits, labels, whose % 2 == 0, biased) for biased in (False, True))
    worth = _surprise(biased, labels) < _surprise(plain, labels)
    return Calibrated(fit(logits, labels, worth), biased if worth else plain)


def _held_out(logits: Array, labels: NDArray[np.int64], half: NDArray[np.bool_], biased: bool) -> F64:
    probabilities = np.zeros(logits.shape)
    for own, other in ((half, ~half), (~half, half)):
        if own.any():
            told = fit(logits[other], labels[other], biased) if other.any() else NONE
            probabilities[own] = softmax(told.scores(logits[own]))
    return probabilities


def _surprise(probabilities: F64, labels: NDArray[np.int64]) -> float:
    return float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-300)).mean())


def calibration_error(probabilities: F64, labels: NDArray[np.int64]) -> float:
    """Expected calibration error: |how often right - how sure|, over 15 equal bins of the largest probability.

    Naeini et al. 2015, AAAI. Of n rows it is biased upwards by about sqrt(K / n) even where all is honest.
    """
    sure, right = probabilities.max(1), probabilities.argmax(1) == labels
    which = np.minimum((sure * BINS).astype(int), BINS - 1)
    counts = np.bincount(which, minlength=BINS)
    gaps = np.bincount(which, weights=right - sure, minlength=BINS)
    return float(np.abs(gaps).sum() / max(1, counts.sum()))
