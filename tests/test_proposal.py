"""A proposed configuration loads, runs, takes what fits, and marks what it could not know."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgefuse
from edgefuse import bundle as bundles
from edgefuse.config import RunConfig, parse_config
from edgefuse.doctor import shipped_bundle
from edgefuse.engine import Engine
from edgefuse.manifest import Manifest
from edgefuse.proposal import proposal
from edgefuse.run import run
from edgefuse.sources import open_source
from edgefuse.survey import Offset, Survey, TopicSurvey, survey
from edgefuse.types import NS_PER_MS
from small_kitti import write_drive
from tiny import Tiny

NEAR_SITE = (50.4713, 4.0286, 46.0)


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return bundles.read(shipped_bundle()).manifest


def heard(name: str, kind: str, **changes: Any) -> TopicSurvey:
    """A topic of 10 Hz in which all is as it should be; no two of them share their stamps."""
    first = sum(map(ord, name))
    stamps = array("q", [first + k * 100 * NS_PER_MS for k in range(100)])
    usual = TopicSurvey(name, kind, 100, 10.0, 100.0, 101.0, 0, None, ("float32 [6]",), None, stamps)
    return replace(usual, **changes)


def proposed(manifest: Manifest, topics: Sequence[TopicSurvey]) -> tuple[str, RunConfig]:
    text = proposal(Survey(False, 10.0, tuple(topics), ()), manifest, "bag:drive")
    return text, parse_config(text.encode(), "proposal")


def comment_of(text: str, words: str) -> str:
    (line,) = [line for line in text.splitlines() if words in line]
    assert "# ?" in line
    return line


ALL = [
    heard("/cam", "camera"),
    heard("/deep", "depth"),
    heard("/points", "lidar"),
    heard("/fix", "gps", fix=(49.0, 8.4, 110.0)),
]


def ran(text: str, source: str, tmp_path: Path) -> tuple[dict[str, Any], list[str]]:
    (tmp_path / "proposed.yaml").write_text(text)
    told: list[str] = []
    with edgefuse.load(shipped_bundle(), tmp_path / "proposed.yaml") as engine:
        summary, _ = run(engine, source, told.append, config_place="proposed.yaml")
    return summary.as_json(), told


def test_a_proposal_for_a_drive_runs_and_is_answered_from_all_of_it(tmp_path: Path, manifest: Manifest) -> None:
    write_drive(tmp_path / "date" / "small_sync")
    uri = f"kitti:{tmp_path}"
    text = proposal(survey(open_source(uri)), manifest, uri)
    config = parse_config(text.encode(), "proposal")
    assert {name: stream.topic for name, stream in config.streams.items()} == {
        "camera": "image_02",
        "depth": "depth_02",
        "lidar": "velodyne_points",
        "gps": "oxts",
    }
    assert config.streams["gps"].preprocess == {"latitude_deg": 49.0, "longitude_deg": 8.4, "altitude_m": 115.0}
    document, told = ran(text, uri, tmp_path)
    assert document["ticks"] >= 4
    assert not any("has no topic" in line for line in told)


def test_a_proposal_for_the_site_answers_as_well_as_no_configuration(tmp_path: Path, manifest: Manifest) -> None:
    uri = "site:seed=3&duration_s=5"
    text = proposal(survey(open_source(uri)), manifest, uri)
    document, told = ran(text, uri, tmp_path)
    with Engine(bundles.read(shipped_bundle()), RunConfig()) as engine:
        plain, _ = run(engine, uri, told.append)
    assert document["modes"] == plain.as_json()["modes"]
    assert document["modes"]["full"]["ticks"] > 40
    assert "5 m from the first fix and is kept" in comment_of(text, "preprocess")


def test_every_kind_is_fed_by_the_topic_of_that_kind(manifest: Manifest) -> None:
    _, config = proposed(manifest, ALL)
    topics = {name: stream.topic for name, stream in config.streams.items()}
    assert topics == {"camera": "/cam", "depth": "/deep", "lidar": "/points", "gps": "/fix"}
    assert all(stream.period_ms == 100.0 for stream in config.streams.values())


def test_of_two_topics_of_a_kind_the_first_is_taken_and_the_other_named(manifest: Manifest) -> None:
    text, config = proposed(manifest, [*ALL, heard("/rear", "camera"), heard("/left", "camera")])
    assert config.streams["camera"].topic == "/cam"
    assert comment_of(text, "topic: /cam").endswith("# ? or /rear, /left")


def test_a_topic_called_like_the_stream_is_taken_before_the_first(manifest: Manifest) -> None:
    text, config = proposed(manifest, [heard("rear", "camera"), heard("camera", "camera")])
    assert config.streams["camera"].topic == "camera"
    assert "or rear" in comment_of(text, "topic: camera")


def test_a_stream_that_nothing_feeds_is_said(manifest: Manifest) -> None:
    text, config = proposed(manifest, [*ALL[:2], heard("/points", "lidar", count=0)])
    assert config.streams["lidar"].topic is None
    assert "no topic of kind lidar" in comment_of(text, "lidar")
    assert "no topic of kind gps" in comment_of(text, "gps")


def test_nothing_at_all_is_still_a_configuration(manifest: Manifest) -> None:
    _, config = proposed(manifest, [])
    assert list(config.streams) == ["camera", "depth", "lidar", "gps"]


def test_several_streams_of_a_kind_each_get_a_topic_and_vectors_one_of_their_shape(tmp_path: Path) -> None:
    Tiny({"a": 3, "b": 5, "c": 4}).write(tmp_path / "tiny.efb")
    tiny = bundles.read(tmp_path / "tiny.efb").manifest
    topics = [heard(f"/{n}", "vector", payload=(f"float32 [{n}]",)) for n in (4, 7, 3, 5)]
    text, config = proposed(tiny, topics)
    assert {name: stream.topic for name, stream in config.streams.items()} == {"a": "/3", "b": "/5", "c": "/4"}
    text, config = proposed(tiny, topics[:2])
    assert {name: stream.topic for name, stream in config.streams.items()} == {"a": "/7", "b": None, "c": "/4"}
    assert "its payload is float32 [7], the model takes float32 [3]" in text


@pytest.mark.parametrize("least_ms", [-500.0, -21.0, 1001.0, 1.7e12])
def test_an_offset_that_no_transport_makes_is_a_clock_of_its_own(manifest: Manifest, least_ms: float) -> None:
    away = Offset(least_ms, least_ms + 2, least_ms + 9, 0.0, 0)
    text, config = proposed(manifest, [heard("/cam", "camera", offset=away), *ALL[1:]])
    assert config.streams["camera"].clock == "camera"
    assert config.streams["depth"].clock is None
    comment_of(text, "latency_ms")


@pytest.mark.parametrize("least_ms", [-19.0, 0.0, 30.0, 999.0])
def test_an_offset_that_a_transport_may_make_is_none(manifest: Manifest, least_ms: float) -> None:
    away = Offset(least_ms, least_ms + 2, least_ms + 9, 0.0, 0)
    _, config = proposed(manifest, [heard("/cam", "camera", offset=away)])
    assert config.streams["camera"].clock is None


def test_a_clock_that_jumps_is_one_to_follow(manifest: Manifest) -> None:
    _, config = proposed(manifest, [heard("/cam", "camera", offset=Offset(30.0, 31.0, 40.0, 0.0, 2))])
    assert config.streams["camera"].clock == "camera"


def test_streams_whose_offsets_are_alike_are_asked_whether_they_share_a_clock(manifest: Manifest) -> None:
    topics = [
        heard("/cam", "camera", offset=Offset(-5000.0, -4990.0, -4900.0, 0.0, 0)),
        heard("/deep", "depth", offset=Offset(-4985.0, -4980.0, -4900.0, 0.0, 0)),
        heard("/points", "lidar", offset=Offset(-9000.0, -8990.0, -8900.0, 0.0, 0)),
    ]
    text, config = proposed(manifest, topics)
    assert [config.streams[name].clock for name in ("camera", "depth", "lidar")] == ["camera", "camera", "lidar"]
    assert text.count("is it the same clock?") == 1


def test_depth_that_carries_the_stamps_of_the_lidar_is_derived_from_it(manifest: Manifest) -> None:
    lidar = heard("/points", "lidar")
    text, config = proposed(manifest, [ALL[0], heard("/deep", "depth", stamps_ns=lidar.stamps_ns), lidar])
    assert config.streams["depth"].derived_from == "lidar"
    comment_of(text, "derived_from")


def test_depth_that_carries_the_stamps_of_the_camera_may_be_derived_from_it(manifest: Manifest) -> None:
    camera = heard("/cam", "camera")
    for lidar in (ALL[2], heard("/points", "lidar", stamps_ns=camera.stamps_ns)):
        text, config = proposed(manifest, [camera, heard("/deep", "depth", stamps_ns=camera.stamps_ns), lidar])
        assert config.streams["depth"].derived_from is None
        assert "camera" in comment_of(text, "derived_from")


def test_an_origin_is_proposed_where_the_models_own_is_far_away(manifest: Manifest) -> None:
    text, config = proposed(manifest, ALL)
    assert config.streams["gps"].preprocess == {"latitude_deg": 49.0, "longitude_deg": 8.4, "altitude_m": 110.0}
    comment_of(text, "preprocess")
    for fix in (NEAR_SITE, None):
        text, config = proposed(manifest, [heard("/fix", "gps", fix=fix)])
        assert config.streams["gps"].preprocess == {}
        comment_of(text, "preprocess")


def test_a_period_that_is_none_is_not_proposed(manifest: Manifest) -> None:
    for topic in (
        heard("/cam", "camera", count=2),
        heard("/cam", "camera", median_ms=None, rate_hz=None, count=1),
        heard("/cam", "camera", median_ms=0.0),
        heard("/cam", "camera", rate_hz=5.0),
    ):
        text, config = proposed(manifest, [topic])
        assert config.streams["camera"].period_ms is None
        comment_of(text, "period_ms")


def test_a_model_that_takes_samples_for_old_too_soon_is_told(manifest: Manifest) -> None:
    text, config = proposed(manifest, [heard("/cam", "camera", median_ms=500.0, rate_hz=2.0)])
    assert config.streams["camera"].fresh_ms is None
    comment_of(text, "fresh_ms")


@pytest.mark.parametrize(
    "name",
    [
        "off",
        "null",
        "1.5",
        "~",
        "a: b",
        "- x",
        "two words",
        'quo"te',
        "new\nline",
        "# no comment",
        "",
        "é",
        "[1]",
        "%x",
    ],
)
def test_whatever_a_topic_is_called_it_is_that_name(manifest: Manifest, name: str) -> None:
    text, config = proposed(manifest, [heard(name, "camera"), heard(f"{name}2", "camera")])
    assert config.streams["camera"].topic == name
    assert len(text.splitlines()) == len(
        proposed(manifest, [heard("a", "camera"), heard("b", "camera")])[0].splitlines()
    )


@pytest.mark.parametrize("median_ms", [0.0123456, 1.0, 33.3333, 99999.0, 123456789.0])
def test_periods_of_any_length_are_numbers(manifest: Manifest, median_ms: float) -> None:
    _, config = proposed(manifest, [heard("/cam", "camera", median_ms=median_ms, rate_hz=1e3 / median_ms)])
    assert config.streams["camera"].period_ms == pytest.approx(median_ms, rel=1e-3)


def test_stamps_are_compared_as_numbers_of_nanoseconds() -> None:
    assert heard("x", "camera").stamps_ns[1] - heard("x", "camera").stamps_ns[0] == 100 * NS_PER_MS
    assert np.array(heard("x", "camera").stamps_ns).dtype == np.int64
