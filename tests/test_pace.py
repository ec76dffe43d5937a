"""A pace is learned from stamps, does not mind jitter and loss, and tells silence and slowness in periods."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edgefuse.pace import LEARN, LOOK, MEDIANS, Pace

PERIOD = 33_000_000


def paced(stamps: list[int], period_ns: int | None = None) -> Pace:
    pace = Pace(period_ns)
    for stamp in stamps:
        pace.see(stamp)
    return pace


def jittered(count: int, seed: int = 0, loss: float = 0.01) -> list[int]:
    rng = np.random.default_rng(seed)
    stamps = (np.arange(count) + rng.uniform(-0.2, 0.2, count) + 1) * PERIOD
    return [int(s) for s in stamps[rng.random(count) >= loss]]


def test_nothing_is_silent_or_slow_before_the_pace_is_known() -> None:
    pace = paced([0, PERIOD, 2 * PERIOD])
    assert pace.period_ns is None
    assert not pace.silent(10**12, 3.0)
    assert not pace.slow(0.7)


def test_the_period_is_the_median_of_the_first_intervals() -> None:
    assert paced([i * PERIOD for i in range(LOOK + 1)]).period_ns == PERIOD


@pytest.mark.parametrize("seed", range(5))
def test_jitter_and_loss_move_the_learned_period_little_and_never_make_it_slow(seed: int) -> None:
    pace, slow = Pace(), 0
    for stamp in jittered(20_000, seed):
        pace.see(stamp)
        slow += pace.slow(0.7)
    assert slow == 0
    assert pace.period_ns is not None
    assert 0.75 * PERIOD <= pace.period_ns <= 1.1 * PERIOD


def test_silence_is_counted_in_periods_from_the_last_stamp() -> None:
    pace = paced([i * PERIOD for i in range(LOOK + 1)])
    last = LOOK * PERIOD
    assert not pace.silent(last + 3 * PERIOD, 3.0)
    assert pace.silent(last + 3 * PERIOD + 1, 3.0)


def test_a_sensor_at_a_quarter_of_its_rate_is_slow_within_so_many_samples_and_well_again_after() -> None:
    pace = paced([i * PERIOD for i in range(LOOK + 1)])
    at = LOOK * PERIOD
    slow = []
    for step in [4] * LOOK + [1] * LOOK:
        at += step * PERIOD
        pace.see(at)
        slow.append(pace.slow(0.7))
    assert slow.index(True) <= 4
    assert slow[LOOK:].index(False) <= 5
    assert not any(slow[LOOK + 5 :])


def test_one_long_silence_is_no_low_rate_after_it() -> None:
    pace = paced([i * PERIOD for i in range(LOOK + 1)])
    pace.see(10**12)
    assert not pace.slow(0.7)


def test_a_sensor_that_speeds_up_is_measured_by_its_best_and_one_that_slows_down_too() -> None:
    at, stamps = 0, []
    for period in [2 * PERIOD] * (LOOK + 1) + [PERIOD] * 3 * LEARN + [3 * PERIOD] * 2 * LEARN:
        at += period
        stamps.append(at)
    assert paced(stamps).period_ns == PERIOD


def test_one_hiccup_in_which_samples_come_at_twice_their_rate_teaches_nothing() -> None:
    steps = [PERIOD] * 300 + [PERIOD // 2] * 60 + [PERIOD] * 300
    stamps = [int(stamp) for stamp in np.cumsum(steps)]
    assert paced(stamps).period_ns == PERIOD


def test_a_rate_that_stays_lower_becomes_the_streams_own() -> None:
    stamps = [int(stamp) for stamp in np.cumsum([PERIOD] * 500 + [4 * PERIOD] * LEARN * (MEDIANS + 1))]
    pace = paced(stamps)
    assert pace.period_ns == 4 * PERIOD
    assert not pace.slow(0.7)


def test_a_given_period_is_kept() -> None:
    assert paced([i * PERIOD for i in range(300)], 5 * PERIOD).period_ns == 5 * PERIOD


def test_a_rate_at_the_limit_does_not_flap() -> None:
    pace, at, told = paced([i * PERIOD for i in range(LOOK + 1)]), LOOK * PERIOD, []
    for step in [1, 2, 1, 2, 1, 1, 2] * 30:  # around 0.7 of the rate
        at += step * PERIOD
        pace.see(at)
        told.append(pace.slow(0.7))
    assert sum(a != b for a, b in itertools.pairwise(told)) == 1
