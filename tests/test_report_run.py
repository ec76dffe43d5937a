"""What a report counts is what the lines say: outages, reasons, pauses, and the words that tell them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefuse.report_run import Run, awaited, clock, columns, lasted, outages, runs_of, told
from edgefuse.report_text import share, words

OK = ("fresh", "ok", None)
LATE = ("held", "warn", "late")
DARK = ("absent", "error", "blackout")
GONE = ("absent", "stale", "too_old")
NOTHING = ("absent", "stale", "no_data")


def line(t_ms: int, mode: str = "full", **lanes: tuple[str, str | None, str | None]) -> dict[str, Any]:
    """A result as `read_results` gives it, of the least that a line says."""
    streams = {name: {"state": s, "health": h, "reason": r, "age_ms": None} for name, (s, h, r) in lanes.items()}
    bundle = {"name": "tiny", "version": 2}
    rest = {"labels": {"way": "left"}, "truth": {}, "in_domain": None, "timing_ms": {}, "expected": None}
    return {"t_ns": t_ms * 1_000_000, "mode": mode, "streams": streams, "bundle": bundle, **rest}


def run_of(*lanes: tuple[str, str | None, str | None], step_ms: int = 100) -> Run:
    return Run([line(step_ms * i, a=lane) for i, lane in enumerate(lanes)])


def test_an_outage_is_error_and_silence_and_no_warning() -> None:
    (found,) = outages(run_of(OK, LATE, LATE, GONE, GONE, DARK, LATE, OK))
    assert (found.stream, found.begin, found.end, found.reasons) == ("a", 3, 6, ("too_old", "blackout"))
    assert found.from_s == pytest.approx(0.3)
    assert found.lasts_s == pytest.approx(0.3)


def test_outages_come_the_longest_first_over_all_streams() -> None:
    lanes = [(DARK, OK)] * 2 + [(OK, GONE)] * 5 + [(DARK, OK)] * 3
    run = Run([line(100 * i, a=a, b=b) for i, (a, b) in enumerate(lanes)])
    assert [(one.stream, one.end - one.begin) for one in outages(run)] == [("b", 5), ("a", 3), ("a", 2)]


def test_of_lines_that_do_not_say_health_the_reason_tells_it() -> None:
    old = [
        ("absent", None, "blackout"),
        ("held", None, "late"),
        ("absent", None, "a reason of tomorrow"),
        (*OK[:1], None, None),
    ]
    assert [(one.begin, one.end) for one in outages(run_of(*old))] == [(0, 1), (2, 3)]


def test_an_answer_stands_until_the_next_and_a_pause_is_nobodys_time() -> None:
    run = Run([line(t, a=DARK) for t in (0, 100, 200, 350, 5000, 5100)])
    assert run.lasts_s.tolist() == pytest.approx([0.1, 0.1, 0.15, 0.1, 0.1, 0.1])
    assert run.pauses == [(pytest.approx(0.35), pytest.approx(4.65))]
    assert outages(run)[0].lasts_s == pytest.approx(0.65)
    assert run.length_s == pytest.approx(5.2)


@given(st.lists(st.sampled_from([OK, LATE, DARK, GONE]), min_size=1, max_size=60), st.integers(1, 500))
def test_reasons_are_counted_as_answer_by_answer(lanes: list[Any], step_ms: int) -> None:
    run = run_of(*lanes, step_ms=step_ms)
    found = {row.reason: row for row in told(run)}
    for reason in ("late", "blackout", "too_old"):
        hits = [lane[2] == reason for lane in lanes]
        times = sum(now and not before for now, before in zip(hits, [False, *hits], strict=False))
        if not any(hits):
            assert reason not in found
            continue
        row = found[reason]
        assert (row.answers, row.stretches) == (sum(hits), times)
        assert row.total_s == pytest.approx(sum(hits) * (step_ms / 1000 if len(lanes) > 1 else 0.0))
        assert row.longest_s <= row.total_s + 1e-12


@given(st.lists(st.integers(0, 3), max_size=30))
def test_stretches_put_together_are_the_whole(values: list[int]) -> None:
    found = list(runs_of(values))
    assert [value for begin, end, value in found for _ in range(begin, end)] == values
    assert all(one[2] != other[2] for one, other in pairwise(found))


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=200), st.integers(1, 50))
def test_columns_hold_every_answer_once_and_are_no_more_than_asked_for(times: list[int], most: int) -> None:
    run = Run([line(t, a=OK) for t in sorted(times)])
    found = columns(run, most)
    assert [i for begin, end in found for i in range(begin, end)] == list(range(len(times)))
    assert len(found) <= max(most, 1)
    assert all(end > begin for begin, end in found)


def test_waiting_for_the_first_sample_is_no_failure_and_never_delivering_is() -> None:
    (start,) = outages(run_of(NOTHING, NOTHING, OK))
    assert awaited(run_of(NOTHING, NOTHING, OK), start)
    (never,) = outages(run_of(NOTHING, NOTHING))
    assert not awaited(run_of(NOTHING, NOTHING), never)


def test_a_run_without_faults_is_told_as_one() -> None:
    text = words(run_of(NOTHING, *[OK] * 9))
    assert text.startswith("The bundle tiny 2 gave 10 answers in 1.0 s, one every 0.1 s. All of them were full")
    assert "No stream failed. The last to deliver for the first time was a, after 0.1 s." in text
    assert "The source did not know the truth" in text
    assert "stopped" not in text


def test_a_run_that_was_blind_throughout_says_so() -> None:
    text = words(Run([line(100 * i, "blind", a=NOTHING, b=DARK) for i in range(10)]))
    assert "The run was blind throughout" in text
    assert "From the first answer to the last a (no_data) and b (blackout) were out." in text
    assert "No stream failed" not in text


def test_failures_are_told_the_longest_first_with_when_and_why() -> None:
    text = words(run_of(*[OK] * 5, *[DARK] * 2, *[OK] * 3, *[GONE] * 4))
    want = (
        "There were 2 failures, of a, the longest first: a for 0.4 s from 1.0 s on (too_old, to the end); a for 0.2 s"
    )
    assert want in text
    assert "from 0.5 s on (blackout)." in text
    many = words(run_of(*[lane for _ in range(9) for lane in (OK, DARK)]))
    assert "There were 9 failures" in many
    assert "; 4 more, none longer." in many
    assert many.count("(blackout") == 5


def test_a_pause_of_the_answers_themselves_is_told() -> None:
    text = words(Run([line(t, a=OK) for t in (0, 100, 200, 9000, 9100)]))
    assert "The answers themselves stopped once, for 8.8 s from 0.2 s on." in text


def test_what_was_right_is_told_where_the_truth_is_known_and_means_something() -> None:
    truths = ["left", "left", "right", None]
    lines = [{**line(100 * i, a=OK), "truth": {} if t is None else {"way": t}} for i, t in enumerate(truths)]
    assert "The output way was right in 66.7% of the 3 answers whose truth is known." in words(Run(lines))
    assert "another world" in words(Run([{**one, "in_domain": False} for one in lines]))
    assert "right in" not in words(Run([{**one, "in_domain": False} for one in lines]))


def test_shares_of_modes_and_the_expectation_are_told() -> None:
    expected = {"metric": "accuracy", "value": 0.8, "low": 0.7, "high": 0.9, "better": "higher"}
    lines = [line(100 * i, mode, a=OK) for i, mode in enumerate(["full"] * 6 + ["abstain"] * 3 + ["blind"])]
    lines[0]["expected"], lines[1]["expected"] = expected, {**expected, "value": 0.6}
    text = words(Run(lines))
    assert "Of these 60.0% were full, 30.0% were abstentions and 10.0% were blind." in text
    assert "The datasheet expected of 2 of them a mean accuracy of 0.700." in text


def test_latency_is_told_where_the_lines_have_it() -> None:
    lines = [{**line(100 * i, a=OK), "timing_ms": {"total": float(i + 1)}} for i in range(101)]
    assert "Half of the answers took 51.0 ms or less and 99% 100 ms; the slowest took 101 ms." in words(Run(lines))
    assert "It took 1.00 ms." in words(Run(lines[:1]))
    assert " ms" not in words(run_of(OK, OK, step_ms=1000))


def test_a_share_is_0_or_100_only_where_it_is() -> None:
    assert [share(0, 9), share(1, 10_000), share(9_999, 10_000), share(5, 5)] == ["0.0%", "0.1%", "99.9%", "100.0%"]


def test_durations_and_moments_read_well() -> None:
    assert [lasted(s) for s in (0.0, 0.05, 0.25, 59.96, 119.9, 120.0, 395.3, 7500.0)] == [
        "0 ms", "50 ms", "0.2 s", "60.0 s", "119.9 s", "2 min 0 s", "6 min 35 s", "2 h 5 min",
    ]  # fmt: skip
    assert clock(run_of(OK, OK), 16.54) == "16.5 s"
    assert clock(run_of(OK, OK, step_ms=3_600_000), 3725.0) == "1:02:05"
