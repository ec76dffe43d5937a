"""Tensor fusion: every product of one value from each stream or a 1, in one vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from edgefuse_export.errors import ExportError
from edgefuse_export.graphs.base import GraphOperator, select

MAX_WIDTH = 65536  # 256 KiB of float32 a sample, read once more by the head's weights


class TensorFusion(GraphOperator):
    """The tensor product over the streams of [1, A_i x_i + b_i], row-major, the first stream slowest: [B, (D + 1)^N].

    An absent stream is [1, 0 .. 0], which takes out exactly the products that hold one of its values. Zadeh et al. 2017
    (arXiv 1707.07250). ExportError for a width above 65536.
    """

    name = "tfn"

    def __init__(self, dims: Mapping[str, int], dim: int, rank: int = 4, grid: tuple[int, int] | None = None) -> None:
        super().__init__(dims, dim, rank, grid)
        self.width = (dim + 1) ** len(dims)
        if self.width > MAX_WIDTH:
            raise ExportError(
                f"operator 'tfn': {len(dims)} streams at dim {dim} make ({dim} + 1)^{len(dims)} = {self.width} values,"
                f" above the limit of {MAX_WIDTH}"
            )
        self.projections = self.project(dim)

    def forward(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        made = [layer(x) for layer, x in zip(self.projections, select(embeddings, present), strict=True)]
        product = torch.ones_like(made[0][:, :1])
        for h in select(made, present):
            factor = torch.cat([torch.ones_like(h[:, :1]), h], dim=1)
            product = (product[:, :, None] * factor[:, None, :]).flatten(1)
        return product
