"""The measures of fault injection, on records written down by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from edgefuse.scores import (
    Excuse,
    Found,
    Record,
    Seen,
    Share,
    accuracy,
    clean_alarms,
    detection,
    false_alarms,
    mean,
    modes_in,
    recovery,
    retained,
    samples_between,
    ticks_due,
)
from edgefuse.types import NS_PER_MS, NS_PER_S

MS = NS_PER_MS
FOR_EVER = 1 << 63

# One letter a tick: o sound, w a warning, e taken out, s silent, h held for its age alone.
LETTERS = {
    "o": Seen("fresh", "ok", None),
    "w": Seen("fresh", "warn", "late"),
    "e": Seen("held", "error", "stuck"),
    "s": Seen("absent", "stale", "too_old"),
    "h": Seen("held", "warn", "late"),
}


def records(camera: str, gps: str | None = None, right: Sequence[bool | None] | None = None) -> list[Record]:
    """A tick every 100 ms from 0."""
    gps = gps or "o" * len(camera)
    known = right or [None] * len(camera)
    return [
        Record(i * 100 * MS, "full" if c == g == "o" else "degraded", {"camera": LETTERS[c], "gps": LETTERS[g]}, r)
        for i, (c, g, r) in enumerate(zip(camera, gps, known, strict=True))
    ]


CLEAN = records("oooooooooo")


@pytest.mark.parametrize(
    ("seen", "first_ms", "ticks"),
    [
        ("oooeeeeooo", 300, 0),  # at the first tick that could see it
        ("oooeeeeooo", 201, 0),  # what comes after a tick is seen by the next
        ("ooooooweoo", 300, 3),  # a warning is a notice too
        ("oooooooooo", 300, None),
        ("eeeooooooo", 300, None),  # what was told before it does not count
    ],
)
def test_detection_counts_ticks_from_the_first_that_could_see_the_fault(
    seen: str, first_ms: int, ticks: int | None
) -> None:
    found = detection(records(seen), CLEAN, "camera", first_ms * MS, FOR_EVER)
    assert (found.ticks if found else None) == ticks


def test_what_is_told_of_the_clean_run_too_is_no_detection() -> None:
    clean = records("ooowwooooo")
    found = detection(records("ooowweoooo"), clean, "camera", 300 * MS, FOR_EVER)
    assert found == Found(2, 500 * MS, "stuck")


def test_what_is_told_after_the_end_is_no_detection() -> None:
    assert detection(records("ooooooeooo"), CLEAN, "camera", 300 * MS, 600 * MS) is None


@pytest.mark.parametrize(
    ("seen", "ticks"),
    [
        ("oooeeeeeoo", 3),  # after 400 ms: 500, 600, 700 are not, 800 is
        ("oooeeooooo", 0),
        ("oooeeeoeoo", 3),  # once more not: it counts from where it stays
        ("oooeeeeeee", None),
    ],
)
def test_recovery_counts_ticks_from_the_first_after_the_fault_to_where_it_stays_sound(
    seen: str, ticks: int | None
) -> None:
    found = recovery(records(seen), CLEAN, "camera", 400 * MS, FOR_EVER)
    assert (found.ticks if found else None) == ticks


def test_as_bad_as_in_the_clean_run_is_recovered() -> None:
    clean = records("oooooossss")
    assert recovery(records("ooeeeessss"), clean, "camera", 400 * MS, FOR_EVER) == Found(1, 600 * MS)


def test_recovery_is_asked_for_only_up_to_the_next_fault() -> None:
    assert recovery(records("oooeeeoooe"), CLEAN, "camera", 400 * MS, 900 * MS) == Found(1, 600 * MS)


def test_of_a_fault_that_lasts_to_the_end_no_recovery_is_known() -> None:
    assert recovery(records("ooooooooee"), CLEAN, "camera", 900 * MS, FOR_EVER) is None


def test_a_false_alarm_is_a_stream_taken_out_that_no_fault_reaches() -> None:
    seen = records("oooeeeeeoo", "owweesoooo")
    alarms = false_alarms(seen, CLEAN, ("camera", "gps"), [Excuse("camera", 300 * MS, 800 * MS)])
    assert alarms == {("gps", "stuck"): 2, ("gps", "too_old"): 1}


def test_an_excuse_ends() -> None:
    alarms = false_alarms(records("oooeeeeeoo"), CLEAN, ("camera",), [Excuse("camera", 300 * MS, 500 * MS)])
    assert alarms == {("camera", "stuck"): 3}


def test_out_in_the_clean_run_too_is_counted_there_alone() -> None:
    clean = records("ssssssssssssooee")
    assert not false_alarms(clean, clean, ("camera",), [])
    # Its first second is the engine's start.
    assert clean_alarms(clean, ("camera", "gps")) == {("camera", "too_old"): 2, ("camera", "stuck"): 2}


def test_accuracy_knows_its_window_and_what_has_no_truth() -> None:
    seen = records("ooooo", right=[True, True, False, None, True])
    assert accuracy(seen) == Share(3, 4)
    assert accuracy(seen, 100 * MS, 300 * MS) == Share(1, 2)
    assert accuracy(seen, 300 * MS, 400 * MS).value is None


def test_what_is_left_is_a_ratio_and_unknown_without_either_side() -> None:
    assert retained(Share(3, 10), Share(6, 10)) == 0.5
    assert retained(Share(0, 0), Share(6, 10)) is None
    assert retained(Share(3, 10), Share(0, 10)) is None
    assert mean([0.5, None, 1.0]) == 0.75
    assert mean([None]) is None


def test_the_shares_of_the_modes_add_up() -> None:
    shares = modes_in(records("ooee"), 100 * MS, FOR_EVER)
    assert shares == {"full": 1 / 3, "degraded": 2 / 3, "abstain": 0.0, "blind": 0.0}
    assert modes_in([], 0, FOR_EVER) == {}


def test_samples_between_counts_both_ends() -> None:
    assert samples_between([10, 20, 30, 40], 20, 30) == 2
    assert samples_between([10, 20], 21, 30) == 0


@pytest.mark.parametrize(
    ("last_ms", "wait_ms", "ticks"), [(0, 0, 1), (100, 0, 2), (101, 0, 3), (250, 0, 4), (250, 100, 3)]
)
def test_a_replay_owes_ticks_up_to_the_first_not_before_the_last_arrival(
    last_ms: int, wait_ms: int, ticks: int
) -> None:
    assert ticks_due(NS_PER_S, NS_PER_S + last_ms * MS, 10.0, wait_ms * MS) == ticks
