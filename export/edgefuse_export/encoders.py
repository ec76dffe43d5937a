"""Encoders of the reference model, and the input layers with which any image network becomes an encoder."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

IMAGENET_MEAN, IMAGENET_SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ImageInput(nn.Module):
    """Camera tensor [B, H, W, 3], 0 to 255, to [B, 3, H, W], normalised by mean and sd of values in [0, 1]."""

    mean: Tensor
    sd: Tensor

    def __init__(self, mean: Sequence[float] = IMAGENET_MEAN, sd: Sequence[float] = IMAGENET_SD) -> None:
        super().__init__()
        self.register_buffer("mean", 255.0 * torch.tensor(mean).reshape(1, 3, 1, 1))
        self.register_buffer("sd", 255.0 * torch.tensor(sd).reshape(1, 3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        return (image.permute(0, 3, 1, 2) - self.mean) / self.sd


class DepthInput(nn.Module):
    """Depth tensor [B, H, W] in mm, 0 = no measurement, to [B, 2, H, W]: distance over range_m, and where one is."""

    def __init__(self, range_m: float) -> None:
        super().__init__()
        self.range_mm = 1000.0 * range_m

    def forward(self, depth: Tensor) -> Tensor:
        return torch.stack([depth / self.range_mm, (depth > 0).to(depth.dtype)], dim=1)


class GpsInput(nn.Module):
    """GPS tensor [B, 6] in metres (east, north, up, their standard deviations) to values of order 1."""

    scale: Tensor

    def __init__(self, position_m: float = 10.0, sd_m: float = 2.0) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor([position_m] * 3 + [sd_m] * 3))

    def forward(self, fix: Tensor) -> Tensor:
        # A receiver far off its origin must not drive the network to where nothing was learned.
        return (fix / self.scale).clamp(-10.0, 10.0)


def conv_encoder(
    first: nn.Module, channels: Sequence[int], size: tuple[int, int], squeeze: int, dim: int, dropout: float = 0.0
) -> nn.Sequential:
    """Strided 3 x 3 convolutions, a 1 x 1 one to `squeeze` channels, and a linear layer over all positions.

    first     what makes [B, channels[0], *size] of the stream's tensor
    channels  of the input and after each convolution; each halves the size
    The positions are kept apart (no pooling), as where a thing is matters as much as what it is.
    """
    layers: list[nn.Module] = [first]
    for narrow, wide in itertools.pairwise(channels):
        layers += [nn.Conv2d(narrow, wide, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
    layers += [nn.Conv2d(channels[-1], squeeze, 1, bias=False), nn.BatchNorm2d(squeeze), nn.ReLU(), nn.Flatten()]
    cells = math.prod(math.ceil(side / 2 ** (len(channels) - 1)) for side in size)
    return nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(squeeze * cells, dim), nn.ReLU())


def mlp_encoder(first: nn.Module, inputs: int, hidden: int, dim: int) -> nn.Sequential:
    """Two layers for a short vector."""
    return nn.Sequential(first, nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, dim), nn.ReLU())
