"""Projection and depth image against a loop over the points, one at a time, in plain Python numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgefuse.sources.projection import Projection, depth_image, project
from edgefuse.types import F32, F64

WIDTH_PX, HEIGHT_PX = 21, 14
# A pinhole of 10 pixels focal length with its centre at (10.5, 7), looking along the lidar's x from 0.25 m ahead of it.
LOOKING_AHEAD = Projection(
    np.array([[10.5, -10.0, 0.0, -10.5 * 0.25], [7.0, 0.0, -10.0, -7.0 * 0.25], [1.0, 0.0, 0.0, -0.25]]),
    WIDTH_PX,
    HEIGHT_PX,
)


def seen_one_by_one(points: F32, projection: Projection) -> list[tuple[float, float, float]]:
    """(column, row, depth) of each visible point: the definition, written out without arrays."""
    matrix: F64 = projection.pixel_from_lidar
    seen = []
    for x, y, z in points[:, :3].tolist():
        a, b, depth = (float(m[0]) * x + float(m[1]) * y + float(m[2]) * z + float(m[3]) for m in matrix)
        if not all(map(math.isfinite, (x, y, z))) or depth <= 0.0:
            continue
        if 0.0 <= a / depth < projection.width_px and 0.0 <= b / depth < projection.height_px:
            seen.append((a / depth, b / depth, depth))
    return seen


def depth_one_by_one(points: F32, projection: Projection, reduction: int) -> dict[tuple[int, int], int]:
    nearest: dict[tuple[int, int], int] = {}
    for column, row, depth in seen_one_by_one(points, projection):
        depth_mm = round(depth * 1000.0)
        cell = int(row) // reduction, int(column) // reduction
        if 1 <= depth_mm < 65535:
            nearest[cell] = min(depth_mm, nearest.get(cell, depth_mm))
    return nearest


def cloud(*xyz: tuple[float, float, float]) -> F32:
    return np.array([(*point, 0.5) for point in xyz], np.float32).reshape(-1, 4)


def test_a_point_on_the_axis_is_at_the_centre_at_its_distance_from_the_camera() -> None:
    column, row, depth_m = project(cloud((4.25, 0.0, 0.0)), LOOKING_AHEAD)
    assert (column[0], row[0], depth_m[0]) == (10.5, 7.0, 4.0)


def test_left_is_to_the_left_and_up_is_up_in_the_picture() -> None:
    column, row, _ = project(cloud((4.25, 1.0, 0.0), (4.25, 0.0, 1.0)), LOOKING_AHEAD)
    assert column[0] < 10.5
    assert row[1] < 7.0


def test_points_behind_and_beside_the_camera_are_not_seen() -> None:
    behind = cloud((-4.0, 0.0, 0.0), (0.25, 0.0, 0.0), (0.1, 0.0, 0.0), (4.0, 30.0, 0.0), (4.0, 0.0, -30.0))
    assert project(behind, LOOKING_AHEAD)[0].size == 0
    assert not depth_image(behind, LOOKING_AHEAD, 4).any()


def test_the_picture_ends_before_its_width_and_height_and_begins_at_zero() -> None:
    edges = cloud((10.25, -10.5, 0.0), (10.25, 0.0, -7.0), (10.25, 10.5, 7.0))
    column, row, _ = project(edges, LOOKING_AHEAD)
    assert (column.tolist(), row.tolist()) == ([0.0], [0.0]), "21.0 and 14.0 lie outside"


def test_the_nearest_point_of_a_pixel_wins_in_any_order() -> None:
    near, far = (3.25, 0.0, 0.0), (8.25, 0.0, 0.0)
    for points in (cloud(near, far), cloud(far, near)):
        assert depth_image(points, LOOKING_AHEAD, 1)[7, 10] == 3000


@pytest.mark.parametrize(("range_m", "depth_mm"), [(65.784, 65534), (65.785, 0), (90.0, 0), (0.251, 1)])
def test_a_depth_without_room_in_sixteen_bits_is_no_measurement(range_m: float, depth_mm: int) -> None:
    assert depth_image(cloud((range_m, 0.0, 0.0)), LOOKING_AHEAD, 1).max() == depth_mm


@pytest.mark.parametrize(("reduction", "shape"), [(1, (14, 21)), (2, (7, 11)), (4, (4, 6)), (100, (1, 1))])
def test_a_reduced_image_still_covers_every_pixel(reduction: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    points = np.column_stack((rng.uniform(1, 3, 60000), rng.uniform(-3, 3, (60000, 2)), rng.random(60000)))
    image = depth_image(points.astype(np.float32), LOOKING_AHEAD, reduction)
    assert image.shape == shape
    assert image.dtype == np.uint16
    assert image.flags.c_contiguous
    assert image.all()


def test_no_points_make_an_image_without_measurements() -> None:
    assert not depth_image(np.empty((0, 4), np.float32), LOOKING_AHEAD, 2).any()


values = st.one_of(st.floats(-80.0, 80.0, width=32), st.sampled_from([np.nan, np.inf, -np.inf, 3e38, 1e-30]))


@given(arrays(np.float32, st.tuples(st.integers(0, 12), st.just(4)), elements=values), st.integers(1, 5))
def test_whatever_the_points_the_image_is_that_of_the_loop(points: F32, reduction: int) -> None:
    image = depth_image(points, LOOKING_AHEAD, reduction)
    wanted = np.zeros_like(image)
    for cell, depth_mm in depth_one_by_one(points, LOOKING_AHEAD, reduction).items():
        wanted[cell] = depth_mm
    assert np.array_equal(image, wanted)
