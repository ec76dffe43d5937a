"""What all graph-run operators share: their interface, and the ways in which absent streams are selected away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from edgefuse_export.errors import ExportError


class GraphOperator(nn.Module):
    """N embeddings and a presence mask to one vector: forward(embeddings, present) gives float32 [B, width].

    embeddings  N tensors float32, [B, d_i]; on a grid [B, d_i, H, W]
    present     bool [B, N], a mask of its own for each row
    Whatever lies where a stream is absent changes neither outputs nor gradients; a row without any stream is finite.

    dims  stream -> d_i, in the model's order;  dim  the width D of the operator's inner vectors
    rank  tokens that stand for one embedding, where the operator is made of tokens
    grid  (H, W) of feature maps, for the operators that join maps; the others refuse it with an ExportError
    """

    name: ClassVar[str]
    joins_maps: ClassVar[bool] = False
    width: int

    def __init__(self, dims: Mapping[str, int], dim: int, rank: int = 4, grid: tuple[int, int] | None = None) -> None:
        super().__init__()
        if grid is not None and not self.joins_maps:
            raise ExportError(f"operator {self.name!r} joins vectors, not maps on a grid of {grid[0]} x {grid[1]}")
        if min(dim, rank) < 1:
            raise ExportError(f"operator {self.name!r}: dim {dim}, rank {rank}: both must be at least 1")
        self.dims, self.dim, self.rank, self.grid = dict(dims), dim, rank, grid

    def project(self, width: int) -> nn.ModuleList:
        """One linear layer from each embedding to `width` values."""
        return nn.ModuleList(nn.Linear(d, width) for d in self.dims.values())


def select(embeddings: Sequence[Tensor], present: Tensor) -> list[Tensor]:
    """The embeddings [B, d_i, ...] with zeros in rows of absent streams, before any arithmetic.

    Selecting the result only would do for outputs, not for gradients: those of a layer that saw a NaN are NaN.
    """
    columns = present.unbind(1)
    return [torch.where(rows(column, x), x, 0.0) for x, column in zip(embeddings, columns, strict=True)]


def rows(column: Tensor, like: Tensor) -> Tensor:
    """A column [B] in the shape that says the same for all values of a row: [B, 1, ...]."""
    return column.reshape(-1, *[1] * (like.dim() - 1))


def blocks(parts: Sequence[Tensor], present: Tensor) -> Tensor:
    """[B, N D] from N parts [B, D], zeros for absent streams."""
    return torch.cat(select(parts, present), dim=1)


def mean_present(parts: Sequence[Tensor], present: Tensor) -> Tensor:
    """The mean over the present streams of N parts [B, ...]; zeros where nothing is present."""
    total = torch.stack(select(parts, present)).sum(0)
    return total / rows(present.sum(1).clamp(min=1), total)
