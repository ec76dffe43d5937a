"""Augmentation of the site's training batches: mirror images of whole moments, other exposures, noise and dropouts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from edgefuse.sources.site import LIDAR_MOUNT_M
from edgefuse_export.site_data import PREPROCESS


def augmented(inputs: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """A batch of some of the four streams, stream -> [B, ...tensor_shape], as float32 with the same labels."""
    mirror = torch.rand(len(next(iter(inputs.values()))), generator=generator) < 0.5
    return disturbed(mirrored({name: tensor.to(torch.float32) for name, tensor in inputs.items()}, mirror), generator)


def mirrored(inputs: Mapping[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    """The moments of rows, bool [B], with east and west, and left and right of the machine, exchanged.

    The label's rule knows no side. The lidar sits LIDAR_MOUNT_M[1] left of the middle, so its grid is moved by twice
    that, to the nearest cell; the camera's offset is left as it is.
    """
    turned = {name: _other_side(name, tensor[rows]) for name, tensor in inputs.items()}
    index = rows.nonzero().squeeze(1)
    return {name: tensor.index_copy(0, index, turned[name]) for name, tensor in inputs.items()}


def _other_side(stream: str, tensor: Tensor) -> Tensor:
    if stream == "gps":
        return tensor * torch.tensor([-1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    if stream != "lidar":
        return tensor.flip(2)
    cells = round(2 * LIDAR_MOUNT_M[1] / float(PREPROCESS["lidar"]["cell_m"]))
    turned = tensor.flip(3).roll(-cells, 3)
    turned[..., turned.shape[3] - cells :] = 0.0
    return turned


def disturbed(inputs: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Other light, colour casts, noise, lost pixels and cells; what is where stays as it is."""
    return {
        name: _DISTURBED[name](tensor, generator) if name in _DISTURBED else tensor for name, tensor in inputs.items()
    }


def _camera(camera: Tensor, generator: torch.Generator) -> Tensor:
    rows = len(camera)
    light = _uniform(generator, 0.75, 1.3, rows, 1, 1, 1) * _uniform(generator, 0.93, 1.07, rows, 1, 1, 3)
    # One pattern a batch, in every row at another strength and sign: as good, and a sixth of the time.
    noise = _uniform(generator, -8.0, 8.0, rows, 1, 1, 1) * torch.randn(camera.shape[1:], generator=generator)
    return (camera * light + noise).clamp(0.0, 255.0)


def _depth(depth: Tensor, generator: torch.Generator) -> Tensor:
    rows = len(depth)
    holes = _uniform(generator, 0.0, 1.0, *depth.shape) < _uniform(generator, 0.0, 0.15, rows, 1, 1)
    return torch.where(holes, 0.0, depth * _uniform(generator, 0.97, 1.03, rows, 1, 1))


def _lidar(lidar: Tensor, generator: torch.Generator) -> Tensor:
    rows = len(lidar)
    lost = _uniform(generator, 0.0, 1.0, rows, 1, *lidar.shape[2:]) < _uniform(generator, 0.0, 0.2, rows, 1, 1, 1)
    return torch.where(lost, 0.0, lidar)


def _uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)


_DISTURBED: Mapping[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "camera": _camera,
    "depth": _depth,
    "lidar": _lidar,
}
