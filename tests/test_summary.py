"""A summary counts what happened, and nothing that did not."""

from __future__ import annotations

import numpy as np

from edgefuse.summary import Summary, describe
from edgefuse.types import NS_PER_S, Expected, Mode, Result, Trust

FRESH = Trust("fresh", "ok", age_ms=0.0)
LOST = Trust("absent", "stale", "too_old", 900.0, "mask")


def result(second: int, mode: Mode, label: str, a: Trust = FRESH, expected: float | None = None) -> Result:
    outputs = {"way": np.zeros(2, dtype=np.float32)}
    figure = None if expected is None else Expected("accuracy", expected, 0.0, 1.0, 10)
    t_ns = second * NS_PER_S
    return Result(t_ns, mode, outputs, {"way": label}, {"a": a, "b": FRESH}, figure, None, {"total": 1.0}, ("tiny", 1))


def test_spans_join_ticks_that_are_alike() -> None:
    summary = Summary()
    new = [
        summary.add(result(10, "full", "left"), None),
        summary.add(result(11, "full", "right"), None),
        summary.add(result(12, "degraded", "left", LOST), None),
        summary.add(result(13, "full", "left"), None),
    ]
    assert [span is not None for span in new] == [True, False, True, True]
    spans = [(span.from_s, span.to_s, span.mode, span.used, span.faults) for span in summary.spans]
    assert spans == [
        (0.0, 1.0, "full", ("a", "b"), ()),
        (2.0, 2.0, "degraded", ("b",), ("a: too_old",)),
        (3.0, 3.0, "full", ("a", "b"), ()),
    ]


def test_accuracy_counts_only_ticks_whose_truth_is_known() -> None:
    summary = Summary()
    summary.add(result(0, "full", "left", expected=0.9), {"way": "left"})
    summary.add(result(1, "full", "left", expected=0.7), {"way": "right"})
    summary.add(result(2, "full", "left"), None)
    summary.add(result(3, "full", "left"), {"other": "left"})
    tally = summary.modes["full"]
    assert (tally.ticks, tally.judged, tally.right) == (4, 2, 1)
    assert tally.as_json() == {"ticks": 4, "accuracy": 0.5, "expected": 0.8}
    assert "50.0% right; datasheet expected 80.0%" in describe(summary)


def test_reasons_are_counted_by_tick() -> None:
    summary = Summary()
    for second in range(3):
        summary.add(result(second, "degraded", "left", LOST), None)
    assert summary.as_json()["reasons"] == {"a: too_old": 3}


def test_nothing_is_described_as_nothing() -> None:
    assert describe(Summary()) == "0 answers for 0 ticks"


def test_a_stream_that_was_not_asked_for_is_no_fault() -> None:
    summary = Summary()
    span = summary.add(result(0, "full", "left", Trust("absent", "ok", "not_asked", 0.0)), None)
    assert span is not None
    assert (span.faults, summary.as_json()["reasons"]) == ((), {})
