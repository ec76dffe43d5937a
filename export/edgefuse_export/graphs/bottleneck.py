"""Fusion through a bottleneck: streams attend to themselves and to a few shared tokens, which alone pass messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from edgefuse_export.graphs.attention import Attention, TokenOperator
from edgefuse_export.graphs.base import mean_present

BOTTLENECKS, LAYERS = 4, 2


class Bottleneck(TokenOperator):
    """Two layers of blocks, one a stream, on the stream's tokens and four bottleneck tokens: [B, D].

    After each layer the bottleneck tokens are the mean of what the present streams made of them; at the end the mean
    over all tokens of the present streams. Nagrani et al. 2021, MBT (arXiv 2107.00135), with weights for each stream.
    """

    name = "bottleneck"

    def __init__(self, dims: Mapping[str, int], dim: int, rank: int = 4, grid: tuple[int, int] | None = None) -> None:
        super().__init__(dims, dim, rank, grid)
        self.width = dim
        self.bottleneck = nn.Parameter(0.02 * torch.randn(BOTTLENECKS, dim))
        self.layers = nn.ModuleList(nn.ModuleList(_Block(dim) for _ in dims) for _ in range(LAYERS))

    def forward(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        tokens = self.tokenise(embeddings, present)
        shared = self.bottleneck.expand(present.shape[0], -1, -1)
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleList)
            made = [block(torch.cat([h, shared], dim=1)) for block, h in zip(layer, tokens, strict=True)]
            tokens = [y[:, : self.rank] for y in made]
            shared = mean_present([y[:, self.rank :] for y in made], present)
        return mean_present([h.mean(1) for h in tokens], present)


class _Block(nn.Module):
    """A pre-norm transformer block on tokens [B, K, D]."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = Attention(dim)
        self.wide, self.narrow = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm1(x)
        y: Tensor = x + self.attention(normed, normed)
        fed: Tensor = self.narrow(nn.functional.gelu(self.wide(self.norm2(y))))
        return y + fed
