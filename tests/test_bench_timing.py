"""Timings: percentiles only where their number supports them, ratios with their spread, fair turns."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest

from edgefuse.bench.timing import Timing, interleave, least_count


def test_a_percentile_needs_as_many_answers_as_mlperf_asks() -> None:
    assert [least_count(q) for q in (50.0, 90.0, 99.0, 99.9)] == [7, 60, 657, 6629]


def test_a_percentile_of_too_few_is_said_not_printed() -> None:
    figures = Timing("a", np.ones(700)).as_json()
    assert figures["too_few"] == ["p99.9"]
    assert "p99_ms" in figures and "p99.9_ms" not in figures


def test_figures_are_those_of_the_durations() -> None:
    ms = np.random.default_rng(0).exponential(size=8000)
    figures = Timing("a", ms).as_json()
    assert figures["p99.9_ms"] == pytest.approx(np.quantile(ms, 0.999), abs=1e-5)
    assert figures["max_ms"] == pytest.approx(ms.max(), abs=1e-5)
    assert figures["jitter_ms"] == pytest.approx(np.mean([abs(b - a) for a, b in pairwise(ms)]), abs=1e-5)
    assert len(figures["tenths_ms"]) == 10 and figures["tenths_ms"][0] == pytest.approx(np.median(ms[:800]), abs=1e-5)


def test_a_ratio_has_the_lowest_and_highest_of_its_tenths() -> None:
    ms = np.repeat(np.arange(1.0, 11.0), 100)
    ratio = Timing("a", 2.0 * ms).ratio_to(Timing("b", np.full(1000, 2.0)))
    assert (ratio["p50"], ratio["low"], ratio["high"]) == (5.5, 1.0, 10.0)
    assert ratio["p99"] == pytest.approx(10.0)


def test_there_is_no_ratio_to_nothing_and_no_p99_of_few() -> None:
    nothing, few = Timing("a", np.zeros(100)), Timing("b", np.ones(100))
    assert few.ratio_to(nothing) == {}
    assert "p99" not in few.ratio_to(few)


def test_everyone_is_first_as_often_as_the_others() -> None:
    order: list[str] = []
    interleave({name: lambda name=name: order.append(name) for name in "abc"}, rounds=6, warmup=0)
    assert order[:9] == list("abcbcacab")
    assert [order[3 * k] for k in range(6)] == list("abcabc")


def test_warmup_is_not_kept_and_pauses_are_not_timed() -> None:
    timings = interleave({"a": lambda: None}, rounds=3, warmup=5, pause=lambda: time.sleep(0.02))
    assert timings[0].ms.size == 3
    assert np.median(timings[0].ms) < 10.0


def test_a_race_goes_on_for_as_long_as_it_must() -> None:
    timings = interleave({"a": lambda: time.sleep(0.001)}, rounds=1, warmup=0, least_s=0.1)
    assert 10 < timings[0].ms.size <= 100
