"""The fusion operators as one torch module, driven by the engine's table, with absent streams selected away."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from edgefuse.operators import OPERATORS, Operator
from edgefuse.reference import Activation, Reduce
from edgefuse_export.errors import ExportError

Absent = Literal["identity", "token"]

# What an absent stream contributes where nothing is learned for it: it leaves the reduction as if it were not there.
IDENTITY: Mapping[Reduce, float] = {
    Reduce.NONE: 0.0,
    Reduce.SUM: 0.0,
    Reduce.AVERAGE: 0.0,
    Reduce.MAX: -float("inf"),
    Reduce.PRODUCT: 1.0,
}


class Fusion(nn.Module):
    """N embeddings and a presence mask to one vector of `width`, by a row of `edgefuse.operators.OPERATORS`.

    u_i = act(W_i^T e_i + b_i) where present, else the operator's identity or the learned token_i; then the blocks
    u_1 || ... || u_N, the reduction, or both. MultConcat: Amel et al. 2024, arXiv 2406.04349.
    """

    def __init__(self, operator: str, dims: Mapping[str, int], dim: int, absent: Absent = "identity") -> None:
        super().__init__()
        if operator not in OPERATORS:
            raise ExportError(f"unknown operator {operator!r}; known: {', '.join(OPERATORS)}")
        self.operator: Operator = OPERATORS[operator]
        self.dims, self.dim = dict(dims), dim
        self.width = self.operator.width(len(dims), dim)
        self.projections = nn.ModuleList(_Projection(d, dim) for d in dims.values())
        self.tokens = nn.Parameter(0.1 * torch.randn(len(dims), dim)) if absent == "token" else None
        self.gate = _Gate(len(dims), dim) if self.operator.gate else None

    def named_arrays(self) -> dict[str, Tensor]:
        """Name -> parameter, named, shaped and ordered as `Operator.parameters` says."""
        modules = zip(self.dims, self.projections, strict=True)
        named = {f"{name}.{key}": value for name, module in modules for key, value in module.named_parameters()}
        gate = dict(self.gate.named_parameters(prefix="gate")) if self.gate is not None else {}
        return {**named, **gate}

    def project(self, embeddings: Sequence[Tensor]) -> Tensor:
        """u of every stream as if all were present: float32 [B, N, dim] from N embeddings [B, d_i]."""
        u = torch.stack([p(e) for p, e in zip(self.projections, embeddings, strict=True)], dim=1)
        return torch.relu(u) if self.operator.activation == Activation.RELU else u

    def forward(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        """float32 [B, width] from N embeddings [B, d_i] and present, bool [B, N]; zeros (ones in a product) if none."""
        u = self.project(embeddings)
        if self.tokens is not None:
            u, present = torch.where(present[..., None], u, self.tokens), torch.ones_like(present)
        parts = [_select(u, present, 0.0).flatten(1)] if self.operator.concat else []
        if self.operator.reduce != Reduce.NONE:
            parts.append(reduce_streams(u, present, self.operator.reduce))
        if self.gate is not None:
            parts.append(self.gate(u, present))
        return torch.cat(parts, dim=1)


def reduce_streams(u: Tensor, present: Tensor, reduce: Reduce) -> Tensor:
    """Fold u [B, N, D] over the present streams, bool [B, N], into [B, D]; the empty max is 0."""
    rows = _select(u, present, IDENTITY[reduce]).unbind(1)
    if reduce == Reduce.MAX:
        return torch.where(present.any(1, keepdim=True), functools.reduce(torch.maximum, rows), 0.0)
    if reduce == Reduce.PRODUCT:
        return functools.reduce(torch.mul, rows)
    total = functools.reduce(torch.add, rows)
    return total / present.sum(1, keepdim=True).clamp(min=1) if reduce == Reduce.AVERAGE else total


class _Projection(nn.Module):
    """W^T e + b with W as [d, dim]: the layout of `fusion.bin`, not that of nn.Linear."""

    def __init__(self, d: int, dim: int) -> None:
        super().__init__()
        bound = d**-0.5
        self.weight = nn.Parameter(torch.empty(d, dim).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(dim).uniform_(-bound, bound))

    def forward(self, embedding: Tensor) -> Tensor:
        return torch.addmm(self.bias, embedding, self.weight)


class _Gate(nn.Module):
    """sum of alpha_i u_i, alpha = softmax over the present of w_i . u_i + c_i, each logit from its own stream alone."""

    def __init__(self, streams: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(dim**-0.5 * torch.randn(streams, dim))
        self.bias = nn.Parameter(torch.zeros(streams))

    def forward(self, u: Tensor, present: Tensor) -> Tensor:
        u = _select(u, present, 0.0)
        logits = (u * self.weight).sum(-1) + self.bias
        # A softmax over nothing is NaN, and its gradient too; of an empty row all logits stay and all u are 0.
        barred = ~present & present.any(1, keepdim=True)
        alpha = torch.softmax(logits.masked_fill(barred, -float("inf")), dim=1)
        return (alpha[..., None] * u).sum(1)


def _select(u: Tensor, present: Tensor, otherwise: float) -> Tensor:
    # Never a product with the mask: NaN times 0 is NaN.
    return torch.where(present[..., None], u, otherwise)
