"""Depth told from one camera picture, by a small network that is trained on clips of sites of its own."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgefuse.sources.site import DEPTH_RANGE_M
from edgefuse.types import F32
from edgefuse_export.labelled import Labelled
from edgefuse_export.seeded import alone
from edgefuse_export.training import Progress, learning_rate_factor

EPOCHS, BATCH, LEARNING_RATE = 8, 64, 3e-3


class Monocular(nn.Module):
    """Pictures [B, H, W, 3] in [0, 1], H and W multiples of 4, to depths [B, H, W] in (0, DEPTH_RANGE_M).

    Down to a quarter of the size and up again, each step up joined with what there was at that size (U-Net, Ronneberger
    et al. 2015, arXiv 1505.04597).
    """

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(*_step(5, 12, 1))
        self.middle = nn.Sequential(*_step(12, 24, 2))
        self.coarse = nn.Sequential(*_step(24, 48, 2), *_step(48, 48, 1))
        self.up = nn.Sequential(*_step(48 + 24, 24, 1))
        self.last = nn.Sequential(*_step(24 + 12, 16, 1), nn.Conv2d(16, 1, 1))

    def forward(self, picture: Tensor) -> Tensor:
        fine = self.fine(torch.cat([picture.permute(0, 3, 1, 2) - 0.45, _places(picture)], dim=1))
        middle = self.middle(fine)
        up = self.up(torch.cat([_doubled(self.coarse(middle)), middle], dim=1))
        told = self.last(torch.cat([_doubled(up), fine], dim=1))[:, 0]
        depths: Tensor = DEPTH_RANGE_M * torch.sigmoid(told)
        return depths


def train_monocular(data: Labelled, progress: Progress) -> Monocular:
    """On the measured depth of clips, where there is one, by `relative_error`. Seed 0, one thread."""
    pictures = data.tensors["camera"].reshape(-1, *data.tensors["camera"].shape[2:])
    depths = data.tensors["depth"].reshape(-1, *data.tensors["depth"].shape[2:])
    with alone(0):
        network, generator = Monocular(), torch.Generator().manual_seed(0)
        steps = EPOCHS * -(-len(pictures) // BATCH)
        optimiser = torch.optim.AdamW(network.parameters(), LEARNING_RATE)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: learning_rate_factor(step, steps))
        for _ in progress(iter(range(EPOCHS)), EPOCHS, "monocular depth"):
            order = torch.randperm(len(pictures), generator=generator).numpy()
            for begin in range(0, len(order), BATCH):
                index = np.sort(order[begin : begin + BATCH])
                loss = relative_error(network(torch.from_numpy(pictures[index])), torch.from_numpy(depths[index]))
                optimiser.zero_grad(set_to_none=True)
                torch.autograd.backward(loss)
                optimiser.step()
                schedule.step()
    return network.eval()


def relative_error(told: Tensor, measured: Tensor) -> Tensor:
    """Mean of |told - measured| / measured over the pixels that were measured."""
    known = measured > 0
    error = (told - measured).abs() / torch.where(known, measured, 1.0)
    return torch.where(known, error, 0.0).sum() / known.sum().clamp(min=1)


@torch.no_grad()
def estimated(network: Monocular, camera: F32) -> F32:
    """Depth clips [n, T, H, W] in m from camera clips [n, T, H, W, 3]; a value everywhere."""
    with alone(0):
        clips = [network(torch.from_numpy(np.array(clip))).numpy() for clip in camera]
    return np.stack(clips)


def _places(picture: Tensor) -> Tensor:
    """[B, 2, H, W]: row and column, -1 to 1. On a site, what is low in the picture is near."""
    rows, cols = picture.shape[1:3]
    y, x = torch.linspace(-1, 1, rows), torch.linspace(-1, 1, cols)
    return torch.stack([y[:, None].expand(rows, cols), x.expand(rows, cols)]).expand(len(picture), -1, -1, -1)


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def _step(narrow: int, wide: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(narrow, wide, 3, stride, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
