"""Mock-up: a bundle of the size that a model will have, with weights drawn at random, to be timed before it is trained.

Its answers mean nothing; what they cost on a device does. A YAML file says which sensors there are and how large their
pictures, clouds and encoders are.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import cv2
import numpy as np
import torch
from msgspec import Meta
from torch import nn

from edgefuse.config import load_as
from edgefuse.modalities import KINDS
from edgefuse.operators import OPERATORS
from edgefuse.schema import Dim, Name, Positive, Strict
from edgefuse.sources.site import snapshot
from edgefuse.types import Array
from edgefuse_export.declare import ClassOutput, Stream
from edgefuse_export.encoders import DepthInput, GpsInput, ImageInput, conv_encoder, mlp_encoder
from edgefuse_export.models import FusionModel
from edgefuse_export.package import Recipe

MOMENTS = 3
SQUEEZE = 16  # channels that the last layer of an image encoder reads
RANGE_M = 30.0  # half of a lidar's grid
Pixels = Annotated[int, Meta(ge=8, le=4096)]
Size = tuple[Pixels, Pixels]


class StreamSize(Strict):
    """One sensor and its encoder.

    sensor    columns and rows of a raw picture; points: of a raw cloud; values: shape of a raw vector
    tensor    columns and rows of what the encoder sees, of a picture or of a cloud's grid
    channels  of the encoder's first convolution; each of its `stages` halves the size and doubles the channels
    hidden    width of the two-layer encoder of a gps or a vector
    dim       of the embedding
    """

    kind: Literal["camera", "depth", "lidar", "gps", "vector"]
    sensor: Size = (640, 480)
    tensor: Size = (224, 224)
    points: Annotated[int, Meta(ge=100, le=1 << 22)] = 60_000
    values: Annotated[tuple[Dim, ...], Meta(min_length=1, max_length=3)] = (50, 6)
    channels: Annotated[int, Meta(ge=1, le=1024)] = 32
    stages: Annotated[int, Meta(ge=1, le=8)] = 5
    hidden: Dim = 64
    dim: Dim = 256
    fresh_ms: Positive = 200.0
    max_age_ms: Positive = 600.0


class MockupSpec(Strict):
    """The whole model: its streams in their order, and how they are joined."""

    name: Name = "mockup"
    streams: Annotated[dict[Name, StreamSize], Meta(min_length=1, max_length=16)]
    operator: str = "multconcat"
    dim: Dim = 256
    classes: Annotated[int, Meta(ge=2, le=1000)] = 4
    seed: Annotated[int, Meta(ge=0)] = 0

    def __post_init__(self) -> None:
        if self.operator not in OPERATORS or self.operator == "graph":
            raise ValueError(f"operator: no operator {self.operator!r}; see docs/operators")


def load_spec(path: str | os.PathLike[str]) -> MockupSpec:
    """Read a YAML file; a ConfigError names it and the key that is wrong."""
    return load_as(MockupSpec, path)


def mockup(spec: MockupSpec) -> Recipe:
    """The model and a few moments that a sane sensor may send."""
    torch.manual_seed(spec.seed)
    rng = np.random.default_rng(spec.seed)
    streams = {name: _stream(size) for name, size in spec.streams.items()}
    row = OPERATORS[spec.operator]
    dim = spec.classes if row.classes else spec.dim
    width = row.width(len(streams), dim, row.default_rank)
    head = nn.Identity() if row.classes else nn.Linear(width, spec.classes)
    output = ClassOutput("answer", [f"class{k}" for k in range(spec.classes)])
    model = FusionModel(streams, spec.operator, dim, head, [output]).eval()
    moments = [{name: _payload(size, k, rng) for name, size in spec.streams.items()} for k in range(MOMENTS)]
    return Recipe(model, spec.name, moments, provenance={"command": "edgefuse-export mockup", "seed": spec.seed})


def _stream(size: StreamSize) -> Stream:
    preprocess, encoder = _MADE[size.kind](size)
    return Stream(size.kind, encoder, size.dim, preprocess, size.fresh_ms, size.max_age_ms)


def _pictured(first: nn.Module, inputs: int, size: StreamSize) -> nn.Module:
    channels = (inputs, *(size.channels << k for k in range(size.stages)))
    return conv_encoder(first, channels, (size.tensor[1], size.tensor[0]), SQUEEZE, size.dim)


def _picture(size: StreamSize) -> dict[str, Any]:
    return {"width": size.tensor[0], "height": size.tensor[1]}


def _grid(size: StreamSize) -> dict[str, Any]:
    cell_m = 2 * RANGE_M / max(size.tensor)
    corner = {
        "x_min_m": -RANGE_M,
        "y_min_m": -RANGE_M,
        "cell_m": cell_m,
        "rows": size.tensor[1],
        "cols": size.tensor[0],
    }
    return {**corner, "z_edges_m": [-3.2, -2.2, -1.5, -0.7, 2.4]}


def _origin(size: StreamSize) -> dict[str, Any]:
    fix = snapshot(0).payloads["gps"]
    return {"latitude_deg": float(fix[0]), "longitude_deg": float(fix[1])}


Made = tuple[dict[str, Any], nn.Module]
_MADE: Mapping[str, Callable[[StreamSize], Made]] = {
    "camera": lambda s: (_picture(s), _pictured(ImageInput(), 3, s)),
    "depth": lambda s: (_picture(s), _pictured(DepthInput(10.0), 2, s)),
    "lidar": lambda s: (_grid(s), _pictured(nn.Identity(), 6, s)),
    "gps": lambda s: (_origin(s), mlp_encoder(GpsInput(), 6, s.hidden, s.dim)),
    "vector": lambda s: (
        {"shape": list(s.values)},
        mlp_encoder(nn.Flatten(), math.prod(s.values), s.hidden, s.dim),
    ),
}


def _payload(size: StreamSize, moment: int, rng: np.random.Generator) -> Array:
    """Something like what such a sensor sends, taken from the simulated site where it has one."""
    if size.kind == "vector":
        return rng.normal(size=size.values).astype(KINDS["vector"].dtype)
    seen = snapshot(moment).payloads[size.kind]
    if size.kind == "camera":
        return np.asarray(cv2.resize(seen, size.sensor, interpolation=cv2.INTER_LINEAR))
    if size.kind == "depth":
        return np.asarray(cv2.resize(seen, size.sensor, interpolation=cv2.INTER_NEAREST))
    return _thickened(seen, size.points, rng) if size.kind == "lidar" else seen


def _thickened(points: Array, count: int, rng: np.random.Generator) -> Array:
    """So many points, about those of a sparser cloud."""
    chosen = points[rng.integers(len(points), size=count)]
    chosen[:, :3] += rng.normal(0.0, 0.02, (count, 3))
    return np.ascontiguousarray(chosen, np.float32)
