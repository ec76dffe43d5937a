"""The reference model: four small encoders for the simulated site, and the recipe that makes its bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from edgefuse.operators import OPERATORS
from edgefuse.sources.site import DEPTH_RANGE_M, LABELS, OUTPUT_NAME
from edgefuse_export.declare import ClassOutput, Stream
from edgefuse_export.encoders import DepthInput, GpsInput, ImageInput, conv_encoder, mlp_encoder
from edgefuse_export.models import FusionModel
from edgefuse_export.site_data import PREPROCESS

DROPOUT = 0.3  # of the positions that an image encoder's last layer sees, in training


@dataclass(frozen=True, slots=True)
class Ages:
    """fresh_ms covers one period of the sensor and its latency; for max_age_ms the site stays much the same."""

    fresh_ms: float
    max_age_ms: float


AGES: Mapping[str, Ages] = {
    "camera": Ages(200.0, 600.0),
    "depth": Ages(200.0, 600.0),
    "lidar": Ages(350.0, 1000.0),
    "gps": Ages(400.0, 2000.0),
}


def site_model(operator: str = "multconcat", dim: int = 64) -> FusionModel:
    """A fresh reference model: camera, depth, lidar and GPS to the four actions; weights drawn from torch's seed."""
    streams = site_streams()
    row = OPERATORS[operator]
    dim = len(LABELS) if row.classes else dim
    width = row.width(len(streams), dim, row.default_rank)
    head = nn.Identity() if row.classes else nn.Linear(width, len(LABELS))
    return FusionModel(streams, operator, dim, head, [ClassOutput(OUTPUT_NAME, LABELS)])


def site_streams() -> Mapping[str, Stream]:
    """Fresh encoders for the site's four streams, weights drawn from torch's seed."""
    lidar = PREPROCESS["lidar"]
    grid = len(lidar["z_edges_m"]) + 1
    picture = (PREPROCESS["camera"]["height"], PREPROCESS["camera"]["width"])
    encoders: Mapping[str, tuple[nn.Module, int]] = {
        "camera": (conv_encoder(ImageInput(), (3, 16, 32, 48), picture, 16, 64, DROPOUT), 64),
        "depth": (conv_encoder(DepthInput(DEPTH_RANGE_M), (2, 16, 32, 48), picture, 16, 64, DROPOUT), 64),
        "lidar": (conv_encoder(nn.Identity(), (grid, 16, 32, 48), (lidar["rows"], lidar["cols"]), 16, 64, DROPOUT), 64),
        "gps": (mlp_encoder(GpsInput(), 6, 64, 32), 32),
    }
    return {name: _stream(name, *encoders[name]) for name in PREPROCESS}


def _stream(name: str, encoder: nn.Module, dim: int) -> Stream:
    params: Mapping[str, Any] = PREPROCESS[name]
    return Stream(name, encoder, dim, params, AGES[name].fresh_ms, AGES[name].max_age_ms)
