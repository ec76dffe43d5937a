"""The fusion operators as torch modules, driven by the engine's table, with absent streams selected away."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from edgefuse.algebra import Absent as Policy
from edgefuse.algebra import Operator
from edgefuse.joins import Join, Size
from edgefuse.operators import OPERATORS
from edgefuse.reference import Activation, Reduce
from edgefuse_export.errors import ExportError
from edgefuse_export.joins import JOINS, Rows, select

Absent = Literal["identity", "token"]
Grid = tuple[int, int]

# What an absent stream contributes where nothing is learned for it: it leaves the reduction as if it were not there.
IDENTITY: Mapping[Reduce, float] = {
    Reduce.NONE: 0.0,
    Reduce.SUM: 0.0,
    Reduce.AVERAGE: 0.0,
    Reduce.MAX: -float("inf"),
    Reduce.PRODUCT: 1.0,
    Reduce.JOINT_PRODUCT: 1.0,
}
# Of the joins' parameters these are stated, not learned: EmbraceNet draws evenly, a prior is counted.
_STATED = {("embracenet", "join.logit"), ("late_product", "join.log_prior")}


class Fusion(nn.Module):
    """N embeddings and a presence mask to one vector of `width`, by an operator that runs as a kernel on the device.

    u_i = act(W_i^T e_i + b_i) where present, else the operator's absent vector or the learned token_i; then the blocks
    u_1 || ... || u_N, a reduction, or the operator's join. Maps [B, d_i, H, W] are projected cell by cell.
    """

    def __init__(
        self,
        operator: str,
        dims: Mapping[str, int],
        dim: int,
        absent: Absent = "identity",
        rank: int = 1,
        grid: Grid | None = None,
    ) -> None:
        super().__init__()
        self.operator = known(operator)
        self.dims, self.dim, self.rank, self.grid = dict(dims), dim, rank, grid
        self.size = Size(len(dims), dim, rank)
        self.width = self.operator.width(len(dims), dim, rank)
        columns = self.operator.columns(len(dims), dim, rank)
        self.projections = nn.ModuleList(_Projection(d, columns, self.operator.multiplies) for d in dims.values())
        self.tokens = nn.Parameter(0.1 * torch.randn(len(dims), columns)) if absent == "token" else None
        for name, shape in self.operator.theta(len(dims), dim, rank).items():
            value = _initial(self.operator, name, shape)
            stated = (operator, name) in _STATED
            self.register_buffer(_key(name), value) if stated else self.register_parameter(
                _key(name), nn.Parameter(value)
            )

    def named_arrays(self) -> dict[str, Tensor]:
        """Name -> parameter, named, shaped and ordered as `Operator.parameters` says."""
        modules = zip(self.dims, self.projections, strict=True)
        named = {f"{name}.{key}": value for name, module in modules for key, value in module.named_parameters()}
        return named | {name: getattr(self, _key(name)) for name in self._theta}

    @property
    def _theta(self) -> list[str]:
        return list(self.operator.theta(len(self.dims), self.dim, self.rank))

    def auxiliary(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor | None:
        """Nothing is added to the loss of a training."""
        return None

    def project(self, embeddings: Sequence[Tensor]) -> Tensor:
        """u of every stream as if all were present: float32 [B, N, W] from [B, d_i], or [B, N, dim, H, W] from maps."""
        return self.activate(torch.stack([p(e) for p, e in zip(self.projections, embeddings, strict=True)], dim=1))

    def activate(self, u: Tensor) -> Tensor:
        """The operator's activation of projected rows or maps."""
        return torch.relu(u) if self.operator.activation == Activation.RELU else u

    def forward(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        """float32 [B, width], or [B, width, H, W], from N embeddings and present, bool [B, N]; finite if none is."""
        sane = [select(e[:, None], p[:, None], 0.0)[:, 0] for e, p in zip(embeddings, present.unbind(1), strict=True)]
        return self.join(self.project(sane), present)

    def join(self, u: Tensor, present: Tensor) -> Tensor:
        """What the operator makes of the projected rows u, as `project` gives them."""
        u, taken = self._stand_in(u, present)
        if self.operator.join != Join.NONE:
            theta = {_key(name).removeprefix("join_"): getattr(self, _key(name)) for name in self._theta}
            return JOINS[self.operator.join](Rows(u, taken, theta, self.size, self.training))
        parts = [select(u, taken, 0.0).flatten(1, 2)] if self.operator.concat else []
        if self.operator.reduce != Reduce.NONE:
            parts.append(reduce_streams(u, taken, self.operator.reduce))
        return torch.cat(parts, dim=1)

    def _stand_in(self, u: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """u with what stands for absent streams, and the streams that are taken then."""
        rows: Tensor | None = self.tokens
        if rows is None and self.operator.absent == Policy.ZERO_INPUT:
            rows = torch.stack([p.get_parameter("bias") for p in self.projections])
        if rows is None:
            return u, present
        spread = rows.reshape(*rows.shape, *(1 for _ in range(u.dim() - 3)))
        return select(u, present, spread), torch.ones_like(present)

    def rows(self, embeddings: Sequence[Tensor]) -> Tensor:
        """What can stand in for a stream, of each sample: [B, N, W]; of maps the mean over the cells."""
        u = self.project(embeddings)
        return u.flatten(3).mean(3) if u.dim() > 3 else u


def known(operator: str) -> Operator:
    """The row of the table. ExportError naming an operator that is none."""
    if operator not in OPERATORS:
        raise ExportError(f"unknown operator {operator!r}; known: {', '.join(OPERATORS)}")
    return OPERATORS[operator]


def reduce_streams(u: Tensor, taken: Tensor, reduce: Reduce) -> Tensor:
    """Fold u [B, N, ...] over the streams taken, bool [B, N]; the empty max is 0, so is a joint product of one."""
    rows = select(u, taken, IDENTITY[reduce]).unbind(1)
    count = taken.sum(1).reshape(-1, *(1 for _ in range(u.dim() - 2)))
    if reduce == Reduce.MAX:
        return torch.where(count > 0, functools.reduce(torch.maximum, rows), 0.0)
    if reduce == Reduce.PRODUCT:
        return functools.reduce(torch.mul, rows)
    if reduce == Reduce.JOINT_PRODUCT:
        return torch.where(count > 1, functools.reduce(torch.mul, rows), 0.0)
    total = functools.reduce(torch.add, rows)
    return total / count.clamp(min=1) if reduce == Reduce.AVERAGE else total


class _Projection(nn.Module):
    """W^T e + b with W as [d, columns]: the layout of `fusion.bin`, not that of nn.Linear; a map cell by cell.

    around_one: columns start near 1, so that products of many streams neither vanish nor lose their gradients.
    """

    def __init__(self, d: int, columns: int, around_one: bool) -> None:
        super().__init__()
        bound = d**-0.5
        if around_one:
            self.weight = nn.Parameter(0.5 * bound * torch.randn(d, columns))
            self.bias = nn.Parameter(torch.ones(columns))
        else:
            self.weight = nn.Parameter(torch.empty(d, columns).uniform_(-bound, bound))
            self.bias = nn.Parameter(torch.empty(columns).uniform_(-bound, bound))

    def forward(self, embedding: Tensor) -> Tensor:
        if embedding.dim() == 4:
            return torch.conv2d(embedding, self.weight.t()[:, :, None, None], self.bias)
        return torch.addmm(self.bias, embedding, self.weight)


def _key(name: str) -> str:
    return name.replace(".", "_")


def _initial(operator: Operator, name: str, shape: tuple[int, ...]) -> Tensor:
    """Weights small and random, everything else zeros; the ranks of LMF start as their mean."""
    if operator.join == Join.LMF and name == "join.weight":
        return torch.full(shape, 1 / shape[0])
    if name != "join.weight":
        return torch.zeros(shape)
    bound = shape[-2 if len(shape) > 2 or operator.join == Join.RESIDUAL_EARLY else -1] ** -0.5
    return torch.empty(shape).uniform_(-bound, bound)
