"""Races on the shipped bundle: everyone answers the same, stages add up, what is not comparable is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgefuse import load
from edgefuse.bench import races
from edgefuse.bench.contenders import one_graph_bound
from edgefuse.bench.moments import Feed, moments, moved
from edgefuse.bench.profile import Profile
from edgefuse.bench.races import Stand
from edgefuse.bench.stages import ELSE, WHOLE
from edgefuse.doctor import shipped_bundle
from edgefuse.errors import UsageError
from tiny import Tiny

SMALL = Profile(rounds=40, warmup=3, subset_rounds=10, gaps_s=(0.01,), gap_rounds=(3,))


@pytest.fixture(scope="module")
def stand() -> Stand:
    return Stand.of(load(shipped_bundle()), SMALL)


def test_moments_differ_by_a_hair_and_flags_stay() -> None:
    rng = np.random.default_rng(0)
    pixels = np.array([0, 1, 128, 255] * 50, np.uint8)
    change = moved(pixels, rng).astype(int) - pixels
    assert set(change) == {0, 1} and not change[pixels == 0].any() and not change[pixels == 255].any()
    fix = np.array([50.123456, 2.0, np.nan, 0.25])
    np.testing.assert_allclose(moved(fix, rng), fix, rtol=2e-9)
    assert moved(fix, rng)[1] == 2.0
    assert moved(np.float32([1.5] * 20), rng).max() == np.nextafter(np.float32(1.5), np.float32(2))


def test_the_engine_trusts_every_moment_that_is_played(stand: Stand) -> None:
    feed = stand.feed()
    for _ in range(60):
        assert feed.answer().mode == "full"


def test_a_bundle_that_cannot_be_fed_is_named(tmp_path: Path) -> None:
    bundle = Tiny().write(tmp_path / "tiny.efb")
    with pytest.raises(UsageError, match=r"tiny\.efb holds no golden moment"):
        moments(bundle)


def test_a_moment_that_the_engine_refuses_is_named(stand: Stand) -> None:
    black = [{**moment, "camera": np.zeros_like(moment["camera"])} for moment in stand.played]
    with pytest.raises(UsageError, match=r"camera \((blackout|stuck)\)"):
        Feed(stand.another(), black).settle()


def test_all_streams_fresh_names_every_stage_and_adds_up(stand: Stand) -> None:
    section = races.fresh(stand)
    stages = {name: row["mean_ms"] for name, row in section.stages.items()}
    assert {"copy", "health", "preprocess", "fuse", "head", *(f"encode.{n}" for n in stand.names)} <= set(stages)
    whole = stages.pop(WHOLE)
    assert sum(stages.values()) == pytest.approx(whole, rel=1e-3)
    assert whole == pytest.approx(section.timings["engine"].ms.mean(), rel=0.02)
    assert 0.0 < stages[ELSE] < 0.5 * whole
    assert all(t.ms.size == 40 for t in section.timings.values())


def test_a_contender_with_another_answer_is_refused(stand: Stand) -> None:
    def wrong(prepare: object) -> object:
        return lambda: {"action": np.zeros(4, np.float32)}

    with pytest.raises(UsageError, match="wrong answers action differently"):
        stand.rivals({"one graph": one_graph_bound, "wrong": wrong})  # type: ignore[dict-item]


def test_every_subset_is_raced_with_the_share_that_is_left_out(stand: Stand) -> None:
    section = races.each_subset(stand)
    assert len(section.ratios) == 14 and len(section.timings) == 28
    shares = {name: row["left_out_share"] for name, row in section.figures.items()}
    assert 0.0 < shares["camera+depth+lidar"] < shares["camera"] < shares["gps"] < 1.5


def test_of_many_streams_each_alone_and_each_missing_is_raced() -> None:
    names = [f"s{k}" for k in range(6)]
    asked = races._asked_subsets(names)
    assert len(asked) == 12 and {len(s) for s in asked} == {1, 5}


def test_only_what_is_new_is_encoded(stand: Stand) -> None:
    one = races._OneNew(stand, "gps")
    one()
    result = one._feed.engine.step(one._t_ns + 1)
    assert result.mode == "full"
    assert [stage for stage in result.timing_ms if stage.startswith("encode.")] == []
    assert set(races.one_new(stand).ratios) == {f"{name} / all new" for name in section_names(stand)}


def section_names(stand: Stand) -> list[str]:
    return [*(f"only {name} new" for name in stand.names), "nothing new"]


def test_what_the_engine_adds_is_its_time_less_that_of_its_parts(stand: Stand) -> None:
    section = races.overhead(stand)
    parts = [name for name in section.timings if name != "engine"]
    assert parts == ["preprocess", *stand.names, "fuse", "head"]
    whole, work = (section.figures[row]["p50_ms"] for row in ("engine", "bare calls together"))
    assert section.figures["added"]["us"] == pytest.approx(1e3 * (whole - work), abs=0.1)
    assert work == pytest.approx(sum(float(np.median(section.timings[name].ms)) for name in parts), abs=1e-3)


def test_idle_gaps_are_before_the_answers_not_in_them(stand: Stand) -> None:
    section = races.gaps(stand)
    assert section.timings["engine, after 0.01 s idle"].ms.size == 3
    assert "engine, after 0.01 s idle / engine, back to back" in section.ratios
