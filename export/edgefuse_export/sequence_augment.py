"""Augmentation of windows: other courses of time, other wearers of an inertial unit, other bodies, other viewpoints."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


class Courses:
    """Courses of time, one a row: begun earlier or later, slower or faster, and unevenly so."""

    def __init__(self, rows: int, generator: torch.Generator) -> None:
        self.shift = uniform(generator, -0.1, 0.1, rows, 1)
        self.pace = uniform(generator, 0.85, 1.15, rows, 1)
        self.bend = uniform(generator, -0.05, 0.05, rows, 1)

    def of(self, x: Tensor) -> Tensor:
        """[B, T, ...] at those times, on lines between steps; what lies outside the window stands still."""
        steps = x.shape[1]
        u = torch.linspace(0.0, 1.0, steps)
        at = 0.5 + (u - 0.5) * self.pace + self.shift + self.bend * torch.sin(2 * math.pi * u)
        at = at.clamp(0.0, 1.0) * (steps - 1)
        low = at.floor().clamp(max=steps - 2)
        share, low = (at - low)[:, :, None], low.long()[:, :, None]
        weights = torch.zeros(len(x), steps, steps).scatter_(2, low, 1.0 - share).scatter_(2, low + 1, share)
        return torch.bmm(weights, x.flatten(2)).reshape(x.shape)


def tilts(rows: int, most_deg: float, generator: torch.Generator) -> Tensor:
    """Rotations [B, 3, 3] by up to most_deg about any axis: no two people wear a unit alike."""
    axis = functional.normalize(torch.randn(rows, 3, generator=generator))
    x, y, z = (axis * uniform(generator, 0.0, math.radians(most_deg), rows, 1)).unbind(1)
    o = torch.zeros(rows)
    cross = torch.stack([o, -z, y, z, o, -x, -y, x, o], 1).reshape(-1, 3, 3)
    rotations: Tensor = torch.linalg.matrix_exp(cross)
    return rotations


def other_body(skeleton: Tensor, generator: torch.Generator) -> Tensor:
    """Turned about the vertical by up to 20 degrees, of other proportions, and less exactly seen."""
    rows = len(skeleton)
    angle = uniform(generator, -math.radians(20.0), math.radians(20.0), rows)
    c, s, o, i = angle.cos(), angle.sin(), torch.zeros(rows), torch.ones(rows)
    turn = torch.stack([c, o, s, o, i, o, -s, o, c], 1).reshape(-1, 1, 3, 3)
    joints = skeleton.reshape(rows, skeleton.shape[1], -1, 3) @ turn * uniform(generator, 0.9, 1.1, rows, 1, 1, 3)
    off = uniform(generator, 0.0, 0.03, rows, 1, 1, 1) * torch.randn(rows, 1, joints.shape[2], 3, generator=generator)
    return (joints + off + 0.01 * torch.randn(joints.shape, generator=generator)).flatten(2)


def other_view(depth: Tensor, generator: torch.Generator) -> Tensor:
    """Moved and sheared by up to a tenth of the picture, larger or smaller, and stretched towards the camera."""
    rows = len(depth)
    tall = uniform(generator, 0.88, 1.12, rows)
    wide = tall * uniform(generator, 0.92, 1.08, rows)
    right, down = uniform(generator, -0.12, 0.12, 2, rows).unbind(0)
    maps = torch.stack([wide, uniform(generator, -0.1, 0.1, rows), right, torch.zeros(rows), tall, down], 1)
    grid = functional.affine_grid(maps.reshape(-1, 2, 3), [rows, 1, *depth.shape[2:]], align_corners=False)
    moved = functional.grid_sample(depth, grid, align_corners=False)
    return moved * uniform(generator, 0.9, 1.1, rows, 1, 1, 1)


def uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    """Even between low and high, of that shape."""
    return low + (high - low) * torch.rand(shape, generator=generator)
