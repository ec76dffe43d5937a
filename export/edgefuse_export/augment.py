"""Augmentation of the site's training batches: mirror images of whole moments, other exposures, noise and dropouts."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from edgefuse.sources.site import LIDAR_MOUNT_M
from edgefuse_export.site_data import PREPROCESS


def augmented(inputs: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """A batch of all four streams, stream -> [B, ...tensor_shape], as float32 with the same labels."""
    mirror = torch.rand(len(inputs["gps"]), generator=generator) < 0.5
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
    camera, depth, lidar = inputs["camera"], inputs["depth"], inputs["lidar"]

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(len(camera), *shape, generator=generator)

    light = uniform(0.75, 1.3, 1, 1, 1) * uniform(0.93, 1.07, 1, 1, 3)
    # One pattern a batch, in every row at another strength and sign: as good, and a sixth of the time.
    noise = uniform(-8.0, 8.0, 1, 1, 1) * torch.randn(camera.shape[1:], generator=generator)
    holes = uniform(0.0, 1.0, *depth.shape[1:]) < uniform(0.0, 0.15, 1, 1)
    cells = uniform(0.0, 1.0, 1, *lidar.shape[2:]) < uniform(0.0, 0.2, 1, 1, 1)
    return {
        **inputs,
        "camera": (camera * light + noise).clamp(0.0, 255.0),
        "depth": torch.where(holes, 0.0, depth * uniform(0.97, 1.03, 1, 1)),
        "lidar": torch.where(cells, 0.0, lidar),
    }
