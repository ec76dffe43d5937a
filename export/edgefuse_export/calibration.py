"""Honest numbers: shares with intervals that know of recordings, probabilities with a temperature, and their error."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edgefuse.types import F64, Array
from edgefuse_export.evaluate import wilson

BINS = 15
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


def temperature(logits: Array, labels: NDArray[np.int64]) -> float:
    """The T > 0 with which softmax(logits / T) makes labels int64 [n] likeliest; logits [n, K].

    Guo et al. 2017, arXiv 1706.04599. Golden section over log T, in which the loss has one valley.
    """
    low, high = math.log(0.05), math.log(20.0)
    golden = (math.sqrt(5.0) - 1.0) / 2.0
    a, b = high - golden * (high - low), low + golden * (high - low)
    at_a, at_b = (nll(logits, labels, math.exp(x)) for x in (a, b))
    for _ in range(40):
        if at_a < at_b:
            high, b, at_b = b, a, at_a
            a = high - golden * (high - low)
            at_a = nll(logits, labels, math.exp(a))
        else:
            low, a, at_a = a, b, at_b
            b = low + golden * (high - low)
            at_b = nll(logits, labels, math.exp(b))
    return math.exp((low + high) / 2)


def nll(logits: Array, labels: NDArray[np.int64], t: float) -> float:
    """Mean negative log likelihood of the labels at temperature t."""
    scaled = logits.astype(np.float64) / t
    scaled -= scaled.max(1, keepdims=True)
    norm = np.log(np.exp(scaled).sum(1))
    return float((norm - scaled[np.arange(len(labels)), labels]).mean())


def softmax(logits: Array, t: float) -> F64:
    """Probabilities float64 [n, K] at temperature t."""
    scaled = logits.astype(np.float64) / t
    parts = np.exp(scaled - scaled.max(1, keepdims=True))
    shares: F64 = parts / parts.sum(1, keepdims=True)
    return shares


def calibration_error(probabilities: F64, labels: NDArray[np.int64]) -> float:
    """Expected calibration error: |how often right - how sure|, over 15 equal bins of the largest probability.

    Naeini et al. 2015, AAAI. Of n rows it is biased upwards by about sqrt(K / n) even where all is honest.
    """
    sure, right = probabilities.max(1), probabilities.argmax(1) == labels
    which = np.minimum((sure * BINS).astype(int), BINS - 1)
    counts = np.bincount(which, minlength=BINS)
    gaps = np.bincount(which, weights=right - sure, minlength=BINS)
    return float(np.abs(gaps).sum() / max(1, counts.sum()))


def held_out_error(logits: Array, labels: NDArray[np.int64], groups: Groups | None) -> float:
    """The calibration error of probabilities whose temperature came from the other half of the recordings."""
    whose = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    half = whose % 2 == 0
    probabilities = np.zeros(logits.shape)
    for own, other in ((half, ~half), (~half, half)):
        if own.any():
            t = temperature(logits[other], labels[other]) if other.any() else 1.0
            probabilities[own] = softmax(logits[own], t)
    return calibration_error(probabilities, labels)
