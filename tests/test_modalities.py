"""Each kind of sensor brings its payload into the encoder's tensor, and says what is wrong with its content."""

from __future__ import annotations

import json
from typing import Literal

import numpy as np
import pymap3d
import pytest

from edgefuse.modalities import KINDS
from edgefuse.modalities.base import CommonChecks
from edgefuse.modalities.camera import CameraChecks, ImageParams, fitted
from edgefuse.modalities.depth import DepthChecks
from edgefuse.modalities.gps import GpsChecks, GpsParams
from edgefuse.modalities.lidar import GridParams, LidarChecks
from edgefuse.modalities.vector import VectorParams
from edgefuse.schema import Strict, document_of
from edgefuse.types import Array

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(20, 60, (96, 128, 3), dtype=np.uint8)
GRID = GridParams(x_min_m=-4.0, y_min_m=-4.0, cell_m=1.0, rows=8, cols=8, z_edges_m=(0.0, 1.0, 2.0))
FIX = np.array([50.8, 4.35, 100.0, 1.0, 4.0, 9.0, 0.0])


def tensor_of(kind: str, payload: Array, params: Strict) -> Array:
    dtype, shape = KINDS[kind].tensor(params)
    out: Array = np.full(shape, 77, dtype=dtype)
    KINDS[kind].preprocess(payload, params, out)
    return out


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_has_defaults_for_all_its_checks(kind: str) -> None:
    assert KINDS[kind].kind == kind
    assert isinstance(KINDS[kind].checks(), CommonChecks)
    assert json.dumps(document_of(KINDS[kind].checks()))


def test_a_camera_picture_of_the_right_size_is_taken_as_it_is() -> None:
    assert (tensor_of("camera", PICTURE, ImageParams(width=128, height=96)) == PICTURE).all()


def test_halving_a_picture_averages_its_pixels() -> None:
    small = tensor_of("camera", PICTURE, ImageParams(width=64, height=48)).astype(float)
    means = PICTURE.reshape(48, 2, 64, 2, 3).mean(axis=(1, 3))
    assert np.abs(small - means).max() <= 0.5


def test_a_wide_picture_keeps_its_proportions_by_losing_its_sides() -> None:
    wide = np.zeros((60, 200, 3), dtype=np.uint8)
    assert fitted(wide, ImageParams(width=4, height=3)).shape == (60, 80, 3)
    assert fitted(wide.transpose(1, 0, 2), ImageParams(width=4, height=3)).shape == (45, 60, 3)
    wide[:, 60:140] = 50
    assert (tensor_of("camera", wide, ImageParams(width=40, height=30)) == 50).all()


def test_resizing_depth_never_invents_a_distance() -> None:
    depth = RNG.choice(np.array([0, 1000, 9000], dtype=np.uint16), (60, 80))
    small = tensor_of("depth", depth, ImageParams(width=33, height=17, fit="stretch"))
    assert small.dtype == np.uint16
    assert set(np.unique(small)) <= {0, 1000, 9000}


def test_lidar_points_land_in_their_cell_and_band() -> None:
    points = np.array([[0.5, -3.5, 0.5, 0.3], [0.6, -3.4, 1.5, 0.9], [99, 0, 0.5, 1.0]], dtype=np.float32)
    grid = tensor_of("lidar", points, GRID)
    assert grid.shape == (4, 8, 8)
    assert grid[0, 4, 0] == np.float32(1 / 8)
    assert grid[1, 4, 0] == np.float32(1 / 8)
    assert grid[2, 4, 0] == np.float32(1.5)
    assert grid[3, 4, 0] == np.float32(0.9)
    assert np.count_nonzero(grid) == 4


def test_a_fix_becomes_metres_from_the_origin() -> None:
    origin = GpsParams(latitude_deg=50.799, longitude_deg=4.351, altitude_m=90.0)
    enu = tensor_of("gps", FIX, origin)
    truth = pymap3d.geodetic2enu(50.8, 4.35, 100.0, 50.799, 4.351, 90.0)
    np.testing.assert_allclose(enu[:3], truth, rtol=1e-6)
    np.testing.assert_array_equal(enu[3:], np.array([1.0, 2.0, 3.0], dtype=np.float32))


def test_a_vector_is_taken_as_it_is_without_denormals() -> None:
    vector = np.array([[1.5, 1e-40], [-2.0, 0.0]], dtype=np.float32)
    expected = np.array([[1.5, 0.0], [-2.0, 0.0]], dtype=np.float32)
    np.testing.assert_array_equal(tensor_of("vector", vector, VectorParams(shape=(2, 2))), expected)


@pytest.mark.parametrize("fit", ["crop", "stretch"])
@pytest.mark.parametrize("kind", ["camera", "depth", "lidar", "gps", "vector"])
def test_the_layout_of_a_payload_in_memory_does_not_matter(kind: str, fit: Literal["crop", "stretch"]) -> None:
    size = ImageParams(width=24, height=20, fit=fit)
    origin = GpsParams(latitude_deg=50.0, longitude_deg=4.0)
    cases: dict[str, tuple[Array, Strict]] = {
        "camera": (PICTURE, size),
        "depth": (RNG.integers(0, 9000, (60, 80), dtype=np.uint16), size),
        "lidar": (RNG.normal(0.0, 2.0, (500, 4)).astype(np.float32), GRID),
        "gps": (FIX, origin),
        "vector": (RNG.normal(size=(6, 4)).astype(np.float32), VectorParams(shape=(6, 4))),
    }
    payload, params = cases[kind]
    plain = tensor_of(kind, payload, params)
    backwards = np.ascontiguousarray(payload[..., ::-1])[..., ::-1]
    spread = np.repeat(payload, 2, axis=0)[::2]
    shifted = np.frombuffer(b"\0" + payload.tobytes(), np.uint8)[1:].view(payload.dtype).reshape(payload.shape)
    for layout in (np.asfortranarray(payload), backwards, spread, shifted):
        np.testing.assert_array_equal(layout, payload)
        np.testing.assert_array_equal(tensor_of(kind, layout, params), plain)
        checks = KINDS[kind].checks()
        assert KINDS[kind].refusal(layout, payload.shape, checks) == KINDS[kind].refusal(payload, payload.shape, checks)


def noisy(level: int) -> Array:
    return RNG.integers(level, level + 3, (48, 64, 3), dtype=np.uint8)


def with_hot_pixels(level: int) -> Array:
    picture = noisy(level)
    picture[::16, ::16] = 255 - picture[::16, ::16]
    return picture


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (PICTURE, None),
        (noisy(0), "blackout"),
        (noisy(252), "overexposed"),
        (noisy(20), None),
        (with_hot_pixels(0), "blackout"),
        (np.zeros((0, 5, 3), dtype=np.uint8), "bad_shape"),
        (np.zeros((1 << 15, 1, 3), dtype=np.uint8), "bad_shape"),
    ],
)
def test_a_camera_that_shows_nothing_is_noticed(picture: Array, reason: str | None) -> None:
    assert KINDS["camera"].refusal(picture, (), CameraChecks()) == reason


def test_a_depth_picture_of_holes_is_noticed() -> None:
    depth = np.zeros((60, 80), dtype=np.uint16)
    assert KINDS["depth"].refusal(depth, (), DepthChecks()) == "too_few_pixels"
    depth[:2] = np.arange(500, 580)
    assert KINDS["depth"].refusal(depth, (), DepthChecks()) is None
    assert KINDS["depth"].refusal(depth[:0], (), DepthChecks()) == "bad_shape"


def test_an_empty_or_poisoned_cloud_is_noticed() -> None:
    cloud = RNG.normal(size=(60, 4)).astype(np.float32)
    check = KINDS["lidar"].refusal
    assert check(cloud, (), LidarChecks()) is None
    assert check(cloud[:49], (), LidarChecks()) == "too_few_points"
    assert check(cloud[:0], (), LidarChecks()) == "too_few_points"
    cloud[7, 2] = np.inf
    assert check(cloud, (), LidarChecks()) == "non_finite"


@pytest.mark.parametrize(
    ("index", "value", "reason"),
    [
        (6, -1.0, "no_fix"),
        (0, np.nan, "non_finite"),
        (0, 91.0, "out_of_range"),
        (1, -181.0, "out_of_range"),
        (4, -1.0, "out_of_range"),
        (3, 700.0, "poor_fix"),
        (5, 700.0, None),
        (6, 2.0, None),
    ],
)
def test_a_fix_that_says_nothing_is_noticed(index: int, value: float, reason: str | None) -> None:
    fix = FIX.copy()
    fix[index] = value
    assert KINDS["gps"].refusal(fix, (), GpsChecks()) == reason


def test_no_fix_with_a_place_of_nan_is_no_fix() -> None:
    assert KINDS["gps"].refusal(np.array([np.nan] * 6 + [-1.0]), (), GpsChecks()) == "no_fix"


def test_a_grid_whose_edges_do_not_ascend_is_refused() -> None:
    with pytest.raises(ValueError, match="z_edges_m must ascend"):
        GridParams(x_min_m=0.0, y_min_m=0.0, cell_m=1.0, rows=1, cols=1, z_edges_m=(0.0, 0.0))
