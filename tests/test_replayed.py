"""The verb `replay`: what answers turned out to be against what they said to expect, with sensors lost on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the extra `export` is not installed")

from edgefuse.campaign import load_campaign
from edgefuse.demo import shipped_bundle
from edgefuse.sources import open_source
from edgefuse_export.cli import main
from edgefuse_export.replayed import Answered, drawn, figures, lost

OUTAGES = Path(__file__).parents[1] / "configs" / "campaigns" / "outages.yaml"


def test_each_mode_has_its_share_of_right_answers_and_what_was_expected() -> None:
    full = [Answered(k % 2, "full", k != 0, 0.9) for k in range(10)]
    degraded = [Answered(k % 2, "degraded", k < 2, 0.25 * (k + 1)) for k in range(4)]
    first, second = figures([*degraded, *full])
    assert (first.mode, first.n, first.right, first.expected) == ("full", 10, 0.9, pytest.approx(0.9))
    assert (second.mode, second.n, second.right, second.expected) == ("degraded", 4, 0.5, pytest.approx(0.625))
    assert second.off == pytest.approx(-0.125)
    assert first.low < 0.9 < first.high


def test_answers_of_recordings_that_are_alike_within_count_for_less() -> None:
    apart = [Answered(k // 50, "full", k // 50 % 2 == 0, 0.5) for k in range(500)]
    mixed = [Answered(k // 50, "full", k % 2 == 0, 0.5) for k in range(500)]
    (wide,), (narrow,) = figures(apart), figures(mixed)
    assert wide.right == narrow.right == 0.5
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_a_device_that_is_pulled_out_sends_nothing_from_then_on() -> None:
    (camera, depth) = lost(["camera", "depth"], 4.0)(0, open_source("site:seed=1&duration_s=5"))
    assert [(f.stream, f.kind, f.from_s, f.to_s) for f in (camera, depth)] == [
        ("camera", "off", 4.0, float("inf")),
        ("depth", "off", 4.0, float("inf")),
    ]


def test_each_recording_has_a_storm_of_its_own_which_is_the_same_each_time() -> None:
    faults = drawn(load_campaign(OUTAGES), "outages.yaml")
    source = open_source("site:seed=1&duration_s=20")
    first, second = faults(0, source), faults(1, source)
    assert first and second and first != second
    assert faults(0, source) == first


def replayed(capsys: pytest.CaptureFixture[str], *given: str) -> dict[str, Any]:
    assert main(["replay", str(shipped_bundle()), *given, "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    return {figure["mode"]: figure for figure in told["modes"]}


def test_the_verb_counts_by_mode_before_and_after_a_loss(capsys: pytest.CaptureFixture[str]) -> None:
    modes = replayed(capsys, "--source", "site:seed=1..2&duration_s=4", "--lose", "lidar,camera", "--at", "2")
    assert set(modes) == {"full", "degraded"}
    assert modes["degraded"]["expected"] < modes["full"]["expected"]
    assert 60 <= modes["full"]["n"] + modes["degraded"]["n"] <= 82


def test_the_verb_draws_the_faults_of_a_campaign(capsys: pytest.CaptureFixture[str]) -> None:
    modes = replayed(capsys, "--source", "site:seed=1&duration_s=8", "--campaign", str(OUTAGES))
    assert "degraded" in modes


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--source", "site:seed=1&duration_s=1", "--lose", "radar"], "--lose: no stream 'radar'"),
        (["--source", "drill:samples=50"], "has both a truth and an expectation"),
        (["--clips", "/nowhere"], "/nowhere: no such folder"),
        (["--source", "site:seed=1&duration_s=1", "--at", "3"], "--at says from when on --lose is"),
        (["--source", "site:seed=9..5"], "9..5 counts downwards"),
    ],
)
def test_what_cannot_be_replayed_is_named(given: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(shipped_bundle()), *given]) == 2
    assert words in capsys.readouterr().err
