"""A tick takes the newest sample, the nearest, or one between two, as the configuration chooses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import edgefuse
from edgefuse import RunConfig
from edgefuse.choice import choice_of
from edgefuse.config import StreamConfig, parse_config
from edgefuse.modalities import KINDS
from edgefuse.types import NS_PER_MS, Sample
from tiny import Tiny


def known(*stamps: int) -> list[Sample]:
    return [Sample("a", stamp, np.full(3, stamp, dtype=np.float32), number=i) for i, stamp in enumerate(stamps)]


def picked(name: str, stamps: tuple[int, ...], t: int) -> Sample | None:
    choice = choice_of(name, KINDS["vector"].between, 50)
    assert choice is not None
    return choice.pick(known(*stamps), t)


@pytest.mark.parametrize(
    ("name", "stamps", "t", "stamp", "value"),
    [
        ("newest", (10, 20), 25, 20, 20.0),
        ("nearest", (10, 20), 14, 10, 10.0),
        ("nearest", (10, 20), 16, 20, 20.0),
        ("nearest", (10, 20), 15, 10, 10.0),
        ("interpolated", (10, 20), 14, 14, 14.0),
        ("interpolated", (10, 20, 30), 20, 20, 20.0),
        ("interpolated", (10, 20), 30, 20, 20.0),
        ("interpolated", (10, 20), 5, 10, 10.0),
        ("interpolated", (10, 100), 40, 10, 10.0),  # over so long a gap nothing is made up
        ("interpolated", (10, 100), 60, 100, 100.0),
    ],
)
def test_the_sample_taken(name: str, stamps: tuple[int, ...], t: int, stamp: int, value: float) -> None:
    sample = picked(name, stamps, t)
    assert sample is not None
    assert (sample.stamp_ns, float(sample.payload[0])) == (stamp, value)


@pytest.mark.parametrize("name", ["newest", "nearest", "interpolated"])
def test_of_nothing_nothing_is_taken(name: str) -> None:
    assert picked(name, (), 5) is None


latitudes, longitudes, variances = st.floats(-80, 80), st.floats(-180, 180), st.floats(0, 100)
fixes = st.tuples(
    latitudes, longitudes, st.floats(-100, 5000), variances, variances, variances, st.sampled_from([0.0, 2.0])
)


@given(fixes, fixes, st.floats(0.01, 0.99))
def test_a_fix_between_two_lies_on_the_short_way_and_is_no_surer_than_either(
    a: tuple[float, ...], b: tuple[float, ...], share: float
) -> None:
    between = KINDS["gps"].between
    assert between is not None
    fix = between(np.array(a), np.array(b), share)
    assert abs(fix[1]) <= 180.0
    way = (b[1] - a[1] + 180.0) % 360.0 - 180.0
    off = (fix[1] - a[1] - share * way + 180.0) % 360.0 - 180.0
    assert abs(off) < 1e-6 or abs(abs(way) - 180.0) < 1e-6
    assert fix[0] == pytest.approx(a[0] + share * (b[0] - a[0]))
    assert all(fix[3:6] >= np.maximum(a[3:6], b[3:6]))
    assert fix[6] == min(a[6], b[6])


def test_an_answer_a_little_later_may_interpolate(tmp_path: Path) -> None:
    Tiny().write(tmp_path / "tiny.efb")
    config = RunConfig(wait_ms=20.0, streams={"a": StreamConfig(choose="interpolated")})
    engine = edgefuse.load(tmp_path / "tiny.efb", config)
    low, high = np.zeros(3, np.float32), np.ones(3, np.float32)
    engine.push("a", 100 * NS_PER_MS, low)
    engine.push("a", 120 * NS_PER_MS, high)
    result = engine.step(105 * NS_PER_MS)
    want = edgefuse.load(tmp_path / "tiny.efb").answer({"a": low + np.float32(0.25)})
    assert result.outputs["way"].tobytes() == want.outputs["way"].tobytes()
    assert (result.streams["a"].state, result.streams["a"].age_ms) == ("fresh", 0.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "streams: {a: {choose: nearest}}\nexecutor: workers",
            r"streams\.a\.choose: 'nearest' is known at the tick only",
        ),
        ("streams: {a: {choose: interpolated}}\ndeadline_ms: 5", r"streams\.a\.choose: .* without a deadline"),
        ("streams: {a: {choose: best}}", r"streams\.a\.choose"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused(tmp_path: Path, text: str, words: str) -> None:
    Tiny().write(tmp_path / "tiny.efb")
    with pytest.raises(edgefuse.ConfigError, match=words):
        edgefuse.load(tmp_path / "tiny.efb", parse_config(text.encode(), "x.yaml"))


@pytest.mark.parametrize("choose", ["nearest", "interpolated"])
def test_many_samples_ahead_do_not_push_out_the_one_that_is_due(tmp_path: Path, choose: str) -> None:
    Tiny().write(tmp_path / "tiny.efb")
    config = RunConfig(wait_ms=200.0, streams={"a": StreamConfig(choose=choose)})  # type: ignore[arg-type]
    engine = edgefuse.load(tmp_path / "tiny.efb", config)
    for k in range(40):  # 200 Hz
        engine.push("a", (1000 + 5 * k) * NS_PER_MS, np.array([k, 1, 2], np.float32))
    result = engine.step(1025 * NS_PER_MS)
    want = edgefuse.load(tmp_path / "tiny.efb").answer({"a": np.array([5, 1, 2], np.float32)})
    assert result.outputs["way"].tobytes() == want.outputs["way"].tobytes()


def test_nothing_lies_between_two_pictures() -> None:
    assert choice_of("interpolated", KINDS["camera"].between, 50) is None
