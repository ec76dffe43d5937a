"""Lidar: float32 [n, 4] points in the sensor frame, gathered into a fixed bird's-eye grid by a kernel."""

from __future__ import annotations

import functools
from typing import Annotated

import numpy as np
from msgspec import Meta

from edgefuse import kernels
from edgefuse.modalities.base import SMALLEST, Modality, Watcher, in_order
from edgefuse.modalities.memory import MemoryChecks, Remembering
from edgefuse.modalities.sweep import SECTOR_DEG, anything_lost, points_left, rows_lost, sector_lost_deg, shape_of
from edgefuse.reference_looks import CLOUD_POINTS
from edgefuse.schema import Bounded, Finite, Fraction, Positive, Strict
from edgefuse.types import F32, F64, Reason

MAX_POINTS = 1 << 23  # of a cloud; no scanner turns once for more

Cells = Annotated[int, Meta(ge=1, le=2048)]


class GridParams(Strict):
    """A grid of rows (along x, forward) by cols (along y, left) from a corner, and height bands between z edges."""

    x_min_m: Finite
    y_min_m: Finite
    cell_m: Positive
    rows: Cells
    cols: Cells
    z_edges_m: Annotated[tuple[Finite, ...], Meta(min_length=2, max_length=33)]
    count_cap: Annotated[int, Meta(ge=1, le=1 << 24)] = 8

    def __post_init__(self) -> None:
        if any(b <= a for a, b in zip(self.z_edges_m, self.z_edges_m[1:], strict=False)):
            raise ValueError("z_edges_m must ascend")


class LidarChecks(MemoryChecks):
    """When a cloud does not show the surroundings; the last three beside what the stream has shown while trusted.

    min_points        fewest points
    denormal_share    greatest part of its nonzero numbers that may be too small to compute with; 1 switches it off
    sector_deg        width of a sector that usually holds points and may not be empty; above 360 switches it off
    beams_lost_share  part of the elevation rows that usually hold points and may not be empty; above 1 switches it off
    points_share      least part of the usual number of points; 0 switches it off
    min_range_m, max_range_m, outside_share  no more than this share of the points may lie nearer or farther than that
    """

    min_points: Annotated[int, Meta(ge=0)] = 50
    denormal_share: Fraction = 0.5
    sector_deg: Annotated[float, Meta(gt=0.0, le=720.0)] = 60.0
    beams_lost_share: Annotated[float, Meta(gt=0.0, le=2.0)] = 0.2
    points_share: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.6
    min_range_m: Annotated[float, Meta(ge=0.0, le=1e3)] = 0.05
    max_range_m: Bounded = 500.0
    outside_share: Fraction = 0.2


def _tensor(params: GridParams) -> tuple[str, tuple[int, ...]]:
    # One channel a band (how many points, capped), then the greatest height and the greatest reflectance.
    return "float32", (len(params.z_edges_m) + 1, params.rows, params.cols)


def _preprocess(payload: F32, params: GridParams, out: F32) -> None:
    edges_m = _edges_m(params.z_edges_m)
    kernels.lidar_grid(in_order(payload), params.x_min_m, params.y_min_m, params.cell_m, edges_m, params.count_cap, out)


@functools.lru_cache(maxsize=64)
def _edges_m(z_edges_m: tuple[float, ...]) -> F32:
    return np.array(z_edges_m, dtype=np.float32)


def _content(payload: F32, points: F32, checks: LidarChecks) -> Reason | None:
    if len(payload) > MAX_POINTS:
        return "bad_shape"
    if len(payload) < checks.min_points:
        return "too_few_points"
    finite, nonzero, sound, outside = kernels.cloud_counts(
        points, float(SMALLEST), checks.min_range_m, checks.max_range_m
    )
    if not finite:
        return "non_finite"
    if nonzero - sound > checks.denormal_share * max(nonzero, 1):
        return "denormal"
    # Of the cube around it: close enough, and no square overflows.
    return "out_of_range" if outside > checks.outside_share * min(len(payload), CLOUD_POINTS) else None


def _compare(shown: F64, usual: F64, checks: LidarChecks) -> Reason | None:
    few = points_left(shown, usual) < checks.points_share
    if not few and not anything_lost(shown, usual):
        return None
    # The sector's two ends lie somewhere inside a step of the histogram, so one step less is seen empty.
    if sector_lost_deg(shown, usual) >= checks.sector_deg - SECTOR_DEG:
        return "sector_lost"
    return "beams_lost" if few or rows_lost(shown, usual) >= checks.beams_lost_share else None


def _watcher() -> Watcher:
    return Remembering(shape_of, _compare)


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
    seen=in_order,
    watcher=_watcher,
)
