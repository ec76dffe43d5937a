"""Reports: compared only where they are comparable, held to budgets, told as text and as a page, profiles checked."""

from __future__ import annotations

import copy
import json
from html import escape
from pathlib import Path
from typing import Any

import pytest

from edgefuse import load
from edgefuse.bench import compare as comparing
from edgefuse.bench import report as reports
from edgefuse.bench.budget import Budget, checked, load_budget
from edgefuse.bench.budget import describe as limits
from edgefuse.bench.compare import compare, read_report
from edgefuse.bench.page import page_writer
from edgefuse.bench.profile import Profile, load_profile
from edgefuse.bench.report import Report, measured
from edgefuse.bench.section import Section
from edgefuse.bench.text import describe, describe_section
from edgefuse.doctor import shipped_bundle
from edgefuse.errors import ConfigError, SinkError, UsageError

SMALL = Profile(rounds=70, warmup=3, least_count=6636)


@pytest.fixture(scope="module")
def report() -> Report:
    return measured(load(shipped_bundle()), SMALL, ["fresh", "overhead"])


@pytest.fixture(scope="module")
def document(report: Report) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(report.as_json(), allow_nan=False))
    return found


def test_a_report_says_what_decides_its_numbers(document: dict[str, Any]) -> None:
    about = document["circumstances"]
    assert {"cores", "threads", "kernels", "versions", "sha256", "command", "profile", "before", "after"} <= set(about)
    assert about["profile"]["rounds"] == 70


def test_fewer_answers_than_the_rules_ask_are_told(document: dict[str, Any]) -> None:
    assert any("has 70 answers, the profile asks for 6636" in warning for warning in document["warnings"])


def test_an_unknown_scenario_is_named_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="no scenario 'fast'; there are fresh, in_hand"):
        measured(load(shipped_bundle()), SMALL, ["fast"])


def test_an_interrupt_leaves_a_report_of_what_was_measured_by_then(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(stand: object) -> Section:
        raise KeyboardInterrupt

    monkeypatch.setattr(reports, "SCENARIOS", {**reports.SCENARIOS, "gaps": interrupted})
    found = measured(load(shipped_bundle()), SMALL, ["in_hand", "gaps", "fresh"])
    assert list(found.sections) == ["in_hand"] and not found.whole
    assert "stopped after 1 of 3 scenarios" in found.warnings
    with pytest.raises(KeyboardInterrupt):
        measured(load(shipped_bundle()), SMALL, ["gaps", "fresh"])


def test_a_person_reads_every_contender_ratio_and_stage(report: Report) -> None:
    section = report.sections["fresh"]
    text = describe_section(section)
    for name in (*section.timings, *section.ratios, *section.stages):
        assert name in text
    assert "p99 p99.9 of all: too few answers" in text
    assert describe(report).startswith("bundle site 1")


def test_the_page_holds_the_distributions_and_every_table(report: Report, tmp_path: Path) -> None:
    page_writer(tmp_path / "b.html")(report)
    page = (tmp_path / "b.html").read_text()
    assert page.count("<svg") == 2
    for name in report.sections["fresh"].timings:
        assert escape(name) in page
    assert "sha256" in page


def test_a_page_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="No such file"):
        page_writer(tmp_path / "none" / "b.html")


def write(path: Path, document: dict[str, Any]) -> Path:
    path.write_text("a table\n" + json.dumps(document) + "\n")
    return path


def slower(document: dict[str, Any], factor: float) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    timing = changed["scenarios"]["fresh"]["timings"]["engine"]
    timing["tenths_ms"] = [factor * ms for ms in timing["tenths_ms"]]
    return changed


def test_reports_of_one_machine_give_ratios_with_intervals(document: dict[str, Any], tmp_path: Path) -> None:
    paths = write(tmp_path / "a.json", document), write(tmp_path / "b.json", slower(document, 3.0))
    found = compare(*(read_report(path) for path in paths))
    rows = {(row.scenario, row.contender): row for row in found.rows}
    engine = rows["fresh", "engine"]
    assert found.refused == ()
    assert engine.low <= engine.ratio == pytest.approx(3.0, rel=1e-3) and engine.ratio <= engine.high
    assert engine.verdict == "slower"
    assert rows["fresh", "one graph"].verdict == "no difference shown"
    assert "slower" in comparing.describe(found)


@pytest.mark.parametrize("key", ["cpu", "governor", "threads", "sha256", "pinned_to", "power_mode"])
def test_what_cannot_be_compared_is_refused_with_its_reason(key: str, document: dict[str, Any]) -> None:
    other = copy.deepcopy(document)
    other["circumstances"][key] = "something else"
    found = compare(document, other)
    assert found.rows == ()
    (why,) = found.refused
    assert why.startswith(f"{key}: ") and "something else" in why


def test_what_may_differ_is_said(document: dict[str, Any]) -> None:
    other = copy.deepcopy(document)
    other["circumstances"]["kernels"] = "numpy"
    found = compare(document, other)
    assert found.rows and any(line.startswith("kernels: ") for line in found.differs)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "a table",
        '{"schema": 2, "scenarios": {}}',
        "[1]",
        '{"schema": 1, "circumstances": {}, "scenarios": {"a": {"timings": {"b": {}}}}}',
    ],
)
def test_a_file_that_is_no_report_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(UsageError, match=r"r\.json: its last line is no report"):
        read_report(tmp_path / "r.json")


BUDGET = """
limits:
  - {scenario: fresh, ratio: engine / one graph, at_most: 1000}
  - {scenario: fresh, stage: fuse, at_least: 0.0, at_most: 0.9}
  - {scenario: overhead, figure: added, of: percent, at_most: 100}
  - {scenario: fresh, ratio: engine / nobody, at_most: 1}
  - {scenario: fresh, ratio: engine / one graph, at_most: 0.001}
"""


def test_a_budget_is_broken_by_what_leaves_its_range_and_by_what_is_not_there(
    document: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "b.yaml").write_text(BUDGET)
    checks = checked(load_budget(tmp_path / "b.yaml"), document["scenarios"])
    assert [check.kept for check in checks] == [True, True, True, False, False]
    lines = list(limits(checks))
    assert "is not in the report" in lines[3] and lines[4].startswith("BROKEN")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("limits: []", "limits"),
        ("limits: [{scenario: fresh, at_most: 1}]", "one of ratio, stage and figure"),
        ("limits: [{scenario: fresh, stage: fuse}]", "at_least or at_most"),
        ("limits: [{scenario: fresh, stage: fuse, at_least: 2, at_most: 1}]", "above at_most"),
        ("limits: [{scenario: fresh, stage: fuse, most: 1}]", "most"),
    ],
)
def test_a_bad_budget_is_named_with_its_place(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"b\.yaml: .*{words}"):
        load_budget(tmp_path / "b.yaml")


def test_shipped_budgets_and_profiles_are_sound() -> None:
    root = Path(__file__).resolve().parents[1]
    budgets, profiles = sorted((root / "budgets").glob("*.yaml")), sorted((root / "configs" / "bench").glob("*.yaml"))
    assert budgets and profiles
    assert all(isinstance(load_budget(path), Budget) for path in budgets)
    assert all(isinstance(load_profile(path), Profile) for path in profiles)


@pytest.mark.parametrize(
    ("text", "words"),
    [("rounds: 0", "rounds"), ("gaps_s: [1]\ngap_rounds: [1, 2]", "gap_rounds"), ("speed: 3", "speed")],
)
def test_a_bad_profile_is_named_with_its_place(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"p\.yaml: .*{words}"):
        load_profile(tmp_path / "p.yaml")


def test_rates_are_by_stream_then_by_kind() -> None:
    profile = Profile(rates_hz={"camera": 15.0, "rear": 5.0})
    assert [profile.rate_hz("front", "camera"), profile.rate_hz("rear", "camera")] == [15.0, 5.0]
    assert profile.rate_hz("gps", "gps") == 5.0
