"""Lidar: float32 [n, 4] points in the sensor frame, gathered into a fixed bird's-eye grid by a kernel."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from edgefuse import kernels
from edgefuse.modalities.base import CommonChecks, Modality
from edgefuse.schema import Finite, Positive, Strict
from edgefuse.types import F32, Reason

Cells = Annotated[int, Field(ge=1, le=2048)]


class GridParams(Strict):
    """A grid of rows (along x, forward) by cols (along y, left) from a corner, and height bands between z edges."""

    x_min_m: Finite
    y_min_m: Finite
    cell_m: Positive
    rows: Cells
    cols: Cells
    z_edges_m: Annotated[tuple[Finite, ...], Field(min_length=2, max_length=33)]
    count_cap: Annotated[int, Field(ge=1)] = 8

    @model_validator(mode="after")
    def _ascending(self) -> GridParams:
        if any(b <= a for a, b in zip(self.z_edges_m, self.z_edges_m[1:], strict=False)):
            raise ValueError("z_edges_m must ascend")
        return self


class LidarChecks(CommonChecks):
    """`min_points`: fewest points of a cloud that still shows the surroundings."""

    min_points: Annotated[int, Field(ge=0)] = 50


def _tensor(params: GridParams) -> tuple[str, tuple[int, ...]]:
    # One channel a band (how many points, capped), then the greatest height and the greatest reflectance.
    return "float32", (len(params.z_edges_m) + 1, params.rows, params.cols)


def _preprocess(payload: F32, params: GridParams, out: F32) -> None:
    edges = np.asarray(params.z_edges_m, dtype=np.float32)
    points = np.require(payload, requirements=("C_CONTIGUOUS", "ALIGNED"))
    kernels.lidar_grid(points, params.x_min_m, params.y_min_m, params.cell_m, edges, params.count_cap, out)


def _content(payload: F32, checks: LidarChecks) -> Reason | None:
    if len(payload) < checks.min_points:
        return "too_few_points"
    return None if np.isfinite(payload).all() else "non_finite"


LIDAR = Modality(
    kind="lidar",
    payload="float32 [n, 4]: x, y, z in metres (forward, left, up), reflectance 0 to 1",
    dtype=np.dtype(np.float32),
    shape=(None, 4),
    params=GridParams,
    checks=LidarChecks,
    tensor=_tensor,
    preprocess=_preprocess,
    content=_content,
)
