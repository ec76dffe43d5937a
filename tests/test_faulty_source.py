"""The source with faults: windows, order of arrival, determinism, what passes through, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clean_source import EVERY, KIND_OF, START_NS, WINDOW, Clean, inside, of, play, same
from edgefuse.errors import ConfigError
from edgefuse.faults import SEVERITIES, Fault, FaultKind, FaultySource
from edgefuse.sources.base import Problem


def test_without_faults_the_samples_pass_untouched() -> None:
    assert all(same(a, b) for a, b in zip(Clean().samples(), play(), strict=True))


def test_samples_still_delayed_at_the_end_are_delivered() -> None:
    late = play(Fault("imu", "delayed", 0.0, np.inf, delay_ms=60_000.0))
    assert len(late) == len(play())
    assert {s.stream for s in late[-60:]} == {"imu"}


def test_a_window_counts_from_the_first_arrival_of_any_stream() -> None:
    lost = play(Fault("fix", "off", 0.0, 0.2), latency_ns=500_000_000)
    assert of("fix", lost)[0].stamp_ns == START_NS + 200_000_000


def test_faults_on_one_stream_act_in_their_order() -> None:
    both = play(Fault("cam", "stamp_jump", *WINDOW, jump_s=5.0), Fault("cam", "black", *WINDOW))
    changed = [s for s in of("cam", both) if not s.payload.any()]
    assert len(changed) == 10
    assert all(s.stamp_ns == s.arrived_ns + 5 * 10**9 for s in changed)


def test_a_lost_sample_stays_lost_for_the_faults_after_it() -> None:
    assert len(of("cam", play(Fault("cam", "off", *WINDOW), Fault("cam", "black", *WINDOW)))) == 20


@pytest.mark.parametrize(("kind", "stream"), EVERY)
def test_the_same_seed_gives_the_same_bits(kind: FaultKind, stream: str) -> None:
    faults = (Fault(stream, kind, *WINDOW),)
    assert all(same(a, b) for a, b in zip(play(*faults, seed=4), play(*faults, seed=4), strict=True))
    source = FaultySource(Clean(), faults, 4)
    assert all(same(a, b) for a, b in zip(source.samples(), source.samples(), strict=True))


def test_another_seed_gives_other_garbage() -> None:
    fault = Fault("cam", "garbage", *WINDOW)
    pairs = zip(of("cam", play(fault, seed=1)), of("cam", play(fault, seed=2)), strict=True)
    assert all(same(a, b) != inside(a) for a, b in pairs)


def test_the_chance_of_a_stream_does_not_depend_on_the_faults_of_another() -> None:
    fault = Fault("cam", "garbage", *WINDOW)
    alone, beside = play(fault), play(Fault("imu", "garbage", 0.0, np.inf), fault, Fault("fix", "off", 0.0, 9.0))
    assert all(same(a, b) for a, b in zip(of("cam", alone), of("cam", beside), strict=True))


faults = st.builds(
    lambda pair, start, length, delay, severity: Fault(
        pair[1], pair[0], start, start + length, delay, -delay, severity, drift_ppm=-delay
    ),
    st.sampled_from(EVERY),
    st.floats(0.0, 3.0),
    st.floats(0.01, 3.0),
    st.floats(0.0, 2000.0),
    st.sampled_from(SEVERITIES),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(faults, max_size=5), st.integers(0, 2**70))
def test_whatever_the_faults_arrival_never_goes_back_and_nothing_is_invented(given_: list[Fault], seed: int) -> None:
    samples = play(*given_, seed=seed, latency_ns=10_000_000)
    arrivals = [s.arrived_ns for s in samples]
    assert arrivals == sorted(arrivals)
    lossy = {"off", "slow", "intermittent", "dropped_frames"}
    lossless = {stream for stream in KIND_OF if not any(f.stream == stream and f.kind in lossy for f in given_)}
    for stream in KIND_OF:
        count, clean = len(of(stream, samples)), len(of(stream, play()))
        echoes = sum(f.stream == stream and f.kind == "duplicate" for f in given_)
        assert count <= clean * 2**echoes
        assert count >= clean or stream not in lossless
        assert count == clean or echoes or stream not in lossless


def test_truth_domain_topics_and_problems_pass_through() -> None:
    clean = Clean()
    source = FaultySource(clean, [Fault("cam", "off", 0.0, np.inf)])
    assert source.truth(5) == {"action": "at 5"}
    assert (source.domain, source.topics) == ("bench", KIND_OF)
    assert source.problems == []
    list(source.samples())
    assert source.problems == [Problem("end", "seen")]


GOOD = Fault("cam", "black", 0.0, 1.0)


@pytest.mark.parametrize(
    ("fault", "place"),
    [
        (replace(GOOD, stream="camera_rear"), "faults[1].stream"),
        (replace(GOOD, stream="cloud"), "faults[1].stream"),
        (replace(GOOD, kind="nan"), "faults[1].stream"),
        (replace(GOOD, kind="no_fix"), "faults[1].stream"),
        (replace(GOOD, kind="explode"), "faults[1].kind"),
        (replace(GOOD, from_s=-1.0), "faults[1].from_s"),
        (replace(GOOD, from_s=np.nan), "faults[1].from_s"),
        (replace(GOOD, from_s=1.0), "faults[1].to_s"),
        (replace(GOOD, to_s=np.nan), "faults[1].to_s"),
        (replace(GOOD, delay_ms=-0.1), "faults[1].delay_ms"),
        (replace(GOOD, jump_s=np.inf), "faults[1].jump_s"),
        (replace(GOOD, severity=0), "faults[1].severity"),
        (replace(GOOD, severity=6), "faults[1].severity"),
        (replace(GOOD, severity=True), "faults[1].severity"),
        (replace(GOOD, severity=2.0), "faults[1].severity"),  # type: ignore[arg-type]
        (replace(GOOD, share=1.1), "faults[1].share"),
        (replace(GOOD, share=np.nan), "faults[1].share"),
        (replace(GOOD, drift_ppm=np.nan), "faults[1].drift_ppm"),
        (replace(GOOD, drift_ppm=-2e6), "faults[1].drift_ppm"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_by_its_place(fault: Fault, place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        FaultySource(Clean(), [GOOD, fault])
    assert caught.value.place == place
