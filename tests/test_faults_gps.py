"""Faults of a receiver, measured in metres on the ground."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgefuse.faults import KINDS, Fault, Memory, Moment
from edgefuse.types import Array, Sample
from fault_cases import STAMP_NS, applied, at, enu, fix

FIX = fix()


@pytest.mark.parametrize(("severity", "jump_m"), at(20, 50, 100, 200, 500))
def test_a_jump_goes_its_distance_and_stays_there(severity: int, jump_m: float) -> None:
    changed = [applied("gps_jump", FIX, severity, into_s=t) for t in (0.0, 7.0)]
    assert np.array_equal(*changed)
    assert np.hypot(*enu(changed[0])[:2]) == pytest.approx(jump_m, rel=1e-6)
    assert np.array_equal(changed[0][3:], FIX[3:])


def test_another_seed_jumps_elsewhere() -> None:
    bearings = [math.atan2(*enu(applied("gps_jump", FIX, seed=seed))[:2]) for seed in range(40)]
    assert np.histogram(bearings, 4, (-math.pi, math.pi))[0].min() >= 3


@pytest.mark.parametrize(("severity", "speed_m_s"), at(0.15, 0.3, 0.5, 0.75, 1.0))
def test_a_drift_is_a_straight_line_from_where_it_was(severity: int, speed_m_s: float) -> None:
    track = enu(np.array([applied("gps_drift", FIX, severity, into_s=float(t)) for t in range(5)]))
    np.testing.assert_allclose(np.hypot(track[:, 0], track[:, 1]), speed_m_s * np.arange(5), atol=1e-6)
    np.testing.assert_allclose(np.diff(track[:, :2], axis=0), np.tile(track[1, :2], (4, 1)), atol=1e-6)


@pytest.mark.parametrize(("severity", "sd_m"), at(2, 3.5, 5, 10, 15))
def test_noise_is_white_on_each_axis(severity: int, sd_m: float) -> None:
    errors = enu(np.array([applied("gps_noise", FIX, severity, seed=seed) for seed in range(400)]))
    np.testing.assert_allclose(errors.std(axis=0), sd_m, rtol=0.12)
    assert np.abs(errors.mean(axis=0)).max() < 4 * sd_m / 20


def wandering(severity: int, period_s: float, count: int) -> Array:
    """The errors of one long multipath, float64 [count, 3] in m."""
    memory, rng, fault = Memory(), np.random.default_rng(0), Fault("s", "gps_multipath", 0.0, 1e9, severity=severity)
    fixes = []
    for k in range(count):
        moment = Moment(rng, (0,), "gps", FIX, None, k * period_s, 10**9, memory)
        (sample,) = KINDS["gps_multipath"].apply(Sample("s", STAMP_NS, FIX), fault, moment)
        fixes.append(sample.payload)
    return enu(np.array(fixes))


@pytest.mark.parametrize("period_s", [1.0, 4.0])
@pytest.mark.parametrize(("severity", "sd_m"), [(1, 1.0), (3, 5.0), (5, 10.0)])
def test_multipath_wanders_with_its_time_constant(severity: int, sd_m: float, period_s: float) -> None:
    errors = wandering(severity, period_s, 4000)
    np.testing.assert_allclose(errors.std(axis=0), sd_m, rtol=0.15)
    for lag in (1, 3):
        left = np.mean(errors[lag:] * errors[:-lag]) / np.mean(errors**2)
        assert left == pytest.approx(math.exp(-lag * period_s / 10.0), abs=0.06)


def test_multipath_at_the_same_moment_is_the_same_error() -> None:
    memory = Memory()
    first = applied("gps_multipath", FIX, into_s=3.0, seed=1, memory=memory)
    assert np.array_equal(applied("gps_multipath", FIX, into_s=3.0, seed=2, memory=memory), first)


def test_multipath_is_the_same_way_at_every_severity() -> None:
    mild, hard = wandering(1, 1.0, 20), wandering(5, 1.0, 20)
    np.testing.assert_allclose(hard, 10 * mild, atol=1e-4)


def test_a_lying_receiver_is_thirty_metres_off_and_claims_one() -> None:
    changed = applied("gps_lying_variance", FIX)
    assert np.hypot(*enu(changed)[:2]) == pytest.approx(30.0, rel=1e-6)
    assert np.sqrt(changed[3:6]).tolist() == [1.0, 1.0, 1.0]
    assert changed[6] == FIX[6]


def test_frozen_keeps_the_place_and_lets_the_rest_go_on() -> None:
    before, now = FIX, FIX + np.array([0.01, 0.01, 5.0, 1.0, 1.0, 1.0, 1.0])
    moment = Moment(np.random.default_rng(0), (0,), "gps", before, None, 1.0, 10**9)
    fault = Fault("s", "gps_frozen", 0.0, 9.0)
    (sample,) = KINDS["gps_frozen"].apply(Sample("s", STAMP_NS, now), fault, moment)
    assert sample.payload.tolist() == [*before[:3], *now[3:]]


@pytest.mark.parametrize(("severity", "share"), at(0.1, 0.2, 0.4, 0.6, 0.8))
def test_a_flickering_fix_is_lost_at_times_and_never_moves(severity: int, share: float) -> None:
    fixes = np.array([applied("gps_no_fix", FIX, severity, seed=seed) for seed in range(500)])
    assert np.mean(fixes[:, 6] == -1) == pytest.approx(share, abs=0.07)
    assert np.array_equal(fixes[:, :6], np.tile(FIX[:6], (500, 1)))
