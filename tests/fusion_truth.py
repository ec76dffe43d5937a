"""The operators that kernels run, for one sample, in float64 and straight from their formulas.

Written to be checked by eye against the definitions, and to share nothing with what it checks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from truth_parts import TINY, Case, Vector, floored_log, log_softmax, residual, sigma, signed_root, softmax, unit


def kernel_truth(
    name: str,
    u_weights: Sequence[tuple[NDArray, NDArray]],
    theta: Mapping[str, NDArray],
    x: Sequence[NDArray | None],
    dim: int,
    rank: int = 1,
    stand_ins: Sequence[NDArray | None] | None = None,
) -> Vector:
    """The fused vector of one sample.

    u_weights  (W [d_i, width of u], b [width of u]) of each stream
    theta      join parameters by name, such as "join.weight"
    x          the embedding [d_i] of each stream, None where it is absent
    stand_ins  the rows that take the place of u_i of absent streams; None, or a None in it: nothing does
    """
    relu, operator = OPERATORS[name]
    rows: list[Vector | None] = []
    for i, (weight, bias) in enumerate(u_weights):
        given, stand_in = x[i], None if stand_ins is None else stand_ins[i]
        if given is not None:
            u = np.asarray(given, np.float64) @ np.asarray(weight, np.float64) + np.asarray(bias, np.float64)
            rows.append(np.maximum(u, 0.0) if relu else u)
        else:
            rows.append(None if stand_in is None else np.asarray(stand_in, np.float64))
    biases = [np.asarray(bias, np.float64) for _, bias in u_weights]
    join = {key: np.asarray(value, np.float64) for key, value in theta.items()}
    return np.asarray(operator(Case(rows, biases, join, dim, rank)), np.float64)


# Folds, and blocks side by side.


def concat(c: Case) -> Vector:
    return np.concatenate([np.zeros(c.dim) if row is None else row for row in c.u])


def total(c: Case) -> Vector:
    return np.asarray(sum(c.row(i) for i in c.taken))


def average(c: Case) -> Vector:
    return total(c) / len(c.taken)


def largest(c: Case) -> Vector:
    return np.array([max(c.row(i)[k] for i in c.taken) for k in range(c.dim)])


def product(c: Case) -> Vector:
    return np.asarray(math.prod(c.row(i) for i in c.taken))


def multconcat(c: Case) -> Vector:
    return np.concatenate([concat(c), product(c)])


def multconcat_joint(c: Case) -> Vector:
    return np.concatenate([concat(c), product(c) if len(c.taken) >= 2 else np.zeros(c.dim)])


# Weights and gates.


def weighted(c: Case, a: Vector) -> Vector:
    return np.asarray(sum(a[k] * c.row(i) for k, i in enumerate(c.taken)))


def gated(c: Case) -> Vector:
    logits = [float(c.join["join.weight"][i] @ c.row(i) + c.join["join.bias"][i]) for i in c.taken]
    return weighted(c, softmax(logits))


def cnw(c: Case) -> Vector:
    result = np.zeros(c.dim)
    for k in range(c.dim):
        a = softmax([c.join["join.logit"][i, k] for i in c.taken])
        result[k] = sum(a[n] * c.row(i)[k] for n, i in enumerate(c.taken))
    return result


def embracenet(c: Case) -> Vector:
    return weighted(c, softmax([c.join["join.logit"][i] for i in c.taken]))


def gmu(c: Case) -> Vector:
    values = {i: np.tanh(c.row(i)[: c.dim]) for i in c.taken}
    if len(c.taken) == 1:
        return values[c.taken[0]]
    z = sigma(c.row(0)[c.dim :] + c.row(1)[c.dim :])
    return z * values[0] + (1 - z) * values[1]


def gmu_n(c: Case) -> Vector:
    result = np.zeros(c.dim)
    for i in c.taken:
        start = c.dim + i * c.dim
        gate = np.asarray(sum(c.row(j)[start : start + c.dim] for j in c.taken))
        result += sigma(gate) * np.tanh(c.row(i)[: c.dim])
    return result


def gated_fusion(c: Case) -> Vector:
    return sigma(c.row(0)) * c.row(1) if len(c.taken) == 2 else c.row(c.taken[0])


def gated_fusion_n(c: Case) -> Vector:
    result = np.zeros(c.dim)
    for i in c.taken:
        part = c.row(i)[: c.dim]
        for j in c.taken:
            if j != i:
                part = part * sigma(c.row(j)[c.dim :])
        result += part
    return result


def poe(c: Case) -> Vector:
    precision, weighted_mean = np.ones(c.dim), np.zeros(c.dim)
    for i in c.taken:
        mean, log_variance = c.row(i)[: c.dim], c.row(i)[c.dim :]
        t = np.array([math.exp(-min(max(v, -6.0), 6.0)) for v in log_variance])
        precision, weighted_mean = precision + t, weighted_mean + t * mean
    return np.concatenate([weighted_mean / precision, 1 / precision])


# Bilinear pooling, by explicit indices: q counts the rank, j the outputs.


def lmf(c: Case) -> Vector:
    result = np.array(c.join["join.bias"])
    for q in range(c.rank):
        for j in range(c.dim):
            term = c.join["join.weight"][q]
            for row, bias in zip(c.u, c.b, strict=True):
                term *= (bias if row is None else row)[q * c.dim + j]
            result[j] += term
    return result


def mfb(c: Case) -> Vector:
    p = product(c)
    return unit(signed_root(np.array([sum(p[j * c.rank + q] for q in range(c.rank)) for j in range(c.dim)])))


def mutan(c: Case) -> Vector:
    p = product(c)
    return unit(signed_root(np.array([sum(p[q * c.dim + j] for q in range(c.rank)) for j in range(c.dim)])))


# Residual layers.


def residual_late(gate: bool) -> Callable[[Case], Vector]:
    def operator(c: Case) -> Vector:
        parts = zip(c.u, c.join["join.weight"], c.join["join.bias"], strict=True)
        return np.concatenate([np.zeros(c.dim) if u is None else residual(u, w, b, gate) for u, w, b in parts])

    return operator


def residual_early(gate: bool) -> Callable[[Case], Vector]:
    return lambda c: residual(np.maximum(total(c), 0.0), c.join["join.weight"], c.join["join.bias"], gate)


# Late fusion: each stream gives logits of the classes.


def mean_probabilities(c: Case) -> Vector:
    return np.asarray(sum(softmax(c.row(i)) for i in c.taken)) / len(c.taken)


def late_weighted(c: Case) -> Vector:
    a = softmax([c.join["join.logit"][i] for i in c.taken])
    return floored_log(np.asarray(sum(a[k] * softmax(c.row(i)) for k, i in enumerate(c.taken))))


def late_product(c: Case) -> Vector:
    s = -(len(c.taken) - 1) * c.join["join.log_prior"]
    for i in c.taken:
        s = s + np.maximum(log_softmax(c.row(i)), math.log(TINY))
    return log_softmax(s)


def late_majority(c: Case) -> Vector:
    votes = np.zeros(c.dim)
    for i in c.taken:
        votes[min(k for k in range(c.dim) if c.row(i)[k] == max(c.row(i)))] += 1
    return votes + 0.5 * mean_probabilities(c)


def late_stacking(c: Case) -> Vector:
    return np.concatenate([np.zeros(c.dim) if row is None else softmax(row) for row in c.u])


def coordinated(c: Case) -> Vector:
    return unit(np.asarray(sum(unit(c.row(i)) for i in c.taken)))


RELU, IDENTITY = True, False
OPERATORS: Mapping[str, tuple[bool, Callable[[Case], Vector]]] = {
    "concat": (IDENTITY, concat),
    "sum": (IDENTITY, total),
    "average": (IDENTITY, average),
    "max": (IDENTITY, largest),
    "product": (IDENTITY, product),
    "multconcat": (RELU, multconcat),
    "multconcat_joint": (RELU, multconcat_joint),
    "gated": (IDENTITY, gated),
    "cnw": (IDENTITY, cnw),
    "embracenet": (RELU, embracenet),
    "gmu": (IDENTITY, gmu),
    "gmu_n": (IDENTITY, gmu_n),
    "gated_fusion": (IDENTITY, gated_fusion),
    "gated_fusion_n": (IDENTITY, gated_fusion_n),
    "poe": (IDENTITY, poe),
    "lmf": (IDENTITY, lmf),
    "mlb": (RELU, product),
    "mfb": (RELU, mfb),
    "mutan": (IDENTITY, mutan),
    "fc_residual_late": (RELU, residual_late(gate=False)),
    "fc_residual_gated_late": (RELU, residual_late(gate=True)),
    "fc_residual_early": (IDENTITY, residual_early(gate=False)),
    "fc_residual_gated_early": (IDENTITY, residual_early(gate=True)),
    "late_logits": (IDENTITY, average),
    "late_probabilities": (IDENTITY, lambda c: floored_log(mean_probabilities(c))),
    "late_weighted": (IDENTITY, late_weighted),
    "late_product": (IDENTITY, late_product),
    "late_majority": (IDENTITY, late_majority),
    "late_stacking": (IDENTITY, late_stacking),
    "coordinated": (IDENTITY, coordinated),
}
