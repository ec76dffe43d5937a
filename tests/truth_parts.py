"""What the float64 truths are made of: one sample's rows, and the few functions that the formulas name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
TINY = 1e-12


@dataclass(frozen=True)
class Case:
    """One sample: u[i] of each stream, None where nothing is taken; the biases b[i]; join parameters by name."""

    u: Sequence[Vector | None]
    b: Sequence[Vector]
    join: Mapping[str, Vector]
    dim: int
    rank: int

    @property
    def taken(self) -> list[int]:
        return [i for i, row in enumerate(self.u) if row is not None]

    def row(self, i: int) -> Vector:
        row = self.u[i]
        assert row is not None
        return row


def sigma(v: Vector) -> Vector:
    return np.array([1 / (1 + math.exp(-t)) if t >= 0 else math.exp(t) / (1 + math.exp(t)) for t in np.atleast_1d(v)])


def softmax(v: Sequence[float] | Vector) -> Vector:
    e = [math.exp(t - max(v)) for t in v]
    return np.array(e) / sum(e)


def log_softmax(v: Vector) -> Vector:
    top = max(v)
    return v - top - math.log(sum(math.exp(t - top) for t in v))


def unit(v: Vector) -> Vector:
    return v / max(math.sqrt(sum(t * t for t in v)), TINY)


def signed_root(s: Vector) -> Vector:
    return np.array([t / math.sqrt(max(abs(t), TINY)) for t in s])


def floored_log(p: Vector) -> Vector:
    return np.array([math.log(max(t, TINY)) for t in p])


def residual(h: Vector, weight: Vector, bias: Vector, gate: bool) -> Vector:
    d = len(h)
    step = np.maximum(weight[:, :d].T @ h + bias[:d], 0.0)
    return h + (sigma(weight[:, d:].T @ h + bias[d:]) * step if gate else step)


def relu(v: Vector) -> Vector:
    return np.maximum(v, 0.0)


def gelu(v: Vector) -> Vector:
    return np.array([0.5 * t * (1 + math.erf(t / math.sqrt(2))) for t in v])
