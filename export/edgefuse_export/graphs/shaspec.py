"""Shared and specific features: what streams have in common stands in for those that are absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgefuse_export.graphs.base import GraphOperator, mean_present, rows, select

SPECIFIC, SHARED = 0.1, 0.02  # weights of the two losses, the paper's


class ShaSpec(GraphOperator):
    """[B, N D]: of each stream f_i = r_i + W [r_i || s_i] + b where it is present, else the mean of r over the present.

    r_i = R_i x_i is what it shares with the others, s_i = S_i x_i what it alone knows. Wang et al. 2023,
    arXiv 2307.14126, at the level of embeddings: its one shared encoder is a projection a stream here, as sensors of
    different kinds share no input.
    """

    name = "shaspec"

    def __init__(self, dims: Mapping[str, int], dim: int, rank: int = 4, grid: tuple[int, int] | None = None) -> None:
        super().__init__(dims, dim, rank, grid)
        self.width = len(dims) * dim
        self.shared, self.specific = self.project(dim), self.project(dim)
        self.residual = nn.Linear(2 * dim, dim)
        self.whose = nn.Linear(dim, len(dims))  # which stream a specific feature is of: for training alone

    def forward(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        shared, specific = self._parts(embeddings, present)
        common = mean_present(shared, present)
        own = [r + self.residual(torch.cat([r, s], dim=1)) for r, s in zip(shared, specific, strict=True)]
        columns = zip(own, present.unbind(1), strict=True)
        return torch.cat([torch.where(rows(column, f), f, common) for f, column in columns], dim=1)

    def auxiliary(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        """The losses beside the task's: specific features must tell their stream, shared ones must agree."""
        shared, specific = self._parts(embeddings, present)
        common = mean_present(shared, present)
        count = present.sum().clamp(min=1)
        gaps = torch.stack([(r - common).abs().mean(1) for r in shared], dim=1)
        told = torch.stack(
            [functional.cross_entropy(self.whose(s), _all(i, s), reduction="none") for i, s in enumerate(specific)], 1
        )
        agree, tell = (torch.where(present, loss, 0.0).sum() / count for loss in (gaps, told))
        return SHARED * agree + SPECIFIC * tell

    def _parts(self, embeddings: Sequence[Tensor], present: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        sane = select(embeddings, present)
        return (
            [layer(x) for layer, x in zip(self.shared, sane, strict=True)],
            [layer(x) for layer, x in zip(self.specific, sane, strict=True)],
        )


def _all(i: int, like: Tensor) -> Tensor:
    """The class i for every row."""
    return torch.full((len(like),), i, dtype=torch.int64, device=like.device)
