"""Faults of delivery and of time: what is lost, doubled, swapped or late, and what its stamp then says."""

from __future__ import annotations

import numpy as np
import pytest

from clean_source import KIND_OF, PERIOD_NS, START_NS, WINDOW, inside, of, play, same
from edgefuse.faults import KINDS, SEVERITIES, Fault
from edgefuse.types import Sample
from fault_cases import at

ALWAYS = (0.0, np.inf)


def into(sample: Sample) -> list[Sample]:
    return [s for s in of(sample.stream, play()) if s.stamp_ns == sample.stamp_ns]


@pytest.mark.parametrize("stream", KIND_OF)
def test_slow_lets_every_fourth_sample_of_its_window_through(stream: str) -> None:
    inner = [s for s in of(stream, play()) if inside(s)]
    left = [s for s in of(stream, play(Fault(stream, "slow", *WINDOW))) if inside(s)]
    assert [s.stamp_ns for s in left] == [s.stamp_ns for s in inner][::4]


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 1.0])
def test_intermittent_loses_its_share(share: float) -> None:
    counts = [len(of("imu", play(Fault("imu", "intermittent", *ALWAYS, share=share), seed=s))) for s in range(15)]
    sd = np.sqrt(share * (1 - share) / (60 * len(counts)))
    assert abs(np.mean(counts) / 60 - (1 - share)) <= 4 * sd


@pytest.mark.parametrize("severity", SEVERITIES)
def test_dropped_frames_loses_sixths_and_a_worse_severity_loses_the_same_and_more(severity: int) -> None:
    def stamps(level: int, seed: int) -> set[int]:
        return {s.stamp_ns for s in of("imu", play(Fault("imu", "dropped_frames", *ALWAYS, severity=level), seed=seed))}

    left = [stamps(severity, seed) for seed in range(15)]
    share = severity / 6
    assert abs(np.mean([len(s) for s in left]) / 60 - (1 - share)) <= 4 * np.sqrt(share * (1 - share) / 900)
    assert severity == 1 or left[0] <= stamps(severity - 1, 0)


def test_a_duplicate_comes_twice_under_one_stamp_the_second_a_little_later() -> None:
    samples = [s for s in of("cam", play(Fault("cam", "duplicate", *WINDOW))) if inside(s)]
    first, second = samples[::2], samples[1::2]
    assert len(first) == len(second) == 10
    assert all(
        a.stamp_ns == b.stamp_ns and np.array_equal(a.payload, b.payload) for a, b in zip(first, second, strict=True)
    )
    assert {b.arrived_ns - a.arrived_ns for a, b in zip(first, second, strict=True)} == {10_000_000}


@pytest.mark.parametrize("latency_ns", [None, 30_000_000])
@pytest.mark.parametrize("stream", KIND_OF)
def test_reordered_swaps_pairs_and_loses_nothing(stream: str, latency_ns: int | None) -> None:
    faulty = of(stream, play(Fault(stream, "reordered", *WINDOW), latency_ns=latency_ns))
    order = [(s.stamp_ns - START_NS) // PERIOD_NS[stream] for s in faulty]
    count = 3 * 10**9 // PERIOD_NS[stream]
    first, after = 10**9 // PERIOD_NS[stream], 2 * 10**9 // PERIOD_NS[stream]
    pairs = [n for k in range(first, after, 2) for n in (k + 1, k)]
    assert order == [*range(first), *pairs, *range(max(pairs) + 1, count)]


def test_reordered_of_the_last_sample_still_delivers_it() -> None:
    assert len(of("cam", play(Fault("cam", "reordered", 2.9, np.inf)))) == 30


@pytest.mark.parametrize("drift_ppm", [100.0, -50_000.0])
def test_a_drifting_clock_is_off_by_its_rate_times_the_time_since_the_fault_began(drift_ppm: float) -> None:
    clean, faulty = of("imu", play()), of("imu", play(Fault("imu", "clock_drift", *WINDOW, drift_ppm=drift_ppm)))
    for a, b in zip(clean, faulty, strict=True):
        into_ns = a.stamp_ns - START_NS - 10**9
        expected_ns = into_ns * drift_ppm / 1e6 if inside(a) else 0
        assert abs(b.stamp_ns - a.stamp_ns - expected_ns) <= 1
        assert a.arrived_ns == b.arrived_ns


@pytest.mark.parametrize(("severity", "lag_ms"), at(100, 200, 300, 600, 1000))
def test_lag_gives_content_that_is_older_than_its_stamp_says_and_looks_on_time(severity: int, lag_ms: int) -> None:
    lagging = of("cam", play(Fault("cam", "lag", *ALWAYS, severity=severity), latency_ns=30_000_000))
    for clean, faulty in zip(of("cam", play()), lagging, strict=True):
        assert np.array_equal(clean.payload, faulty.payload)
        assert faulty.stamp_ns - clean.stamp_ns == lag_ms * 1_000_000
        assert faulty.arrived_ns - faulty.stamp_ns == 30_000_000


@pytest.mark.parametrize("stream", KIND_OF)
def test_wrong_gives_the_content_of_two_seconds_before_under_the_new_stamp(stream: str) -> None:
    clean = {s.stamp_ns: s for s in of(stream, play())}
    faulty = [s for s in of(stream, play(Fault(stream, "wrong", 2.0, 3.0))) if inside(s, (2.0, 3.0))]
    assert len(faulty) >= 5
    assert all(same(Sample(stream, s.stamp_ns, clean[s.stamp_ns - 2 * 10**9].payload), s) for s in faulty)


@pytest.mark.parametrize("stream", KIND_OF)
def test_wrong_without_an_older_sample_is_of_another_place(stream: str) -> None:
    for faulty in of(stream, play(Fault(stream, "wrong", *WINDOW))):
        (clean,) = into(faulty)
        assert faulty.payload.dtype == clean.payload.dtype and faulty.payload.shape == clean.payload.shape
        if stream == "cloud" and inside(faulty):
            assert np.array_equal(faulty.payload, clean.payload * np.float32([1, -1, 1, 1]))
        if stream == "cam" and inside(faulty):
            assert np.array_equal(faulty.payload[:, ::-1], clean.payload)


@pytest.mark.parametrize("kind", [kind for kind, row in KINDS.items() if row.family in ("transport", "time")])
def test_faults_of_delivery_never_bring_a_sample_early(kind: str) -> None:
    arrivals = {s.payload.tobytes(): s.arrived_ns for s in of("imu", play(latency_ns=5))}
    for sample in of("imu", play(Fault("imu", kind, *ALWAYS, delay_ms=1.0), latency_ns=5)) if _fits_imu(kind) else []:
        assert sample.arrived_ns >= arrivals.get(sample.payload.tobytes(), sample.arrived_ns)


def _fits_imu(kind: str) -> bool:
    fits = KINDS[kind].fits
    return fits is None or "vector" in fits
