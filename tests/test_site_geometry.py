"""The site's ray-casting against analytic truth: planes, boxes, cylinders, and every ray tried against every solid."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgefuse.sources.site.bodies import scene_solids
from edgefuse.sources.site.episode import draw_moment
from edgefuse.sources.site.raycast import GROUND, SKY, View, cast
from edgefuse.sources.site.scene import CAMERA_MOUNT_M, Ground, Machine, Scene
from edgefuse.sources.site.sensors import (
    LIDAR_MOUNT_M,
    camera_image,
    camera_view,
    depth_image,
    depth_view,
    lidar_scan,
    lidar_view,
)
from edgefuse.sources.site.solids import SHAPES, Paint, Shape, Solid, entry, pack
from edgefuse.types import F32

FLAT = Scene(Machine(0.0, 0.0, 0.0), ground=Ground(track_north_m=500.0))
GREY = Paint((0.5, 0.5, 0.5), 0.77)
FOCAL_DEPTH = 40 / math.tan(math.radians(40))
VIEWS = {"camera": camera_view, "depth": depth_view, "lidar": lidar_view}


def test_depth_of_flat_ground_is_the_mount_height_over_the_slope() -> None:
    below = (np.arange(60) + 0.5 - 18) / FOCAL_DEPTH
    expected = np.where(below > 0, 2150 / np.where(below > 0, below, 1), np.inf)
    expected = np.where(expected <= 12000, expected, 0)
    image = depth_image(FLAT, pack([]))
    assert np.abs(image - expected[:, None]).max() <= 1


def test_depth_of_a_box_is_the_distance_along_the_axis_at_every_pixel_it_covers() -> None:
    x, y, z = CAMERA_MOUNT_M
    box = Solid("box", (x + 5.5, y, z), (0.5, 0.8, 0.6), GREY)
    image = depth_image(FLAT, pack([box]))
    side = (39.5 - np.arange(80)) / FOCAL_DEPTH * 5
    up = (17.5 - np.arange(60)) / FOCAL_DEPTH * 5
    covered = (np.abs(up) < 0.6)[:, None] & (np.abs(side) < 0.8)[None, :]
    assert covered.sum() > 100
    assert (np.abs(image[covered].astype(int) - 5000) <= 1).all()
    assert np.array_equal(image[~covered], depth_image(FLAT, pack([]))[~covered])


def test_lidar_ranges_to_a_post_follow_the_circle() -> None:
    x, y, z = LIDAR_MOUNT_M
    far, radius = 5.0, 0.5
    post = Solid("round", (x + far, y, z), (radius, radius, 5.0), GREY)
    points = lidar_scan(FLAT, pack([post]))
    points = points[points[:, 3] == np.float32(0.77)]
    turn = np.arctan2(points[:, 1], points[:, 0])
    expected = far * np.cos(turn) - np.sqrt(radius**2 - (far * np.sin(turn)) ** 2)
    assert len(points) == 16 * 6  # 5.7 degrees to either side, every 2
    assert np.hypot(points[:, 0], points[:, 1]) == pytest.approx(expected, abs=1e-4)


def test_lidar_rings_on_flat_ground_have_the_radius_of_their_beam() -> None:
    points = lidar_scan(FLAT, pack([]))
    assert points[:, 2] == pytest.approx(-2.6, abs=1e-4)
    beams = np.linspace(-25, 10, 16)
    radii = 2.6 / np.tan(np.radians(-beams[beams < -3.5]))
    found = np.unique(np.round(np.hypot(points[:, 0], points[:, 1]), 2))
    assert all(np.abs(found - r).min() < 0.02 for r in radii)


def test_a_heading_turns_what_is_seen() -> None:
    x, y, z = CAMERA_MOUNT_M
    ahead = Solid("ball", (x + 5, y, z), (0.5, 0.5, 0.5), GREY)
    to_the_left = Solid("ball", (-y, x + 5, z), (0.5, 0.5, 0.5), GREY)
    turned = Scene(Machine(0.0, 0.0, math.pi / 2), ground=FLAT.ground)
    difference = depth_image(FLAT, pack([ahead])).astype(int) - depth_image(turned, pack([to_the_left])).astype(int)
    assert np.abs(difference).max() <= 1


def test_the_ballast_bed_stands_out_of_the_ground() -> None:
    ground = Ground(track_north_m=0.0)
    scene = Scene(Machine(0.0, -8.0, math.pi / 2), ground=ground)
    hits = cast(scene, pack([]), lidar_view())
    met = hits.index == GROUND
    up = hits.points[2][met] + 2.6
    across = -8.0 + LIDAR_MOUNT_M[0] + hits.points[0][met]
    expected = np.clip((2.7 - np.abs(across)) * 0.3, 0, 0.3)
    near = np.hypot(hits.points[0], hits.points[1])[met] < 20
    assert up[near] == pytest.approx(expected[near], abs=0.02)
    assert up[near].max() > 0.29


@pytest.mark.parametrize("seed", range(3))
def test_camera_and_depth_see_one_geometry(seed: int) -> None:
    scene = draw_moment(np.random.default_rng(seed), seed)
    solids = pack(scene_solids(scene))
    camera, depth = cast(scene, solids, camera_view()), cast(scene, solids, depth_view())
    rows, cols = (np.arange(n) * 1.6 + 0.3 for n in (60, 80))
    nearest = np.ix_(np.rint(rows).astype(int), np.rint(cols).astype(int))
    same = camera.index[nearest] == depth.index
    assert same.mean() > 0.93
    solid = same & (depth.index >= 0)
    assert np.median(np.abs(camera.t[nearest][solid] / depth.t[solid] - 1)) < 0.01


@pytest.mark.parametrize("kind", VIEWS)
@pytest.mark.parametrize("seed", range(4))
def test_no_ray_misses_what_it_would_meet_without_culling(kind: str, seed: int) -> None:
    scene = draw_moment(np.random.default_rng(100 + seed), seed)
    solids, sensor = pack(scene_solids(scene)), VIEWS[kind]()
    hits = cast(scene, solids, sensor)
    nearest = _brute_force(scene, sensor)
    bare = cast(scene, pack([]), sensor).t
    assert hits.t == pytest.approx(np.minimum(nearest, bare), rel=1e-3, abs=1e-3)
    assert ((hits.index == SKY) == np.isinf(hits.t)).all()


def _brute_force(scene: Scene, sensor: View) -> F32:
    """The nearest entry of every ray into any solid, each solid tried with every ray."""
    solids = pack(scene_solids(scene)).seen_from(scene.above_ground(*sensor.mount_m), scene.machine.heading_rad)
    rays, nearest = sensor.rays.reshape(3, -1), np.full(sensor.rays[0].size, np.inf, np.float32)
    for i, kind in enumerate(solids.kind):
        turn = solids.rot[i].T / solids.half[i][:, None]
        start = np.repeat((-turn @ solids.centre[i]).astype(np.float32)[:, None], rays.shape[1], 1)
        local = (turn @ rays).astype(np.float32)
        taper = np.full(rays.shape[1], solids.taper[i], np.float32)
        nearest = np.minimum(nearest, entry(SHAPES[kind], start, local, taper))
    return nearest.reshape(sensor.shape)


def _inside(shape: Shape, p: np.ndarray, taper: float) -> np.ndarray:
    """How far inside the unit shape points [3, m] are; negative outside, 0 on the surface."""
    if shape == "box":
        return np.asarray(1 - np.abs(p).max(0))
    if shape == "ball":
        return np.asarray(1 - np.linalg.norm(p, axis=0))
    radius = 1 + (taper - 1) * (p[2] + 1) / 2
    return np.asarray(np.minimum(radius - np.hypot(p[0], p[1]), 1 - np.abs(p[2])))


@settings(max_examples=300, deadline=None)
@given(
    shape=st.sampled_from(SHAPES),
    angles=st.tuples(st.floats(0, 6.28), st.floats(-0.7, 0.7)),
    aim=st.tuples(*[st.floats(-1.3, 1.3)] * 3),
    taper=st.floats(0.1, 1.2),
)
def test_a_ray_enters_a_shape_where_it_first_is_inside(
    shape: Shape, angles: tuple[float, float], aim: tuple[float, float, float], taper: float
) -> None:
    turn, rise = angles
    origin = 4 * np.array([math.cos(turn) * math.cos(rise), math.sin(turn) * math.cos(rise), math.sin(rise)])
    ray = np.array(aim) - origin
    assume(abs(ray[2]) < 0.9 * math.hypot(ray[0], ray[1]))
    met = float(entry(shape, _column(origin), _column(ray), np.array([taper], np.float32))[0])
    steps = np.linspace(0, 2, 4001)
    depth_inside = _inside(shape, origin[:, None] + ray[:, None] * steps, taper)
    if math.isinf(met):
        assert depth_inside.max() < 0.01
    else:
        assert _inside(shape, (origin + met * ray)[:, None], taper)[0] == pytest.approx(0, abs=2e-3)
        assert depth_inside[steps < met - 1e-3].max(initial=-1.0) < 2e-3


def _column(vector: np.ndarray) -> F32:
    return vector.astype(np.float32)[:, None]


def test_a_sensor_inside_a_body_is_not_blinded_by_it() -> None:
    x, y, z = LIDAR_MOUNT_M
    shell = Solid("box", (x, y, z), (1.0, 1.0, 1.0), GREY)
    assert np.array_equal(lidar_scan(FLAT, pack([shell])), lidar_scan(FLAT, pack([])))


def test_a_shadow_falls_on_the_side_away_from_the_sun_and_darkens_the_ground_only() -> None:
    x, y, _ = CAMERA_MOUNT_M
    post = Solid("round", (x + 6, y, 0.75), (0.2, 0.2, 0.75), GREY)
    casting = Solid("round", (x + 6, y, 0.75), (0.2, 0.2, 0.75), GREY, shadow=True)
    sun_on_the_left = Scene(FLAT.machine, ground=FLAT.ground)
    plain, shaded = camera_image(sun_on_the_left, pack([post])), camera_image(sun_on_the_left, pack([casting]))
    sun_turn = sun_on_the_left.weather.sun_rad
    changed = (plain.astype(int) - shaded).sum(2) > 15
    columns = np.flatnonzero(changed.any(0))
    assert 0 < sun_turn < math.pi  # the sun stands on the left, so the shadow lies to the right
    assert len(columns) > 3
    assert columns.min() >= 60
    met = cast(sun_on_the_left, pack([post]), camera_view()).index
    assert (met[changed] == GROUND).all()
