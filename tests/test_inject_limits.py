"""Limits are held against what was found, each breach told with fault, stream, figure and limit."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from edgefuse.campaign import Campaign
from edgefuse.errors import ConfigError
from edgefuse.faults import Fault
from edgefuse.findings import FaultOutcome, TrialOutcome
from edgefuse.inject_text import describe, words
from edgefuse.limits import Check, checks_of, need_truth
from edgefuse.outcome import Outcome
from edgefuse.schema import validate
from edgefuse.scores import Found, Share


def fault(kind: str, stream: str = "camera", severity: int = 3, right: int = 8, **changes: Any) -> FaultOutcome:
    fields: dict[str, Any] = {
        "changed": 10,
        "detected": Found(2, 0, "stuck"),
        "detected_samples": 3,
        "recovered": Found(5, 0),
        "recovered_samples": 5,
        "share": Share(right, 10),
        "clean": Share(10, 10),
        "modes": {"degraded": 1.0},
        **changes,
    }
    return FaultOutcome(fault=Fault(stream, kind, 2.0, 4.0, severity=severity), **fields)


def trial(*faults: FaultOutcome, **changes: Any) -> TrialOutcome:
    fields: dict[str, Any] = {
        "name": "a replay",
        "ticks": 40,
        "answers": 40,
        "broken_outputs": 0,
        "error": None,
        "false_alarms": Counter(),
        "modes": ("full", "degraded"),
        **changes,
    }
    return TrialOutcome(faults=faults, **fields)


def outcome(*trials: TrialOutcome, clean: TrialOutcome | None = None, **limits: Any) -> Outcome:
    document = {"kinds": ["off"], "window": {"from_s": 2.0, "to_s": 4.0}, "limits": limits}
    return Outcome(
        place="c.yaml",
        source="test:",
        bundle=("tiny", 1),
        campaign=validate(Campaign, document),
        in_domain=True,
        tick_hz=10.0,
        length_s=4.0,
        streams=("camera", "gps"),
        clean=clean or trial(name="clean"),
        clean_share=Share(9, 10),
        trials=trials,
        retention={"camera": 0.8, "gps": None},
    )


def broken(*trials: TrialOutcome, clean: TrialOutcome | None = None, **limits: Any) -> list[str]:
    return [check.line() for check in checks_of(outcome(*trials, clean=clean, **limits)) if not check.kept]


def test_without_limits_the_answers_are_checked_all_the_same() -> None:
    assert broken(trial(fault("off"))) == []
    assert broken(trial(answers=39)) == ["answers: a replay: 39, limit 40"]
    assert broken(clean=trial(name="clean", broken_outputs=2)) == ["broken outputs: clean: 2, limit 0"]
    assert broken(trial(error="ValueError: x")) == ["answers: a replay: 40, limit 40 (ValueError: x)"]


def test_the_own_limit_of_a_fault_comes_before_its_family_and_that_before_any() -> None:
    faults = trial(fault("off"), fault("stuck"), fault("black"))
    assert broken(faults, max_detection_ticks=1) == [
        f"max_detection_ticks: {kind} on camera: 2, limit 1" for kind in ("off", "stuck", "black")
    ]
    assert broken(faults, max_detection_ticks={"any": 1, "transport": 2}) == [
        "max_detection_ticks: black on camera: 2, limit 1"
    ]
    assert broken(faults, max_detection_ticks={"transport": 2, "off": 1}) == [
        "max_detection_ticks: off on camera: 2, limit 1"
    ]


def test_the_worst_of_the_faults_of_a_kind_counts() -> None:
    faults = trial(fault("off"), fault("off", recovered=Found(9, 0)), fault("off", "gps"))
    assert broken(faults, max_recovery_ticks=8) == ["max_recovery_ticks: off on camera: 9, limit 8"]


def test_never_is_more_than_any_limit() -> None:
    faults = trial(fault("off"), fault("off", detected=None, detected_samples=None, recovered=None))
    assert broken(faults, max_detection_samples=99, max_recovery_ticks=99) == [
        "max_detection_samples: off on camera: never, limit 99 (1 of 2 never)",
        "max_recovery_ticks: off on camera: never, limit 99 (1 of 2 never)",
    ]


def test_what_need_not_be_noticed_is_held_to_it_only_where_it_is_named() -> None:
    faults = trial(fault("wrong", detected=None), fault("fog", detected=None))
    assert broken(faults, max_detection_ticks={"transport": 3, "any": 3}, max_undetected=0) == []
    assert broken(faults, max_detection_ticks={"fog": 3}) == [
        "max_detection_ticks: fog on camera: never, limit 3 (1 of 1 never)"
    ]


def test_undetected_counts_what_is_due_and_did_something() -> None:
    missed = trial(fault("off", detected=None), fault("stuck", "gps", detected=None, changed=0))
    assert broken(missed, max_undetected=0) == ["max_undetected: all: 1, limit 0 (off on camera)"]
    assert broken(missed, max_undetected=1) == []


def test_false_alarms_of_all_replays_add_up() -> None:
    alarms = trial(false_alarms=Counter({("gps", "stuck"): 2}))
    clean = trial(false_alarms=Counter({("gps", "no_fix"): 1}))
    assert broken(alarms, clean=clean, max_false_alarms=3) == []
    assert broken(alarms, clean=clean, max_false_alarms=2) == [
        "max_false_alarms: all: 3, limit 2 (gps: stuck 2, gps: no_fix 1)"
    ]


def test_accuracy_is_held_by_severity_and_what_is_left_by_fault() -> None:
    faults = trial(fault("fog", severity=1, right=9), fault("fog", severity=5, right=3), fault("off", right=1))
    assert broken(faults, min_accuracy={"camera": 0.5}) == ["min_accuracy: fog 5 on camera: 0.300, limit 0.500"]
    assert broken(faults, min_ra=0.61, min_mra=0.6) == ["min_ra: fog on camera: 0.600, limit 0.610"]
    assert broken(faults, min_mra=0.61) == ["min_mra: all: 0.600, limit 0.610"]


def test_retention_is_held_by_stream_and_an_unknown_one_keeps_nothing() -> None:
    assert broken(min_retention={"camera": 0.8}) == []
    assert broken(min_retention=0.81) == [
        "min_retention: off on camera: 0.800, limit 0.810",
        "min_retention: off on gps: not known, limit 0.810",
    ]


def test_a_limit_that_needs_the_truth_is_refused_where_there_is_none() -> None:
    limits = outcome(min_mra=0.5).campaign.limits
    with pytest.raises(ConfigError, match=r"c\.yaml: limits\.min_mra: the source does not know the right answers"):
        need_truth(limits, "c.yaml")
    need_truth(outcome(max_undetected=1).campaign.limits, "c.yaml")


def test_every_broken_limit_is_one_line_of_the_text_and_named_in_the_words() -> None:
    found = outcome(trial(fault("off"), fault("fog", "gps", right=5)), max_detection_ticks=1)
    checks = checks_of(found)
    lines = describe(found, checks).splitlines()
    assert "BROKEN  max_detection_ticks: off on camera: 2, limit 1" in lines
    assert words(found, checks)[-1] == "Of 3 limits 1 were broken: max_detection_ticks."
    assert any(line.startswith("off ") and "2 t, 3 samples" in line for line in lines)


def test_the_words_say_what_was_measured() -> None:
    told = " ".join(words(found := outcome(trial(fault("off"), fault("fog", right=5))), checks_of(found)))
    assert "There were 80 answers for 80 ticks in 2 replays, all of them finite." in told
    assert "Of 1 faults that must be noticed 1 were, the slowest 2 ticks after it could be (off on camera)." in told
    assert "Without faults 90.0% of the answers are right; under corruptions 50.0% of that is left" in told
    assert "All 2 limits were kept." in told


def test_a_check_is_json() -> None:
    check = Check("min_ra", "fog", "camera", None, 0.5, False)
    assert check.as_json()["figure"] is None
