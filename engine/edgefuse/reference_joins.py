"""The joins in plain NumPy: each formula once, the fallback where no C++ was built, and the truth of its tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from edgefuse import arguments
from edgefuse.joins import SHAPES, Join, Size
from edgefuse.types import F32, U8

LEAST = np.float32(1e-12)  # of a probability, a norm, and under a root


def fuse_join(kind: int, u: F32, select: U8, theta: F32, dim: int, rank: int, out: F32) -> None:
    """Join the selected rows of u into one vector; `Join` names the formulas, each stated below.

    u       float32 [N, W], 1 <= N <= 16; rows that are not selected are never read
    select  uint8 [N], 0 leaves the row out
    theta   float32 [T], the join's own parameters one after another
    out     float32 [M], zeros when nothing is selected; overlaps nothing

    `joins.SHAPES` says W, T and M for each kind, N, dim and rank. Raises ValueError naming the argument.
    """
    arguments.join(kind, u, select, theta, dim, rank, out)
    rows = np.flatnonzero(select)
    out[:] = 0
    if rows.size == 0:
        return
    size = Size(len(u), dim, rank)
    with np.errstate(all="ignore"):
        _FORMULAS[Join(kind)](_Taken(u[rows], rows, size, _named(kind, theta, size)), out)


class _Taken(Struct, frozen=True):
    """The rows that are taken, float32 [P, W], which of the N streams they are, and the join's parameters."""

    u: F32
    rows: NDArray[np.intp]
    size: Size
    theta: Mapping[str, F32]

    def part(self, k: int) -> F32:
        """Columns k * dim to (k + 1) * dim of every row."""
        return self.u[:, k * self.size.dim : (k + 1) * self.size.dim]

    def blocks(self, out: F32) -> F32:
        return out.reshape(self.size.streams, -1)


def _named(kind: int, theta: F32, size: Size) -> dict[str, F32]:
    named, begin = {}, 0
    for name, shape in SHAPES[Join(kind)].theta(size).items():
        named[name] = theta[begin : begin + math.prod(shape)].reshape(shape)
        begin += math.prod(shape)
    return named


def _softmax(logits: F32, axis: int) -> F32:
    e = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return np.asarray(e / e.sum(axis=axis, keepdims=True))


def _sigmoid(x: F32) -> F32:
    return np.asarray(np.float32(1) / (np.float32(1) + np.exp(-x)))


def _gate(t: _Taken, out: F32) -> None:
    """sum a_i u_i, a = softmax of w_i . u_i + c_i: each logit from its own row, so a lost row changes no other."""
    logits = (t.theta["join.weight"][t.rows] * t.u).sum(axis=1) + t.theta["join.bias"][t.rows]
    out[:] = _softmax(logits, 0) @ t.u


def _channel(t: _Taken, out: F32) -> None:
    """sum a_i u_i with a softmax for every channel over fixed logits; UniBEV, arXiv 2309.14516."""
    out[:] = (_softmax(t.theta["join.logit"][t.rows], 0) * t.u).sum(axis=0)


def _share(t: _Taken, out: F32) -> None:
    """sum a_i u_i, a = softmax of one fixed logit a stream: what EmbraceNet expects, arXiv 1904.09078."""
    out[:] = _softmax(t.theta["join.logit"][t.rows], 0) @ t.u


def _gmu(t: _Taken, out: F32) -> None:
    """z tanh(v_0) + (1 - z) tanh(v_1), z = sigmoid(g_0 + g_1); one alone: tanh(v_i). Arevalo et al. 2017."""
    v = np.tanh(t.part(0))
    z = _sigmoid(t.part(1).sum(axis=0))
    out[:] = z * v[0] + (np.float32(1) - z) * v[1] if len(v) == 2 else v[0]


def _gmu_n(t: _Taken, out: F32) -> None:
    """sum sigmoid(G_i) tanh(v_i), G_i = the sum over the rows j of their block for stream i. Arevalo et al. 2017."""
    v = np.tanh(t.part(0))
    gates = t.u[:, t.size.dim :].sum(axis=0).reshape(t.size.streams, t.size.dim)
    out[:] = (_sigmoid(gates[t.rows]) * v).sum(axis=0)


def _pair(t: _Taken, out: F32) -> None:
    """sigmoid(u_0) u_1: the first stream gates the second; one alone: u_i, ungated. Kiela et al. 2018."""
    out[:] = _sigmoid(t.u[0]) * t.u[1] if len(t.u) == 2 else t.u[0]


def _pairs(t: _Taken, out: F32) -> None:
    """sum v_i prod_{j != i} sigmoid(s_j): every stream gated by all the others."""
    v, s = t.part(0), _sigmoid(t.part(1))
    for i in range(len(v)):
        out += v[i] * np.delete(s, i, axis=0).prod(axis=0)


def _experts(t: _Taken, out: F32) -> None:
    """[sum T_i m_i / T, 1 / T], T = 1 + sum T_i, T_i = exp(-l_i): Gaussian experts with a prior N(0, 1).

    Wu and Goodman 2018, arXiv 1802.05335; equal to Kalman updates in any order.
    """
    precision = np.exp(-np.clip(t.part(1), -6, 6))
    total = np.float32(1) + precision.sum(axis=0)
    out[: t.size.dim] = (precision * t.part(0)).sum(axis=0) / total
    out[t.size.dim :] = np.float32(1) / total


def _lmf(t: _Taken, out: F32) -> None:
    """sum_q w_q prod_i u_i[q] + b, rank major; eq. 8 of Liu et al. 2018, arXiv 1806.00064."""
    p = t.u.prod(axis=0).reshape(t.size.rank, t.size.dim)
    out[:] = t.theta["join.weight"] @ p + t.theta["join.bias"]


def _mfb(t: _Taken, out: F32) -> None:
    """Signed root and unit norm of sum_q prod_i u_i[j, q], factor minor; Yu et al. 2017, arXiv 1708.01471."""
    _power_normalise(t.u.prod(axis=0).reshape(t.size.dim, t.size.rank).sum(axis=1), out)


def _mutan(t: _Taken, out: F32) -> None:
    """Signed root and unit norm of sum_q prod_i u_i[q, j], rank major; Ben-younes et al. 2017, arXiv 1705.06676."""
    _power_normalise(t.u.prod(axis=0).reshape(t.size.rank, t.size.dim).sum(axis=0), out)


def _power_normalise(s: F32, out: F32) -> None:
    out[:] = s / np.sqrt(np.maximum(np.abs(s), LEAST))  # sign(s) sqrt|s|
    out /= max(np.sqrt((out * out).sum()), LEAST)


def _residual(h: F32, weight: F32, bias: F32) -> F32:
    """h + relu(V h + c), or h + sigmoid(G h + g) relu(V h + c) where the weight has columns for G too."""
    f = h @ weight + bias
    block = np.where(f[: len(h)] < 0, np.float32(0), f[: len(h)])
    return h + (_sigmoid(f[len(h) :]) * block if len(f) > len(h) else block)


def _residual_late(t: _Taken, out: F32) -> None:
    """Each row through a residual block of its own; blocks of rows left out are zeros."""
    weight, bias = t.theta["join.weight"], t.theta["join.bias"]
    for i, h in zip(t.rows, t.u, strict=True):
        t.blocks(out)[i] = _residual(h, weight[i], bias[i])


def _residual_early(t: _Taken, out: F32) -> None:
    """relu of the sum of the rows, through one residual block."""
    h = t.u.sum(axis=0)
    out[:] = _residual(np.where(h < 0, np.float32(0), h), t.theta["join.weight"], t.theta["join.bias"])


def _log_softmax(logits: F32) -> F32:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _vote_mean(t: _Taken, out: F32) -> None:
    """Log of the mean probability: the linear opinion pool."""
    out[:] = np.log(np.maximum(_softmax(t.u, 1).mean(axis=0), LEAST))


def _vote_share(t: _Taken, out: F32) -> None:
    """Log of the weighted mean probability, the weights a softmax of one fixed logit a stream."""
    weights = _softmax(t.theta["join.logit"][t.rows], 0)
    out[:] = np.log(np.maximum(weights @ _softmax(t.u, 1), LEAST))


def _vote_product(t: _Taken, out: F32) -> None:
    """log softmax of sum log q_i - (P - 1) log prior: the prior counted once, however many vote."""
    s = np.maximum(_log_softmax(t.u), np.log(LEAST)).sum(axis=0)
    out[:] = _log_softmax(s - np.float32(len(t.u) - 1) * t.theta["join.log_prior"])


def _vote_majority(t: _Taken, out: F32) -> None:
    """Votes for the most likely class of each row; half the mean probability decides where votes are equal."""
    votes = np.bincount(t.u.argmax(axis=1), minlength=t.size.dim).astype(np.float32)
    out[:] = votes + np.float32(0.5) * _softmax(t.u, 1).mean(axis=0)


def _stack(t: _Taken, out: F32) -> None:
    """The probabilities of each row side by side, zeros where left out."""
    t.blocks(out)[t.rows] = _softmax(t.u, 1)


def _cosine(t: _Taken, out: F32) -> None:
    """The rows at unit length, summed, at unit length again."""
    total = (t.u / np.maximum(np.sqrt((t.u * t.u).sum(axis=1, keepdims=True)), LEAST)).sum(axis=0)
    out[:] = total / max(np.sqrt((total * total).sum()), LEAST)


_FORMULAS: Mapping[Join, Callable[[_Taken, F32], None]] = {
    Join.GATE: _gate,
    Join.CHANNEL: _channel,
    Join.SHARE: _share,
    Join.GMU: _gmu,
    Join.GMU_N: _gmu_n,
    Join.PAIR: _pair,
    Join.PAIRS: _pairs,
    Join.EXPERTS: _experts,
    Join.LMF: _lmf,
    Join.MFB: _mfb,
    Join.MUTAN: _mutan,
    Join.RESIDUAL_LATE: _residual_late,
    Join.RESIDUAL_GATED_LATE: _residual_late,
    Join.RESIDUAL_EARLY: _residual_early,
    Join.RESIDUAL_GATED_EARLY: _residual_early,
    Join.VOTE_MEAN: _vote_mean,
    Join.VOTE_SHARE: _vote_share,
    Join.VOTE_PRODUCT: _vote_product,
    Join.VOTE_MAJORITY: _vote_majority,
    Join.STACK: _stack,
    Join.COSINE: _cosine,
}
