"""The joins in torch: rows of a batch with a mask for each row, differentiable, with absent streams selected away."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from edgefuse.joins import Join, Size

LEAST = 1e-12  # of a probability, a norm, and under a root


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """u float32 [B, N, W]; taken bool [B, N]; the join's own parameters; is this a training step?"""

    u: Tensor
    taken: Tensor
    theta: Mapping[str, Tensor]
    size: Size
    training: bool

    def part(self, k: int, otherwise: float = 0.0) -> Tensor:
        """Columns k * dim to (k + 1) * dim as [B, N, dim], `otherwise` in rows that are not taken."""
        return select(self.u[..., k * self.size.dim : (k + 1) * self.size.dim], self.taken, otherwise)

    def all(self, otherwise: float = 0.0) -> Tensor:
        """u with `otherwise` in rows that are not taken."""
        return select(self.u, self.taken, otherwise)

    @property
    def count(self) -> Tensor:
        """How many are taken, at least 1: [B, 1]."""
        return self.taken.sum(1, keepdim=True).clamp(min=1)


def select(u: Tensor, taken: Tensor, otherwise: float | Tensor) -> Tensor:
    """u [B, N, ...] where taken [B, N], else `otherwise`. Never a product with the mask: NaN times 0 is NaN."""
    mask = taken.reshape(*taken.shape, *(1 for _ in range(u.dim() - 2)))
    return torch.where(mask, u, otherwise)


def masked_softmax(logits: Tensor, taken: Tensor) -> Tensor:
    """Softmax over the streams taken: logits [B, N, ...]. Where none is, over all: finite, and nothing reads it."""
    barred = ~taken & taken.any(1, keepdim=True)
    return torch.softmax(select(logits, ~barred, -math.inf), dim=1)


def _gate(r: Rows) -> Tensor:
    u = r.all()
    alpha = masked_softmax((u * r.theta["weight"]).sum(-1) + r.theta["bias"], r.taken)
    return (alpha[..., None] * u).sum(1)


def _channel(r: Rows) -> Tensor:
    u = r.all()
    return (masked_softmax(r.theta["logit"].expand_as(u), r.taken) * u).sum(1)


def _share(r: Rows) -> Tensor:
    u = r.all()
    logits = r.theta["logit"].expand_as(r.taken)
    if not r.training:
        return (masked_softmax(logits, r.taken)[..., None] * u).sum(1)
    # Each feature draws its stream: the largest of logit + Gumbel noise is a draw from the softmax.
    noise = -torch.log(-torch.log(torch.rand_like(u).clamp(1e-20, 1 - 1e-7)))
    drawn = select(logits[..., None] + noise, r.taken, -math.inf).argmax(1, keepdim=True)
    return u.gather(1, drawn).squeeze(1)


def _gmu(r: Rows) -> Tensor:
    gate = r.part(1).sum(1)
    logits = torch.stack([gate, torch.zeros_like(gate)], dim=1)  # sigmoid(g) is the softmax of (g, 0)
    return (masked_softmax(logits, r.taken) * torch.tanh(r.part(0))).sum(1)


def _gmu_n(r: Rows) -> Tensor:
    v = torch.tanh(r.part(0))
    gates = r.all()[..., r.size.dim :].sum(1).reshape(v.shape)
    return select(torch.sigmoid(gates) * v, r.taken, 0.0).sum(1)


def _pair(r: Rows) -> Tensor:
    u = r.all()
    both = r.taken.all(1, keepdim=True)
    return torch.where(both, torch.sigmoid(u[:, 0]) * u[:, 1], u.sum(1))


def _pairs(r: Rows) -> Tensor:
    v, s = r.part(0), select(torch.sigmoid(r.part(1)), r.taken, 1.0)
    n = r.size.streams
    others = [
        functools.reduce(torch.mul, [s[:, j] for j in range(n) if j != i], torch.ones_like(s[:, i])) for i in range(n)
    ]
    return torch.stack([v[:, i] * gate for i, gate in enumerate(others)], dim=1).sum(1)


def _experts(r: Rows) -> Tensor:
    precision = select(torch.exp(-r.part(1).clamp(-6, 6)), r.taken, 0.0)
    total = 1 + precision.sum(1)
    return torch.cat([(precision * r.part(0)).sum(1) / total, 1 / total], dim=1)


def _product(r: Rows) -> Tensor:
    return functools.reduce(torch.mul, r.all(1.0).unbind(1))


def _lmf(r: Rows) -> Tensor:
    p = _product(r).reshape(-1, r.size.rank, r.size.dim)
    return (r.theta["weight"][:, None] * p).sum(1) + r.theta["bias"]


def _mfb(r: Rows) -> Tensor:
    return _power_normalise(_product(r).reshape(-1, r.size.dim, r.size.rank).sum(2))


def _mutan(r: Rows) -> Tensor:
    return _power_normalise(_product(r).reshape(-1, r.size.rank, r.size.dim).sum(1))


def _power_normalise(s: Tensor) -> Tensor:
    # sign(s) sqrt|s|, with a gradient at 0. Not by adding a little: torch's exporter takes a small addend for 0.
    return unit(s / torch.sqrt(s.abs().clamp(min=LEAST)))


def unit(x: Tensor) -> Tensor:
    """x / |x| along the last axis; zeros stay zeros."""
    # The root is taken of what is above 0, so that a row of zeros has a gradient of zeros and not of NaN.
    squares = (x * x).sum(-1, keepdim=True)
    return x / torch.sqrt(squares.clamp(min=LEAST * LEAST)).clamp(min=LEAST)


def _residual(h: Tensor, f: Tensor) -> Tensor:
    """h + relu(V h + c), or h + sigmoid(G h + g) relu(V h + c), from f = [V h + c | G h + g]."""
    d = h.shape[-1]
    block = torch.relu(f[..., :d])
    return h + (torch.sigmoid(f[..., d:]) * block if f.shape[-1] > d else block)


def _residual_late(r: Rows) -> Tensor:
    h = r.all()
    f = torch.einsum("bnd,ndk->bnk", h, r.theta["weight"]) + r.theta["bias"]
    return select(_residual(h, f), r.taken, 0.0).flatten(1)


def _residual_early(r: Rows) -> Tensor:
    h = torch.relu(r.all().sum(1))
    return _residual(h, h @ r.theta["weight"] + r.theta["bias"])


def _log(probability: Tensor) -> Tensor:
    return torch.log(probability.clamp(min=LEAST))


def _probabilities(r: Rows) -> Tensor:
    return select(torch.softmax(r.all(), dim=-1), r.taken, 0.0)


def _vote_mean(r: Rows) -> Tensor:
    return _log(_probabilities(r).sum(1) / r.count)


def _vote_share(r: Rows) -> Tensor:
    alpha = masked_softmax(r.theta["logit"].expand_as(r.taken), r.taken)
    return _log((alpha[..., None] * _probabilities(r)).sum(1))


def _vote_product(r: Rows) -> Tensor:
    logs = select(torch.log_softmax(r.all(), dim=-1).clamp(min=math.log(LEAST)), r.taken, 0.0)
    return torch.log_softmax(logs.sum(1) - (r.count - 1) * r.theta["log_prior"], dim=-1)


def _vote_majority(r: Rows) -> Tensor:
    if r.training:
        return _vote_mean(r)
    best = r.all().argmax(-1, keepdim=True)
    votes = select((best == torch.arange(r.size.dim, device=best.device)).float(), r.taken, 0.0)
    return votes.sum(1) + 0.5 * _probabilities(r).sum(1) / r.count


def _stack(r: Rows) -> Tensor:
    return _probabilities(r).flatten(1)


def _cosine(r: Rows) -> Tensor:
    return unit(unit(r.all()).sum(1))


JOINS: Mapping[Join, Callable[[Rows], Tensor]] = {
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
