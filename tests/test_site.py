"""The simulated site as a source: payloads, episodes, timing, clocks and GPS errors."""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import pymap3d
import pytest

from edgefuse.sources.site import ANCHOR, LABELS, OUTPUT_NAME, TIMING, SiteSource, Snapshot, snapshot
from edgefuse.sources.site.scene import (
    Ground,
    Machine,
    Scene,
)
from edgefuse.sources.site.sensors import gps_fix, gps_sigma
from edgefuse.types import NS_PER_MS, NS_PER_S, Sample

START_NS = 10 * NS_PER_S


@pytest.fixture(scope="module")
def snapshots() -> list[Snapshot]:
    return [snapshot(seed) for seed in range(64)]


@pytest.fixture(scope="module")
def episode() -> tuple[SiteSource, list[Sample]]:
    source = SiteSource(seed=3, duration_s=5.0)
    return source, list(source.samples())


def test_payloads_are_as_their_kinds_demand(snapshots: list[Snapshot]) -> None:
    for shot in snapshots:
        camera, depth, lidar, gps = (shot.payloads[k] for k in ("camera", "depth", "lidar", "gps"))
        assert (camera.shape, camera.dtype) == ((96, 128, 3), np.dtype(np.uint8))
        assert (depth.shape, depth.dtype) == ((60, 80), np.dtype(np.uint16))
        assert (lidar.shape[1], lidar.dtype) == (4, np.dtype(np.float32))
        assert (gps.shape, gps.dtype) == ((7,), np.dtype(np.float64))
        assert all(p.flags.c_contiguous and p.dtype.isnative for p in shot.payloads.values())
        assert 300 < len(lidar) <= 16 * 180
        assert np.isfinite(lidar).all()
        assert lidar[:, 3].min() >= 0
        assert lidar[:, 3].max() <= 1
        assert depth.max() < 13_500
        assert gps[6] in (0, 1, 2)


def test_no_healthy_moment_looks_like_a_broken_sensor(snapshots: list[Snapshot]) -> None:
    for shot in snapshots:
        camera, depth = shot.payloads["camera"], shot.payloads["depth"]
        assert 20 < camera.mean() < 200
        assert camera.std() > 5
        assert (depth > 0).mean() > 0.2


def test_the_labels_of_seeds_are_equally_likely(snapshots: list[Snapshot]) -> None:
    counts = Counter(shot.label for shot in snapshots)
    assert all(8 <= counts[k] <= 26 for k in range(4))


def test_a_seed_gives_the_same_moment_each_time(snapshots: list[Snapshot]) -> None:
    again, other = snapshot(7), snapshots[8]
    for topic, payload in snapshots[7].payloads.items():
        assert payload.tobytes() == again.payloads[topic].tobytes()
        assert payload.tobytes() != other.payloads[topic].tobytes()


def test_gps_errors_have_the_reported_variance() -> None:
    rng = np.random.default_rng(1)
    scene = Scene(Machine(3.0, -20.0, 0.7), ground=Ground())
    truth = scene.above_ground(-0.5, 0.0, 2.4)
    scaled = []
    for _ in range(3000):
        fix = gps_fix(scene, rng.standard_normal(3), *gps_sigma(rng))
        error = np.array(pymap3d.geodetic2enu(*fix[:3], *ANCHOR)) - truth
        scaled.append(error / np.sqrt(fix[3:6]))
    z = np.array(scaled)
    assert np.abs(z.mean(0)).max() < 0.07  # 3.8 standard errors of 3000
    assert np.abs(z.var(0) - 1).max() < 0.1
    assert abs(np.corrcoef(z.T) - np.eye(3)).max() < 0.07


def test_an_rtk_fix_reports_less_error_than_a_plain_one() -> None:
    rng = np.random.default_rng(2)
    drawn = [gps_sigma(rng) for _ in range(400)]
    assert max(s for s, status in drawn if status == 2) < min(s for s, status in drawn if status == 0)


@pytest.mark.parametrize("topic", TIMING)
def test_rates_jitter_latency_and_clocks_are_as_declared(topic: str) -> None:
    timing = TIMING[topic]
    mine = [c for c in SiteSource(1, 120.0).captures() if c.topic == topic]
    true, stamp, arrival = (np.array([getattr(c, k) for c in mine]) for k in ("true_ns", "stamp_ns", "arrival_ns"))
    even = START_NS + (timing.phase_ms + np.arange(len(mine)) * 1000 / timing.rate_hz) * NS_PER_MS
    assert abs(len(mine) - 120 * timing.rate_hz) <= 1
    assert np.std(true - even) / NS_PER_MS == pytest.approx(timing.jitter_ms, rel=0.15)
    late_ms = (arrival - true) / NS_PER_MS
    assert late_ms.min() >= timing.latency_ms
    assert late_ms.mean() == pytest.approx(timing.latency_ms + timing.queue_ms, abs=0.2 * timing.queue_ms)
    ahead_s = (stamp - true) / NS_PER_S
    drift, offset = np.polyfit((true - START_NS) / NS_PER_S, ahead_s, 1)
    assert offset == pytest.approx(timing.offset_s, abs=1e-6)
    assert drift * 1e6 == pytest.approx(timing.drift_ppm, abs=0.01)


def test_samples_come_in_order_of_arrival_and_all_sensors_within_a_third_of_a_second(
    episode: tuple[SiteSource, list[Sample]],
) -> None:
    source, samples = episode
    arrivals = [s.arrived_ns for s in samples]
    assert arrivals == sorted(arrivals)
    assert Counter(s.stream for s in samples) == Counter(c.topic for c in source.captures())
    for topic in source.topics:
        assert next(s.arrived_ns for s in samples if s.stream == topic) < START_NS + 0.3 * NS_PER_S


def test_mapped_stamps_are_within_milliseconds_of_the_capture(episode: tuple[SiteSource, list[Sample]]) -> None:
    source, samples = episode
    for topic in source.topics:
        pairs = zip(
            (s.stamp_ns for s in samples if s.stream == topic),
            (c.true_ns for c in source.captures() if c.topic == topic),
            strict=True,
        )
        errors_ms = np.array([(mapped - true) / NS_PER_MS for mapped, true in pairs])
        assert np.abs(errors_ms).max() < 40
        assert np.abs(errors_ms[10:]).max() < 4


def test_an_episode_is_bit_identical_each_time(episode: tuple[SiteSource, list[Sample]]) -> None:
    first = episode[1][:40]
    again = SiteSource(seed=3, duration_s=5.0).samples()
    for sample, repeated in zip(first, again, strict=False):
        assert (sample.stream, sample.stamp_ns, sample.arrival_ns) == (
            repeated.stream,
            repeated.stamp_ns,
            repeated.arrival_ns,
        )
        assert sample.payload.tobytes() == repeated.payload.tobytes()


def test_a_later_start_shifts_an_episode_and_changes_nothing_else() -> None:
    early, late = SiteSource(5, 2.0).samples(), SiteSource(5, 2.0, start_ns=START_NS + 7).samples()
    for _ in range(6):
        a, b = next(early), next(late)
        assert b.stamp_ns - a.stamp_ns == 7
        assert a.payload.tobytes() == b.payload.tobytes()


def test_every_label_occurs_within_half_a_minute() -> None:
    for seed in range(12):
        assert _seen(SiteSource(seed, 30.0), 30.0) == set(LABELS)


def _seen(source: SiteSource, until_s: float) -> set[str]:
    truths = (source.truth(START_NS + round(t * NS_PER_S)) for t in np.arange(0, until_s, 0.2))
    return {truth[OUTPUT_NAME] for truth in truths if truth is not None}


def test_the_truth_is_known_during_the_episode_only() -> None:
    source = SiteSource(0, 4.0)
    assert source.truth(START_NS - 1) is None
    assert source.truth(START_NS + 4 * NS_PER_S + 1) is None
    assert set(source.truth(START_NS) or {}) == {OUTPUT_NAME}


def test_nothing_on_the_site_leaps() -> None:
    for seed in range(8):
        acted = SiteSource(seed, 20.0).episode
        scenes = [acted.scene(t) for t in np.arange(0, 20, 0.1)]
        for a, b in itertools.pairwise(scenes):
            assert math.dist((a.machine.east_m, a.machine.north_m), (b.machine.east_m, b.machine.north_m)) < 0.5
            assert abs(b.machine.heading_rad - a.machine.heading_rad) < 0.1
            for v, w in zip(a.workers, b.workers, strict=True):
                assert math.dist((v.east_m, v.north_m), (w.east_m, w.north_m)) < 0.8


def test_an_hour_is_rendered_only_as_it_is_asked_for() -> None:
    assert next(SiteSource(0, 3600.0).samples()).stream == "camera"


def test_faster_than_real_time_is_reported(record_property: Callable[[str, object], None]) -> None:
    start = time.process_time()
    count = sum(1 for _ in SiteSource(0, 2.0).samples())
    spent = time.process_time() - start
    record_property("real_time_factor", 2.0 / spent)
    assert count == len(SiteSource(0, 2.0).captures())
