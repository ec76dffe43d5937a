"""Fusion by attention: pooling over streams, across streams, within and across, and within before a late join."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from edgefuse_export.graphs.base import GraphOperator, blocks, select


class Attention(nn.Module):
    """Multi-head attention of queries [B, Q, D] over tokens [B, K, D], to [B, Q, D].

    allowed, bool [B, K], says which tokens may be looked at, None all. A row that may look at none gets exactly 0, not
    the bias of `out`. Four heads where they divide D, else one. Vaswani et al. 2017, arXiv 1706.03762.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.heads = 4 if dim % 4 == 0 else 1
        self.scale = (dim // self.heads) ** -0.5
        self.query, self.key = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.value, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, queries: Tensor, tokens: Tensor, allowed: Tensor | None = None) -> Tensor:
        q, k, v = self._split(self.query(queries)), self._split(self.key(tokens)), self._split(self.value(tokens))
        scores = (q @ k.transpose(2, 3)) * self.scale
        if allowed is None:
            return self._joined(scores, v)
        some = allowed.any(1, keepdim=True)
        # A softmax over nothing is NaN, and its gradient too: a row that may look nowhere looks everywhere, unheard.
        barred = (~allowed & some)[:, None, None, :]
        return torch.where(some[..., None], self._joined(scores.masked_fill(barred, -float("inf")), v), 0.0)

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(-1, x.shape[1], self.heads, x.shape[2] // self.heads).transpose(
            1, 2
        )  # [B, heads, tokens, D / heads]

    def _joined(self, scores: Tensor, v: Tensor) -> Tensor:
        attended: Tensor = self.out((torch.softmax(scores, dim=3) @ v).transpose(1, 2).flatten(2))
        return attended


class AttentionPooling(GraphOperator):
    """One learned query attends over t_i = A_i x_i + b_i of the present streams: [B, D].

    The pooling of Lee et al. 2019, Set Transformer (arXiv 1810.00825), with one seed and without its feed-forward part.
    """

    name = "attention_pooling"

    def __init__(self, dims: Mapping[str, int], dim: int, rank: int = 4, grid: tuple[int, int] | None = None) -> None:
        super().__init__(dims, dim, rank, grid)
        self.width = dim
        self.projections = self.project(dim)
        self.query = nn.Parameter(dim**-0.5 * torch.randn(dim))
        self.attention = Attention(dim)

    def forward(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        pairs = zip(self.projections, select(embeddings, present), strict=True)
        tokens = torch.stack([layer(x) for layer, x in pairs], dim=1)
        query = self.query.expand(present.shape[0], 1, -1)
        pooled: Tensor = self.attention(query, tokens, present)
        return pooled.squeeze(1)


class TokenOperator(GraphOperator):
    """Makes `rank` tokens of each embedding: H_i = A_i x_i + b_i, cut into [B, T, D]."""

    def __init__(self, dims: Mapping[str, int], dim: int, rank: int = 4, grid: tuple[int, int] | None = None) -> None:
        super().__init__(dims, dim, rank, grid)
        self.tokens = self.project(rank * dim)

    def tokenise(self, embeddings: Sequence[Tensor], present: Tensor) -> list[Tensor]:
        """H of every stream, float32 [B, T, D]; of an absent one what the bias alone gives."""
        pairs = zip(self.tokens, select(embeddings, present), strict=True)
        return [layer(x).unflatten(1, (self.rank, self.dim)) for layer, x in pairs]

    def attentions(self) -> nn.ModuleList:
        """One attention a stream."""
        return nn.ModuleList(Attention(self.dim) for _ in self.dims)

    def across(self, attentions: nn.ModuleList, tokens: Sequence[Tensor], present: Tensor) -> list[Tensor]:
        """H_i + attention_i(H_i, the tokens of the other streams that are present), for each stream."""
        everything = torch.cat(list(tokens), dim=1)
        others = ~torch.eye(len(self.dims), dtype=torch.bool, device=present.device)
        masks = [(present & others[i]).repeat_interleave(self.rank, dim=1) for i in range(len(self.dims))]
        return [h + a(h, everything, mask) for a, h, mask in zip(attentions, tokens, masks, strict=True)]


def within(attentions: nn.ModuleList, tokens: Sequence[Tensor]) -> list[Tensor]:
    """H_i + attention_i(H_i, H_i) for each stream."""
    return [h + attention(h, h) for attention, h in zip(attentions, tokens, strict=True)]


def token_blocks(tokens: Sequence[Tensor], present: Tensor) -> Tensor:
    """The mean of each stream's tokens, side by side, zeros for absent streams: [B, N D]."""
    return blocks([h.mean(1) for h in tokens], present)


class CrossAttention(TokenOperator):
    """Each stream's tokens attend over those of the other present streams: [B, N D], a block a stream.

    After the crossmodal attention of Tsai et al. 2019, MulT (arXiv 1906.00295), with all other streams as one source.
    """

    name = "cross_attention"

    def __init__(self, dims: Mapping[str, int], dim: int, rank: int = 4, grid: tuple[int, int] | None = None) -> None:
        super().__init__(dims, dim, rank, grid)
        self.width = len(dims) * dim
        self.cross = self.attentions()

    def forward(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        tokens = self.tokenise(embeddings, present)
        return token_blocks(self.across(self.cross, tokens, present), present)


class SelfCrossAttention(TokenOperator):
    """Attention within each stream, then across streams, then a residual layer over all blocks: [B, D].

    The self-attended cross-modal FCRN of Awan et al. 2024 (arXiv 2408.14441), in the form that the operators of this
    project define, as that paper gives no widths.
    """

    name = "self_cross_attention"

    def __init__(self, dims: Mapping[str, int], dim: int, rank: int = 4, grid: tuple[int, int] | None = None) -> None:
        super().__init__(dims, dim, rank, grid)
        self.width = dim
        self.own, self.cross = self.attentions(), self.attentions()
        self.join, self.residual = nn.Linear(len(dims) * dim, dim), nn.Linear(dim, dim)

    def forward(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        attended = within(self.own, self.tokenise(embeddings, present))
        h = torch.relu(self.join(token_blocks(self.across(self.cross, attended, present), present)))
        return h + torch.relu(self.residual(h))


class AttendFusion(TokenOperator):
    """Attention within each stream, whose blocks are joined late by one layer: [B, D].

    Attend-Fusion of Awan et al. 2024 (arXiv 2408.14441), in the form that the operators of this project define.
    """

    name = "attend_fusion"

    def __init__(self, dims: Mapping[str, int], dim: int, rank: int = 4, grid: tuple[int, int] | None = None) -> None:
        super().__init__(dims, dim, rank, grid)
        self.width = dim
        self.own = self.attentions()
        self.join = nn.Linear(len(dims) * dim, dim)

    def forward(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        attended = within(self.own, [torch.relu(h) for h in self.tokenise(embeddings, present)])
        return torch.relu(self.join(token_blocks(attended, present)))
