"""The clock map: offset, drift, jumps and wild stamps of a sensor clock, against the true capture times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgefuse.sources.clock import ClockMap
from edgefuse.types import NS_PER_MS, NS_PER_S

PERIOD_NS = 100 * NS_PER_MS
LATENCY_NS = 30 * NS_PER_MS


def stamped(count: int, offset_ns: int = 0, drift_ppm: int = 0, queue_ms: float = 3.0) -> list[tuple[int, int, int]]:
    """(true capture, sensor stamp, arrival) at 10 Hz, with an exponential delay on top of 30 ms."""
    queue = np.random.default_rng(5).exponential(queue_ms * NS_PER_MS, count).astype(np.int64).tolist()
    true = [NS_PER_S + i * PERIOD_NS for i in range(count)]
    stamps = [t + t * drift_ppm // 1_000_000 + offset_ns for t in true]
    return [(t, s, t + LATENCY_NS + q) for t, s, q in zip(true, stamps, queue, strict=True)]


def errors_ms(clock: ClockMap, rows: list[tuple[int, int, int]]) -> list[float]:
    return [(clock.map(stamp, arrival) - true) / NS_PER_MS for true, stamp, arrival in rows]


@pytest.mark.parametrize("offset_s", [0, 612, -118, 1_700_000_000])
def test_an_offset_is_found_exactly_where_the_latency_is_constant(offset_s: int) -> None:
    rows = stamped(20, offset_s * NS_PER_S, queue_ms=0.0)
    assert errors_ms(ClockMap(30.0), rows) == [0.0] * 20


def test_the_undeclared_part_of_the_latency_is_the_error() -> None:
    assert errors_ms(ClockMap(20.0), stamped(5, queue_ms=0.0)) == [10.0] * 5


def test_queueing_is_undercut_by_the_least_delay() -> None:
    errors = errors_ms(ClockMap(30.0), stamped(200, queue_ms=8.0))
    assert min(errors) > -0.1
    assert max(errors[50:]) < 0.6


@pytest.mark.parametrize("drift_ppm", [-80, -20, 0, 50, 100])
def test_drift_is_followed_for_minutes(drift_ppm: int) -> None:
    clock = ClockMap(30.0)
    errors = errors_ms(clock, stamped(3000, 10**12, drift_ppm))
    assert max(abs(e) for e in errors[50:]) < 3.0
    assert max(abs(e) for e in errors[-1500:]) < 1.0
    assert clock.drift_ppm == pytest.approx(-drift_ppm, abs=15)
    assert clock.jumps == 0


@pytest.mark.parametrize("jump_s", [-3600, -2, 1, 86400])
def test_a_jump_is_followed_from_its_second_sample_on(jump_s: int) -> None:
    clock = ClockMap(30.0)
    rows = stamped(100, 10**12)
    after = [(t, s + (jump_s * NS_PER_S if i >= 50 else 0), a) for i, (t, s, a) in enumerate(rows)]
    errors = errors_ms(clock, after)
    assert clock.jumps == 1
    assert errors[50] == pytest.approx(jump_s * 1000, abs=10)
    assert max(abs(e) for e in errors[51:]) < 10.0


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 38), st.integers(-(10**15), 10**15))
def test_one_wild_stamp_neither_moves_the_map_nor_locks_it_out(at: int, wild_ns: int) -> None:
    rows = stamped(40, 5 * NS_PER_S)
    calm, shaken = ClockMap(30.0), ClockMap(30.0)
    for i, (_, stamp, arrival) in enumerate(rows):
        expected = calm.map(stamp, arrival)
        if i == at and not -20 * NS_PER_MS <= -wild_ns <= 250 * NS_PER_MS:
            assert shaken.map(stamp + wild_ns, arrival) - wild_ns == pytest.approx(expected, abs=20 * NS_PER_MS)
        else:
            assert shaken.map(stamp, arrival) == pytest.approx(expected, abs=20 * NS_PER_MS)
    assert shaken.jumps == 0


def test_a_wild_first_stamp_is_left_behind() -> None:
    clock = ClockMap(30.0)
    clock.map(7 * 10**18, 0)
    assert max(abs(e) for e in errors_ms(clock, stamped(10))[1:]) < 10.0


def test_a_stalled_queue_that_empties_at_once_is_no_jump() -> None:
    clock, rows = ClockMap(30.0), stamped(100)
    flushed = rows[79][2]
    errors = errors_ms(clock, [(t, s, flushed if 40 <= i < 80 else a) for i, (t, s, a) in enumerate(rows)])
    assert clock.jumps == 0
    assert max(abs(e) for e in errors) < 10.0


def test_a_stamp_that_repeats_for_ever_never_moves_the_map() -> None:
    clock, rows = ClockMap(30.0), stamped(60)
    stuck = [(t, rows[0][1] if i >= 20 else s, a) for i, (t, s, a) in enumerate(rows)]
    errors_ms(clock, stuck)
    assert clock.jumps == 0


def test_stamps_are_whole_nanoseconds_far_beyond_what_a_float_holds() -> None:
    clock = ClockMap(0.0)
    base = 2**60 + 1
    assert [clock.map(base + i * PERIOD_NS, i * PERIOD_NS) for i in range(200)] == [i * PERIOD_NS for i in range(200)]
