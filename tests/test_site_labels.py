"""The labels of the site: the rule on positions, the margins of drawn moments, and who sees a worker at the cab."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgefuse.sources.site.bodies import scene_solids
from edgefuse.sources.site.episode import draw_moment
from edgefuse.sources.site.scene import (
    BUCKET_ZONE_M,
    CABIN_ZONE_M,
    TRACK_ZONE_M,
    Machine,
    Scene,
    Worker,
    beside_cabin_m,
    label,
    under_bucket_m,
)
from edgefuse.sources.site.sensors import camera_image, depth_image, lidar_scan
from edgefuse.sources.site.solids import pack

BUCKET, CABIN, TRACK, SAFE = range(4)


@pytest.mark.parametrize(
    ("machine", "worker", "wanted"),
    [
        ((0.0, 0.0), None, SAFE),
        ((0.0, 0.0), (4.0, -0.5), BUCKET),
        ((0.0, 0.0), (8.0, 0.0), SAFE),
        ((0.0, 0.0), (0.0, 4.0), CABIN),
        ((0.0, 0.0), (-4.9, 0.0), CABIN),
        ((0.0, 0.0), (-5.1, 0.0), SAFE),
        ((0.0, 0.0), (2.0, 3.4), SAFE),  # 59.5 degrees to the left: ahead
        ((0.0, 0.0), (1.9, 3.4), CABIN),  # 60.8 degrees
        ((0.0, 10.0), None, TRACK),
        ((5.0, 6.6), None, TRACK),
        ((5.0, 6.4), None, SAFE),
        ((0.0, 10.0), (0.0, 14.0), CABIN),
        ((0.0, 10.0), (4.0, 9.5), BUCKET),
    ],
)
def test_the_rule_goes_by_positions_and_the_first_danger_counts(
    machine: tuple[float, float], worker: tuple[float, float] | None, wanted: int
) -> None:
    workers = (Worker(*worker),) if worker else ()
    assert label(Scene(Machine(*machine, heading_rad=0.0), workers)) == wanted


def test_the_rule_turns_with_the_machine() -> None:
    behind_when_facing_east = Worker(-4.0, 0.0)
    assert label(Scene(Machine(0.0, 0.0, 0.0), (behind_when_facing_east,))) == CABIN
    assert label(Scene(Machine(0.0, 0.0, math.pi), (behind_when_facing_east,))) == BUCKET


@pytest.mark.parametrize("wanted", range(4))
def test_drawn_moments_keep_the_declared_distance_from_the_borders(wanted: int) -> None:
    for seed in range(60):
        scene = draw_moment(np.random.default_rng(seed), wanted)
        assert label(scene) == wanted
        machine, people = scene.machine, [(w.east_m, w.north_m) for w in scene.workers]
        bucket = min(under_bucket_m(machine, *p) for p in people)
        cabin = min(beside_cabin_m(machine, *p) for p in people)
        across = abs(scene.ground.place(machine.east_m, machine.north_m)[1])
        assert bucket < BUCKET_ZONE_M - 0.59 or bucket > BUCKET_ZONE_M + 1.59
        assert cabin < CABIN_ZONE_M - 0.49 or cabin > CABIN_ZONE_M + 1.99
        assert across < TRACK_ZONE_M - 0.79 or across > TRACK_ZONE_M + 0.99


@pytest.mark.parametrize("seed", range(12))
def test_a_worker_at_the_cab_is_seen_by_the_lidar_and_by_no_pixel(seed: int) -> None:
    scene = draw_moment(np.random.default_rng(seed), CABIN)
    gone = tuple(w for w in scene.workers if beside_cabin_m(scene.machine, w.east_m, w.north_m) > CABIN_ZONE_M)
    without = Scene(scene.machine, gone, scene.props, scene.ground, scene.weather)
    there, not_there = pack(scene_solids(scene)), pack(scene_solids(without))
    assert np.array_equal(camera_image(scene, there), camera_image(without, not_there))
    assert np.array_equal(depth_image(scene, there), depth_image(without, not_there))
    assert not np.array_equal(lidar_scan(scene, there), lidar_scan(without, not_there))
