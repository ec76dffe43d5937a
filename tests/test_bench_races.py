"""Races on the shipped bundle: everyone answers the same, stages add up, what is not comparable is refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import emulated
from edgefuse import Engine, RunConfig, load
from edgefuse.bench import conditions, races
from edgefuse.bench.contenders import one_graph_bound
from edgefuse.bench.moments import Feed, moments, moved
from edgefuse.bench.on_device import on_device
from edgefuse.bench.profile import Profile
from edgefuse.bench.races import Stand
from edgefuse.bench.stages import ELSE, WHOLE
from edgefuse.config import StreamConfig
from edgefuse.device import Device
from edgefuse.doctor import shipped_bundle
from edgefuse.errors import UsageError
from edgefuse.schema import changed
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
    plans = [SimpleNamespace(name=f"s{k}", parent=None) for k in range(6)]
    asked = races._asked_subsets(plans)  # type: ignore[arg-type]
    assert len(asked) == 12 and {len(s) for s in asked} == {1, 5}


def test_no_subset_has_a_stream_without_the_one_that_it_is_derived_from(stand: Stand) -> None:
    derived = load(shipped_bundle(), RunConfig(streams={"depth": StreamConfig(derived_from="camera")}))
    asked = races._asked_subsets(derived.plan.streams)
    assert asked and all("camera" in subset for subset in asked if "depth" in subset)
    assert len(races.each_subset(Stand.of(derived, SMALL)).ratios) == len(asked) < 14


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


def test_faults_of_a_source_that_feeds_other_streams_are_left_out_with_the_reason(stand: Stand) -> None:
    config = RunConfig(streams={"camera": StreamConfig(topic="front")})
    section = conditions.faulty(Stand.of(load(shipped_bundle(), config), SMALL), "site:duration_s=2")
    assert section.left_out == {"with faults": "the source has no topic 'front'"}


def test_faults_have_their_turns_one_at_a_time(stand: Stand) -> None:
    faults = list(conditions._faults(stand.engine.plan.streams))
    assert {fault.stream for fault in faults} == set(stand.names)
    assert all(a.to_s < b.from_s for a, b in pairwise(faults))
    assert conditions.fault_seconds(stand) == faults[-1].to_s


@pytest.mark.slow
def test_failing_sensors_are_timed_beside_the_recording_as_it_is(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "FAULTS", ("off",))
    section = conditions.faulty(stand, f"site:seed=5&duration_s={conditions.fault_seconds(stand)}")
    assert section.figures["with faults"]["not_full_percent"] > 10.0
    assert section.timings["with faults"].ms.size == section.timings["as recorded"].ms.size > 100


def test_other_work_on_the_machine_goes_on_while_answers_are_timed(stand: Stand) -> None:
    assert set(conditions.loaded(stand).timings) == {races.ENGINE, races.BOUND}


def test_energy_is_told_or_said_to_be_missing(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "ENERGY_S", 0.05)
    assert conditions.energy(stand).figures


def test_on_the_host_there_is_no_device_to_time(stand: Stand) -> None:
    assert on_device(stand).figures == {"device": {"told": "not available: answers are computed by cpu"}}


def test_what_is_added_on_a_device_is_not_told_by_bare_calls_on_the_host(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulated.put_in(monkeypatch)
    config = changed(stand.engine.plan.config, device="cuda")
    section = races.overhead(replace(stand, engine=Engine(stand.engine.bundle, config)))
    assert section.figures == {"added": {"told": "not available: answers are computed by cuda"}}
    assert not section.timings


def test_a_device_is_timed_by_its_own_clock_and_its_copies_are_counted(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulated.put_in(monkeypatch)
    monkeypatch.setattr(Device, "elapsed_ms", lambda self, begin, end: 0.5 * (end - begin))
    config = changed(stand.engine.plan.config, device="cuda", cuda_graphs=False)
    there = replace(stand, engine=Engine(stand.engine.bundle, config))
    section = on_device(there)
    names = there.engine.plan.names
    expected = [*(f"{part}.{name}" for name in names for part in ("copy and preprocess", "encode")), "fuse", "head"]
    assert [stage for stage in section.stages if stage not in ("everything else", "copy")][:-1] == [
        *expected,
        "copy back",
    ]
    assert all(section.stages[stage]["mean_ms"] == 0.5 for stage in expected)
    told = section.figures["of an answer"]
    assert (told["uploads"], told["downloads"], told["waits"]) == (len(names) + 1, 1, 1)
