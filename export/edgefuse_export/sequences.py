"""Encoders of windows: small convolutions along time over [T, C] values or [T, H, W] pictures, with their input layers.

Values are normalised inside, by fixed units first and then by the statistics of the training data.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

LEAST_M = 0.1  # no body is measured smaller: a skeleton of zeros must not be divided by 0
UNUSUAL = 5.0  # standard deviations; further off counts as that


def change(x: Tensor) -> Tensor:
    """Of [B, T, ...] along T: the next minus the one before, at the ends repeated; same shape."""
    inner = x[:, 2:] - x[:, :-2]
    return torch.cat([inner[:, :1], inner, inner[:, -1:]], dim=1)


class MotionInput(nn.Module):
    """Window [B, T, C] in units of `scale` to [B, 2 C + 1, T]: the values, their change, and the vector's length."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, window: Tensor) -> Tensor:
        x = window / self.scale
        length = torch.sqrt((x * x).sum(2, keepdim=True) + 1e-6)
        return torch.cat([x, change(x), length], dim=2).transpose(1, 2)


class SkeletonInput(nn.Module):
    """Window [B, T, 3 joints] in metres to [B, 6 joints + 6, T]: joints about `hip`, the hip itself, and their change.

    In units of the mean distance from hip to `shoulders` in this window: large people and small ones look the same.
    """

    def __init__(self, hip: int, shoulders: int) -> None:
        super().__init__()
        self.hip, self.shoulders = hip, shoulders

    def forward(self, window: Tensor) -> Tensor:
        joints = window.reshape(-1, window.shape[1], window.shape[2] // 3, 3)
        root = joints[:, :, self.hip : self.hip + 1]
        back = joints[:, :, self.shoulders : self.shoulders + 1] - root
        size = torch.sqrt((back * back).sum(3, keepdim=True)).mean(1, keepdim=True).clamp(min=LEAST_M)
        x = torch.cat([(joints - root) / size, root / size], dim=2).flatten(2)
        return torch.cat([x, change(x)], dim=2).transpose(1, 2)


class CycleInput(nn.Module):
    """Window [B, T, C] over a cycle that is always the same to [B, 2 C, T]: how unusual each value is, and its change.

    Unusual for its own moment of the cycle, by the mean and deviation there in the training data: what the cycle itself
    does is far greater than what tells one cycle from another.
    """

    def __init__(self, steps: int, channels: int) -> None:
        super().__init__()
        self.usual = nn.BatchNorm1d(steps * channels, affine=False)

    def forward(self, window: Tensor) -> Tensor:
        # What hardly varied in training must not drive the network to where nothing was learned.
        x = self.usual(window.flatten(1)).clamp(-UNUSUAL, UNUSUAL).reshape(window.shape)
        return torch.cat([x, change(x)], dim=2).transpose(1, 2)


class Pooled(nn.Module):
    """[B, C, T] to [B, (parts + 1) C]: the mean of each of `parts` equal spans of time, and the greatest of all."""

    def __init__(self, parts: int) -> None:
        super().__init__()
        self.parts = parts

    def forward(self, x: Tensor) -> Tensor:
        spans = x.reshape(-1, x.shape[1], self.parts, x.shape[2] // self.parts).mean(3)
        return torch.cat([spans.flatten(1), x.amax(2)], dim=1)


def sequence_encoder(
    first: nn.Module, channels: Sequence[int], dim: int, dropout: float, parts: int = 4, kernel: int = 5
) -> nn.Sequential:
    """Convolutions along time, each but the first halving it, then `Pooled` and a linear layer.

    first     what makes [B, channels[0], T] of the stream's tensor, T a multiple of parts 2^(convolutions - 1)
    channels  of the input and after each convolution
    """
    layers: list[nn.Module] = [first, nn.BatchNorm1d(channels[0], affine=False)]
    for k, (narrow, wide) in enumerate(itertools.pairwise(channels)):
        layers += [*_along_time(narrow, wide, kernel, 1 if k == 0 else 2), nn.Dropout(dropout / 2)]
    return nn.Sequential(*layers, *_embedding(channels[-1], parts, dim, dropout))


def cycle_encoder(steps: int, channels: int, hidden: int, dim: int, dropout: float) -> nn.Sequential:
    """Window [B, steps, channels] over a cycle that is always the same to [B, dim]: two layers on all its moments."""
    return nn.Sequential(
        *(CycleInput(steps, channels), nn.Flatten(), nn.Dropout(dropout)),
        *(nn.Linear(2 * steps * channels, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(dropout)),
        *(nn.Linear(hidden, dim), nn.ReLU()),
    )


class ClipEncoder(nn.Module):
    """Clip [B, T, side, side] to [B, dim]: each picture and its change by itself, then along time.

    side is a multiple of 8, T of 2 `parts`. channels: of a picture after the two convolutions and the squeezing, and
    then along time.
    """

    def __init__(
        self, side: int, channels: tuple[int, int, int, int], dim: int, dropout: float, parts: int = 4
    ) -> None:
        super().__init__()
        first, second, squeezed, wide = channels
        self.picture = nn.Sequential(
            # A coarse first step: at full size, its normalisation would take most of the time.
            *_in_picture(2, first, 6, 4),
            *_in_picture(first, second, 3, 2),
            *_in_picture(second, squeezed, 1, 1),
            nn.Flatten(),
        )
        self.time = nn.Sequential(
            nn.Dropout(dropout / 2),
            *_along_time(squeezed * (side // 8) ** 2, wide, 3, 1),
            nn.Dropout(dropout / 2),
            *_along_time(wide, wide, 3, 2),
            *_embedding(wide, parts, dim, dropout),
        )

    def forward(self, clip: Tensor) -> Tensor:
        steps, rows, cols = clip.shape[1:]
        pictures = torch.stack([clip, change(clip)], dim=2).reshape(-1, 2, rows, cols)
        features = self.picture(pictures)
        along: Tensor = self.time(features.reshape(-1, steps, features.shape[1]).transpose(1, 2))
        return along


def _in_picture(narrow: int, wide: int, kernel: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(narrow, wide, kernel, stride, padding=(kernel - 1) // 2, bias=False)
    return [convolution, nn.BatchNorm2d(wide), nn.ReLU()]


def _along_time(narrow: int, wide: int, kernel: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv1d(narrow, wide, kernel, stride, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm1d(wide), nn.ReLU()]


def _embedding(channels: int, parts: int, dim: int, dropout: float) -> list[nn.Module]:
    return [Pooled(parts), nn.Dropout(dropout), nn.Linear((parts + 1) * channels, dim), nn.ReLU()]
