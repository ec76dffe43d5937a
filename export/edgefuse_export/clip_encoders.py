"""Encoders of clips in three forms, small enough for two cores: C3D, SlowFast and TimeSformer.

Each takes [B, C, T, H, W], T 8, H 36 and W 48, and gives [B, dim]. They have the ideas of the papers, not their sizes.
Each ends in a layer norm: with a ReLU there, whole embeddings died in the first steps and never came back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from edgefuse_export.clip_data import COLS, FRAMES, ROWS


class ColourInput(nn.Module):
    """Clip [B, T, H, W, 3] in [0, 1] to [B, 3, T, H, W] about 0."""

    def forward(self, clip: Tensor) -> Tensor:
        return (clip.permute(0, 4, 1, 2, 3) - 0.45) / 0.25


class RangeInput(nn.Module):
    """Clip [B, T, H, W] in m, 0 = no measurement, to [B, 2, T, H, W]: distance over range_m, and where one is."""

    def __init__(self, range_m: float) -> None:
        super().__init__()
        self.range_m = range_m

    def forward(self, clip: Tensor) -> Tensor:
        return torch.stack([clip / self.range_m, (clip > 0).to(clip.dtype)], dim=1)


class C3D(nn.Module):
    """3 x 3 x 3 convolutions through space and time. Tran et al. 2015, arXiv 1412.0767."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        widths, strides = (channels, 16, 32, 64), ((1, 2, 2), (2, 2, 2), (2, 2, 2))
        blocks = [_block(a, b, (3, 3, 3), s) for a, b, s in zip(widths, widths[1:], strides, strict=False)]
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * 2 * 5 * 6, dim), nn.LayerNorm(dim))

    def forward(self, clip: Tensor) -> Tensor:
        embedding: Tensor = self.last(self.blocks(clip))
        return embedding


class SlowFast(nn.Module):
    """A slow path over every fourth frame and a thin fast one, joined sideways. Feichtenhofer et al., arXiv 1812.03982.

    The fast path has an eighth of the channels; what it finds enters the slow one by convolutions that stride in time.
    """

    ALPHA = 4  # how many fast frames to a slow one

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        slow, fast = (32, 48, 64), (4, 6, 8)
        once = (1, 2, 2)
        self.slow = nn.ModuleList(
            [
                _block(channels, slow[0], (1, 5, 5), (1, 2, 2)),
                _block(slow[0] + 2 * fast[0], slow[1], (1, 3, 3), once),
                _block(slow[1] + 2 * fast[1], slow[2], (2, 3, 3), once),
            ]
        )
        self.fast = nn.ModuleList(
            [
                _block(channels, fast[0], (3, 5, 5), once),
                _block(fast[0], fast[1], (3, 3, 3), once),
                _block(fast[1], fast[2], (3, 3, 3), once),
            ]
        )
        self.sideways = nn.ModuleList(nn.Conv3d(f, 2 * f, (5, 1, 1), (self.ALPHA, 1, 1), (2, 0, 0)) for f in fast[:2])
        size = (3 * slow[2] + FRAMES * fast[2]) * 5 * 6
        self.last = nn.Sequential(nn.Dropout(0.3), nn.Linear(size, dim), nn.LayerNorm(dim))

    def forward(self, clip: Tensor) -> Tensor:
        slow, fast = clip[:, :, self.ALPHA // 2 :: self.ALPHA], clip
        for k, (wide, thin) in enumerate(zip(self.slow, self.fast, strict=True)):
            slow, fast = wide(slow), thin(fast)
            if k < len(self.sideways):
                slow = torch.cat([slow, self.sideways[k](fast)], dim=1)
        embedding: Tensor = self.last(torch.cat([slow.flatten(1), fast.flatten(1)], dim=1))
        return embedding


class TimeSformer(nn.Module):
    """Patches as tokens, attended to through time and then through space. Bertasius et al. 2021, arXiv 2102.05095."""

    SIDE = 12  # of a patch, in pixels

    def __init__(self, channels: int, dim: int, width: int = 64, depth: int = 2, heads: int = 4) -> None:
        super().__init__()
        patches = (ROWS // self.SIDE) * (COLS // self.SIDE)
        self.patch = nn.Conv3d(channels, width, (1, self.SIDE, self.SIDE), (1, self.SIDE, self.SIDE))
        self.place = nn.Parameter(0.02 * torch.randn(1, 1, patches, width))
        self.time = nn.Parameter(0.02 * torch.randn(1, FRAMES, 1, width))
        self.blocks = nn.ModuleList(_Divided(width, heads) for _ in range(depth))
        self.last = nn.Sequential(nn.LayerNorm(width), nn.Dropout(0.1), nn.Linear(width, dim), nn.LayerNorm(dim))

    def forward(self, clip: Tensor) -> Tensor:
        tokens = self.patch(clip).flatten(3).permute(0, 2, 3, 1) + self.place + self.time
        for block in self.blocks:
            tokens = block(tokens)
        embedding: Tensor = self.last(tokens.mean((1, 2)))
        return embedding


class _Divided(nn.Module):
    """Attention among the frames of each patch, then among the patches of each frame, then two layers; all residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.over_time, self.over_space = _Attention(width, heads), _Attention(width, heads)
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(0.1), nn.Linear(2 * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, T, P, W] to the same."""
        tokens = tokens + self.over_time(tokens.transpose(1, 2)).transpose(1, 2)
        tokens = tokens + self.over_space(tokens)
        through: Tensor = tokens + self.layers(tokens)
        return through


class _Attention(nn.Module):
    """Self-attention among the tokens of the last axis but one, [..., n, W]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.asked, self.out = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        parts = self.asked(self.norm(tokens)).unflatten(-1, (3, self.heads, -1)).movedim(-3, 0).transpose(-3, -2)
        query, key, value = parts.unbind(0)
        weights = torch.softmax(query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5, dim=-1)
        told: Tensor = self.out((weights @ value).transpose(-3, -2).flatten(-2))
        return told


Form = Callable[[int, int], nn.Module]  # of channels and dim
FORMS: Mapping[str, Form] = {"c3d": C3D, "slowfast": SlowFast, "timesformer": TimeSformer}


def _block(narrow: int, wide: int, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> nn.Sequential:
    padding = tuple(k // 2 for k in kernel)
    return nn.Sequential(
        nn.Conv3d(narrow, wide, kernel, stride, padding, bias=False),  # type: ignore[arg-type]
        nn.BatchNorm3d(wide),
        nn.ReLU(),
    )
