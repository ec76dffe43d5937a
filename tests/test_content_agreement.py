"""Depth and lidar of one moment agree, whatever the weather; a depth picture on a wrong scale does not."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from edgefuse.modalities.agreement import Agreement, disagrees, relative_error
from edgefuse.schema import validate
from edgefuse.sources import open_source
from edgefuse.sources.site import CAMERA_MOUNT_M, DEPTH_HEIGHT, DEPTH_WIDTH, FIELD_RAD, HORIZON, LIDAR_MOUNT_M
from edgefuse.types import F32, Array

SITE: dict[str, Any] = {
    "stream": "lidar",
    "focal_px": 47.67,
    "centre_px": [39.5, 17.5],
    "T_depth_lidar": [[0, -1, 0, -0.07], [0, 0, -1, -0.45], [1, 0, 0, -0.70]],
    "within_ms": 100,
    "max_relative_error": 0.1,
}
LEVEL_EYES: dict[str, Any] = {**SITE, "T_depth_lidar": [[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0]]}


def agreement(**change: object) -> Agreement:
    return validate(Agreement, {**SITE, **change})


def wall(distance_m: float, count: int = 500) -> tuple[Array, F32]:
    """A wall square across the view of both sensors, which sit in one place."""
    rng = np.random.default_rng(int(distance_m * 10))
    across, up = rng.uniform(-0.6, 0.6, count), rng.uniform(-0.3, 0.3, count)
    points = np.stack([np.full(count, distance_m), across * distance_m, up * distance_m, across * 0], axis=1)
    return np.full((60, 80), round(distance_m * 1000), np.uint16), points.astype(np.float32)


@pytest.mark.parametrize("distance_m", [0.5, 3.0, 11.0, 60.0])
def test_a_wall_that_both_see_is_agreed_on(distance_m: float) -> None:
    depth, points = wall(distance_m)
    level = validate(Agreement, LEVEL_EYES)
    assert relative_error(depth, points, level) == pytest.approx(0.0, abs=1e-3)
    assert not disagrees(depth, points, level)


@pytest.mark.parametrize("scale", [0.5, 0.8, 1.2, 1.5])
def test_the_error_is_that_of_the_scale(scale: float) -> None:
    depth, points = wall(8.0)
    wrong = (depth * scale).astype(np.uint16)
    level = validate(Agreement, LEVEL_EYES)
    assert relative_error(wrong, points, level) == pytest.approx(abs(scale - 1), abs=1e-3)
    assert disagrees(wrong, points, level)


def test_one_pixel_is_compared_with_the_points_of_its_own_direction() -> None:
    depth = np.full((60, 80), 1, np.uint16)
    depth[7, 60] = 5000
    across, down = (60 - 39.5) / 47.67, (7 - 17.5) / 47.67
    points = np.tile(np.array([5.0, -5.0 * across, -5.0 * down, 0.0], np.float32), (40, 1))
    assert relative_error(depth, points, validate(Agreement, LEVEL_EYES)) == pytest.approx(0.0, abs=1e-5)


def test_too_few_points_on_measured_pixels_are_no_disagreement() -> None:
    depth, points = wall(8.0)
    wrong = (depth * 2).astype(np.uint16)
    level = validate(Agreement, LEVEL_EYES)
    assert not disagrees(wrong, points[:29], level)
    assert disagrees(wrong, points[:30], level)
    assert not disagrees(np.zeros_like(wrong), points, level)
    assert not disagrees(wrong, points[:0], level)
    assert not disagrees(wrong, points * np.float32([-1, 1, 1, 1]), level)  # all of them behind the camera


@pytest.mark.parametrize("seed", [1, 4, 11, 21])
def test_the_sites_sensors_agree_and_a_wrong_scale_is_noticed(seed: int) -> None:
    depths: list[tuple[int, Array]] = []
    clouds: list[tuple[int, Array]] = []
    for sample in open_source(f"site:seed={seed}&duration_s=3").samples():
        {"depth": depths, "lidar": clouds}.get(sample.stream, []).append((sample.stamp_ns, sample.payload))
    compared = 0
    for stamp_ns, depth in depths:
        cloud_ns, points = min(clouds, key=lambda cloud: abs(cloud[0] - stamp_ns))
        if abs(cloud_ns - stamp_ns) > 100_000_000:
            continue
        compared += 1
        error = relative_error(depth, points, agreement())
        assert error is not None and error < 0.06
        for scale in (0.7, 1.2, 1.5):
            assert disagrees((depth * scale).astype(np.uint16), points, agreement())
    assert compared >= 20


def test_the_block_for_the_site_is_its_geometry() -> None:
    shown = agreement()
    assert shown.focal_px == pytest.approx(DEPTH_WIDTH / 2 / math.tan(FIELD_RAD / 2), abs=0.01)
    assert shown.centre_px == (DEPTH_WIDTH / 2 - 0.5, HORIZON * DEPTH_HEIGHT - 0.5)
    forward, left, up = (a - b for a, b in zip(LIDAR_MOUNT_M, CAMERA_MOUNT_M, strict=True))
    assert [row[3] for row in shown.T_depth_lidar] == pytest.approx([-left, -up, forward])


def test_the_more_the_scale_is_off_the_greater_the_error() -> None:
    depth, points = wall(4.0)
    level = validate(Agreement, LEVEL_EYES)
    errors = [relative_error((depth * s).astype(np.uint16), points, level) for s in (1.0, 1.1, 1.3, 2.0, 4.0)]
    assert all(a is not None and b is not None and a < b for a, b in pairwise(errors))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"focal_px": 0}, "focal_px"),
        ({"within_ms": -1}, "within_ms"),
        ({"max_relative_error": 0}, "max_relative_error"),
        ({"min_points": 0}, "min_points"),
        ({"min_points": 5000}, "min_points"),
        ({"centre_px": [1]}, "centre_px"),
        ({"T_depth_lidar": [[1, 0, 0, 0], [0, 1, 0, 0]]}, "T_depth_lidar"),
        ({"T_depth_lidar": [[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0]]}, "distorts"),
        ({"T_depth_lidar": [[-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]}, "mirrors"),
        ({"stream": "Not A Name"}, "stream"),
        ({"fov_deg": 80}, "fov_deg"),
    ],
)
def test_a_geometry_that_cannot_be_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        agreement(**change)
