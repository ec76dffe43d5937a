"""The kinds of fault: each does its one thing, in its window, to its stream, and to nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from clean_source import EVERY, KIND_OF, START_NS, WINDOW, Clean, fitting, inside, of, play, same
from edgefuse.faults import FAMILIES, KINDS, SEVERITIES, Fault, FaultKind
from edgefuse.faults.timing import TIMING
from edgefuse.faults.transport import TRANSPORT
from edgefuse.modalities import KINDS as MODALITIES
from edgefuse.types import Sample

ON_PAYLOAD = [(k, s) for k, s in EVERY if k not in {**TRANSPORT, **TIMING}]
# What leaves some samples of its window alone: by chance, by turns, or at its very beginning.
SOME = {"slow", "intermittent", "reordered", "dropped_frames", "gps_no_fix", "clock_drift", "gps_drift"}


def payloads_inside(kind: FaultKind, stream: str) -> list[tuple[Sample, Sample]]:
    """Pairs (clean, faulty) of the samples in the window; there are some, and stamps and arrivals agree."""
    pairs = list(zip(of(stream, play()), of(stream, play(Fault(stream, kind, *WINDOW))), strict=True))
    pairs = [(clean, faulty) for clean, faulty in pairs if inside(clean)]
    assert len(pairs) >= 5
    assert all((c.stamp_ns, c.arrived_ns) == (f.stamp_ns, f.arrived_ns) for c, f in pairs)
    return pairs


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_says_what_it_does_to_whom_and_how_hard(kind: FaultKind) -> None:
    row = KINDS[kind]
    assert row.family in FAMILIES
    assert row.what and not row.what.endswith(".")
    assert row.fits is None or (row.fits and row.fits <= set(MODALITIES))
    assert row.graded == bool(row.levels)
    assert len(row.levels) in (0, len(SEVERITIES))
    assert row.family in ("transport", "time") or row.fits == {row.family}


def test_every_family_has_rows() -> None:
    assert {row.family for row in KINDS.values()} == set(FAMILIES)


@pytest.mark.parametrize(("kind", "stream"), EVERY)
def test_outside_its_window_and_on_other_streams_a_fault_touches_nothing(kind: FaultKind, stream: str) -> None:
    clean, faulty = list(Clean().samples()), play(Fault(stream, kind, *WINDOW))
    for name in KIND_OF:
        wanted = [s for s in of(name, clean) if name != stream or not inside(s)]
        kept = of(name, faulty)
        assert wanted
        assert all(any(same(s, k) for k in kept) for s in wanted)


@pytest.mark.parametrize(("kind", "stream"), EVERY)
def test_inside_its_window_a_fault_changes_samples(kind: FaultKind, stream: str) -> None:
    faulty = {s.stamp_ns: s for s in of(stream, play(Fault(stream, kind, *WINDOW)))}
    clean = [s for s in of(stream, play()) if inside(s)]
    changed = [s.stamp_ns not in faulty or not same(s, faulty[s.stamp_ns]) for s in clean]
    assert any(changed) if kind in SOME else all(changed)


@pytest.mark.parametrize(("kind", "stream"), ON_PAYLOAD)
def test_a_faulty_payload_is_contiguous_and_in_native_byte_order(kind: FaultKind, stream: str) -> None:
    for _, faulty in payloads_inside(kind, stream):
        assert faulty.payload.flags.c_contiguous
        assert faulty.payload.dtype.isnative


def test_off_loses_exactly_the_samples_of_its_window() -> None:
    stamps = {s.stamp_ns for s in of("cam", play(Fault("cam", "off", *WINDOW)))}
    assert stamps == {s.stamp_ns for s in of("cam", play()) if not inside(s)}


def test_stuck_repeats_the_last_payload_from_before_the_fault_under_new_stamps() -> None:
    before = [s for s in of("cam", play()) if s.stamp_ns < START_NS + 10**9][-1]
    pairs = payloads_inside("stuck", "cam")
    assert all(np.array_equal(faulty.payload, before.payload) for _, faulty in pairs)
    assert len({faulty.stamp_ns for _, faulty in pairs}) == len(pairs)


def test_stuck_from_the_start_repeats_the_first_payload() -> None:
    samples = of("fix", play(Fault("fix", "stuck", 0.0, np.inf)))
    assert len(samples) == 15
    assert all(np.array_equal(s.payload, samples[0].payload) for s in samples)
    assert same(samples[0], of("fix", play())[0])


@pytest.mark.parametrize("stream", KIND_OF)
def test_garbage_keeps_shape_and_dtype_and_never_repeats(stream: str) -> None:
    pairs = payloads_inside("garbage", stream)
    assert all(f.payload.shape == c.payload.shape and f.payload.dtype == c.payload.dtype for c, f in pairs)
    assert len({f.payload.tobytes() for _, f in pairs}) == len(pairs)


@pytest.mark.parametrize("stream", ["cloud", "fix", "imu"])
def test_garbage_of_floats_is_at_times_finite_and_at_times_not(stream: str) -> None:
    samples = [s for seed in range(3) for s in of(stream, play(Fault(stream, "garbage", 0.0, np.inf), seed=seed))]
    finite = [bool(np.isfinite(s.payload).all()) for s in samples]
    assert 0.25 < np.mean(finite) < 0.75
    assert all(np.isfinite(s.payload).mean() > 0.8 for s in samples), "a burst is a part of the payload"


def test_garbage_of_integers_covers_their_whole_range() -> None:
    values = np.concatenate([f.payload.ravel() for _, f in payloads_inside("garbage", "cam")])
    assert np.unique(values).size > 250


@pytest.mark.parametrize("stream", fitting("nan"))
def test_nan_leaves_no_number(stream: str) -> None:
    for clean, faulty in payloads_inside("nan", stream):
        assert np.isnan(faulty.payload).all()
        assert faulty.payload.dtype == clean.payload.dtype


def test_black_is_a_picture_of_zeros() -> None:
    for clean, faulty in payloads_inside("black", "cam"):
        assert faulty.payload.shape == clean.payload.shape
        assert faulty.payload.dtype == np.uint8
        assert not faulty.payload.any()


def test_no_fix_changes_the_status_and_leaves_the_position() -> None:
    for clean, faulty in payloads_inside("no_fix", "fix"):
        assert faulty.payload[6] == -1
        assert np.array_equal(faulty.payload[:6], clean.payload[:6])


def test_empty_keeps_the_columns_of_a_cloud() -> None:
    assert {f.payload.shape for _, f in payloads_inside("empty", "cloud")} == {(0, 4)}
    assert all(f.payload.size == 0 for stream in KIND_OF for _, f in payloads_inside("empty", stream))


@pytest.mark.parametrize("stream", KIND_OF)
def test_wrong_shape_has_a_rank_that_the_stream_never_has(stream: str) -> None:
    assert all(f.payload.ndim == c.payload.ndim + 1 for c, f in payloads_inside("wrong_shape", stream))


@pytest.mark.parametrize("stream", KIND_OF)
def test_wrong_dtype_keeps_the_shape(stream: str) -> None:
    for clean, faulty in payloads_inside("wrong_dtype", stream):
        assert faulty.payload.dtype != clean.payload.dtype
        assert faulty.payload.shape == clean.payload.shape


@pytest.mark.parametrize("latency_ns", [None, 30_000_000])
def test_delayed_samples_keep_their_stamp_and_arrive_later(latency_ns: int | None) -> None:
    fault = Fault("cam", "delayed", *WINDOW, delay_ms=250.0)
    for sample in of("cam", play(fault, latency_ns=latency_ns)):
        late_ns = 250_000_000 if inside(sample) else 0
        assert sample.arrived_ns - sample.stamp_ns == (latency_ns or 0) + late_ns


@pytest.mark.parametrize("latency_ns", [None, 30_000_000])
@pytest.mark.parametrize("jump_s", [100.0, -100.0])
def test_a_stamp_jump_moves_the_stamp_and_not_the_arrival(latency_ns: int | None, jump_s: float) -> None:
    fault = Fault("cam", "stamp_jump", *WINDOW, jump_s=jump_s)
    clean, faulty = play(latency_ns=latency_ns), play(fault, latency_ns=latency_ns)
    for a, b in zip(clean, faulty, strict=True):
        assert a.arrived_ns == b.arrived_ns
        assert b.stamp_ns - a.stamp_ns == (round(jump_s * 1e9) if a.stream == "cam" and inside(a) else 0)
