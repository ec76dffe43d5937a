"""A campaign file says which faults there are, and whatever is wrong in it is told with its path."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import asdict

from edgefuse.campaign import NOT_DUE, Campaign, due, load_campaign, trials_of
from edgefuse.errors import ConfigError
from edgefuse.faults import FAMILIES, KINDS
from edgefuse.schema import validate

KIND_OF = {"camera": "camera", "rear": "camera", "gps": "gps"}
ROOT = Path(__file__).resolve().parents[1]


def campaign(**changes: Any) -> Campaign:
    return validate(Campaign, {"kinds": ["off"], "window": {"from_s": 2.0, "to_s": 4.0}, **changes})


def faults(**changes: Any) -> list[tuple[str, str, int]]:
    trials = trials_of(campaign(**changes), KIND_OF, 100.0, "c.yaml")
    return [(fault.kind, fault.stream, fault.severity) for trial in trials for fault in trial.faults]


def test_each_puts_one_fault_on_one_stream_at_a_time() -> None:
    trials = trials_of(campaign(kinds=["off", "black"]), KIND_OF, 100.0, "c.yaml")
    assert [trial.name for trial in trials] == [
        "off on camera",
        "off on rear",
        "off on gps",
        "black on camera",
        "black on rear",
    ]
    assert {(fault.from_s, fault.to_s) for trial in trials for fault in trial.faults} == {(2.0, 4.0)}


def test_severities_are_of_faults_that_have_levels() -> None:
    asked = faults(kinds=["fog", "off"], streams=["camera"], severities=[1, 5, 1])
    assert asked == [("fog", "camera", 1), ("fog", "camera", 5), ("off", "camera", 3)]


def test_a_family_is_all_its_faults_and_none_comes_twice() -> None:
    asked = faults(kinds=["gps", "no_fix"], severities=[2])
    assert sorted({kind for kind, _, _ in asked}) == sorted(k for k, row in KINDS.items() if row.family == "gps")
    assert len(asked) == len(set(asked))
    assert {stream for _, stream, _ in asked} == {"gps"}


def test_the_numbers_of_the_campaign_reach_its_faults() -> None:
    (trial, *_) = trials_of(campaign(kinds=["delayed"], delay_ms=700.0, share=0.5), KIND_OF, 100.0, "c.yaml")
    assert (trial.faults[0].delay_ms, trial.faults[0].share) == (700.0, 0.5)


def storm(seed: int) -> list[Any]:
    changes: dict[str, Any] = {"mode": "storm", "kinds": ["transport", "camera"], "seed": seed}
    changes |= {"window": {"from_s": 5.0, "to_s": 300.0}, "storm": {"longest_s": 3.0, "rest_s": 4.0}}
    (trial,) = trials_of(campaign(**changes), KIND_OF, 310.0, "c.yaml")
    return list(trial.faults)


def test_the_faults_of_a_storm_leave_each_stream_time_to_recover() -> None:
    found = storm(1)
    assert len(found) > 60
    assert {f.stream for f in found if KINDS[f.kind].fits == {"camera"}} == {"camera", "rear"}
    assert all(5.0 <= fault.from_s < fault.to_s <= 300.0 for fault in found)
    for stream in KIND_OF:
        own = sorted((fault.from_s, fault.to_s) for fault in found if fault.stream == stream)
        assert all(later[0] - earlier[1] >= 3.99 for earlier, later in pairwise(own))


def test_a_storm_is_the_same_each_time_and_another_with_another_seed() -> None:
    assert storm(1) == storm(1) != storm(2)


def test_what_need_not_be_noticed_is_graded_or_named_with_a_reason() -> None:
    assert set(NOT_DUE) <= set(KINDS)
    assert not any(KINDS[kind].graded for kind in NOT_DUE)
    for kind in ("off", "stuck", "nan", "wrong_shape", "wrong_dtype", "empty", "black", "no_fix", "stamp_jump"):
        assert due(kind)
    assert not any(due(kind) for kind, row in KINDS.items() if row.graded)


WINDOW = "window: {from_s: 2, to_s: 4}"

REFUSED = {
    "window: {from_s: 2, to_s: 4}": "kinds: is missing",
    "kinds: [off]": "window: is missing",
    f"kinds: []\n{WINDOW}": "kinds: expected list of length >= 1",
    f"kinds: [off, blak]\n{WINDOW}": "kinds.1: no fault or family 'blak'; families: transport, ",
    f"kinds: [off]\nseeds: 1\n{WINDOW}": "seeds: unknown key",
    f"kinds: [off]\nseed: -1\n{WINDOW}": "seed: ",
    f"kinds: [off]\nmode: twice\n{WINDOW}": "mode: ",
    f"kinds: [off]\nseverities: [3, 6]\n{WINDOW}": "severities.1: ",
    f"kinds: [off]\nshare: 1.5\n{WINDOW}": "share: ",
    "kinds: [off]\nwindow: {from_s: 4, to_s: 2}": "window: to_s 2 is not after from_s 4",
    "kinds: [off]\nwindow: {from_s: 0.5, to_s: 2}": "window.from_s: ",
    "kinds: [off]\nwindow: {from_s: 2, to_s: .inf}": "window.to_s: ",
    f"kinds: [off]\nstorm: {{shortest_s: 5, longest_s: 2}}\n{WINDOW}": "storm: longest_s 2 is below shortest_s 5",
    f"kinds: [off]\nlimits: {{max_undetected: -1}}\n{WINDOW}": "limits.max_undetected: ",
    f"kinds: [off]\nlimits: {{max_detection_ticks: {{blak: 3}}}}\n{WINDOW}": "limits.max_detection_ticks: no fault",
    f"kinds: [off]\nlimits: {{max_detection_ticks: soon}}\n{WINDOW}": "limits.max_detection_ticks: ",
    f"kinds: [off]\nlimits: {{max_recovery_ticks: 2.5}}\n{WINDOW}": "limits.max_recovery_ticks: expected int",
    f"kinds: [off]\nlimits: {{min_retention: 1.2}}\n{WINDOW}": "limits.min_retention: expected float <= 1.0",
    f"kinds: [off]\nlimits: {{min_mra: true}}\n{WINDOW}": "limits.min_mra: ",
    "[off]": "is not a mapping",
    "kinds: [off": "is not plain YAML",
    f"kinds: [off]\nkinds: [nan]\n{WINDOW}": "stands twice",
}


@pytest.mark.parametrize("text", sorted(REFUSED))
def test_a_bad_campaign_file_is_refused_with_its_path(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_campaign(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert REFUSED[text] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"/none\.yaml: cannot be read"):
        load_campaign("/none.yaml")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"streams": ["camera", "lidar"]}, r"c\.yaml: streams\.1: no stream 'lidar' that the source feeds"),
        ({"kinds": ["off", "beams_missing"]}, r"c\.yaml: kinds\.1: 'beams_missing' fits none of camera, rear, gps"),
        ({"kinds": ["lidar"]}, r"c\.yaml: kinds\.0: 'lidar' fits none"),
        ({"window": {"from_s": 2.0, "to_s": 101.0}}, r"c\.yaml: window\.to_s: 101 s is after the end"),
    ],
)
def test_what_does_not_fit_the_recording_is_told_with_its_path(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        faults(**changes)


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "campaigns").glob("*.yaml")), ids=lambda p: p.name)
def test_the_shipped_campaigns_can_be_read_and_set_limits(path: Path) -> None:
    limits = asdict(load_campaign(path).limits)
    assert any(limit is not None for limit in limits.values())
    assert set(yaml.safe_load(path.read_text())["kinds"]) <= {*KINDS, *FAMILIES, False}
