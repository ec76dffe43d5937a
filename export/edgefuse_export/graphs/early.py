"""Early fusion: embeddings joined before any layer of the operator, as vectors or as maps on one grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from edgefuse_export.graphs.base import GraphOperator, rows


class Early(GraphOperator):
    """Two layers over [x_1 .. x_N, present as 0 or 1], a learned constant for an absent x_i: [B, D].

    On a grid: two 3 x 3 convolutions over maps [B, d_i, H, W], the constants spread over the map and a plane of 0 or 1
    for each stream, then the mean over the map.
    """

    name = "early"
    joins_maps = True

    def __init__(self, dims: Mapping[str, int], dim: int, rank: int = 4, grid: tuple[int, int] | None = None) -> None:
        super().__init__(dims, dim, rank, grid)
        self.width = dim
        self.constants = nn.ParameterList(torch.zeros(d) for d in dims.values())
        inputs = sum(dims.values()) + len(dims)
        self.first, self.second = _layer(inputs, dim, grid), _layer(dim, dim, grid)

    def forward(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        over = self.grid or ()
        triples = zip(embeddings, self.constants, present.unbind(1), strict=True)
        given = [torch.where(rows(p, x), x, c.reshape(-1, *[1] * len(over))) for x, c, p in triples]
        known = present.to(given[0].dtype).reshape(-1, len(self.dims), *[1] * len(over))
        planes = known.expand(-1, -1, *over)
        h = torch.relu(self.second(torch.relu(self.first(torch.cat([*given, planes], dim=1)))))
        return h if self.grid is None else h.mean((2, 3))


def _layer(inputs: int, outputs: int, grid: tuple[int, int] | None) -> nn.Module:
    return nn.Linear(inputs, outputs) if grid is None else nn.Conv2d(inputs, outputs, 3, padding=1)
