"""Shares, intervals, temperatures and calibration errors, against closed forms and simulated truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `export` is not installed")

from edgefuse.calibration import softmax  # noqa: E402
from edgefuse_export.calibration import calibrated, calibration_error, effective, fit, share  # noqa: E402
from edgefuse_export.evaluate import wilson  # noqa: E402


def test_rows_of_their_own_get_wilsons_interval() -> None:
    right = np.arange(100) < 80
    assert share(right, None) == (0.8, *wilson(80, 100))


def test_copies_of_a_row_tell_no_more_than_the_row() -> None:
    rng = np.random.default_rng(0)
    once = rng.random(400) < 0.7
    right, groups = np.repeat(once, 10), np.repeat(np.arange(400), 10)
    assert effective(right, groups) == pytest.approx(400, rel=0.01)
    value, low, high = share(right, groups)
    assert value == once.mean()
    assert (low, high) == pytest.approx(wilson(int(once.sum()), 400), abs=1e-3)


def test_groups_that_mean_nothing_cost_next_to_nothing() -> None:
    rng = np.random.default_rng(1)
    right, groups = rng.random(20_000) < 0.6, rng.integers(500, size=20_000)
    assert effective(right, groups) > 17_000


def test_intervals_over_groups_hold_the_truth_as_often_as_they_say() -> None:
    rng, hits = np.random.default_rng(2), 0
    for _ in range(300):
        p = rng.beta(8, 2, size=60)
        groups = np.repeat(np.arange(60), 20)
        _, low, high = share(rng.random(1200) < p[groups], groups)
        hits += low <= 0.8 <= high
    assert 0.90 <= hits / 300 <= 0.985


@pytest.mark.parametrize("right", [True, False])
def test_all_alike_is_worth_a_row_a_group(right: bool) -> None:
    assert effective(np.full(50, right), np.repeat(np.arange(5), 10)) == 5


def drawn(t: float, n: int = 40_000, bias: Any = 0.0, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from softmax(logits / t + bias)."""
    rng = np.random.default_rng(seed)
    logits = 3.0 * rng.standard_normal((n, 4))
    cumulative = softmax(logits / t + bias).cumsum(1)
    return logits, (rng.random((n, 1)) > cumulative).sum(1)


@pytest.mark.parametrize("t", [0.4, 1.0, 3.0])
def test_the_temperature_that_labels_were_drawn_at_is_found(t: float) -> None:
    found = fit(*drawn(t), biased=False)
    assert found.temperature == pytest.approx(t, rel=0.05)
    assert found.bias == ()


def test_a_bias_that_labels_were_drawn_with_is_found() -> None:
    bias = np.array([0.8, -0.5, 0.0, -0.3])
    logits, labels = drawn(2.0, bias=bias)
    found = fit(logits, labels, biased=True)
    assert found.temperature == pytest.approx(2.0, rel=0.05)
    np.testing.assert_allclose(np.array(found.bias) - np.mean(found.bias), bias - bias.mean(), atol=0.06)


def test_no_other_temperature_is_likelier() -> None:
    logits, labels = drawn(1.7, 500)

    def surprise(t: float) -> float:
        return float(-np.log(softmax(logits / t)[np.arange(500), labels]).mean())

    best = fit(logits, labels, biased=False).temperature
    assert all(surprise(best) <= surprise(t) + 1e-9 for t in np.geomspace(0.1, 10, 60))


def test_a_class_that_is_never_seen_does_not_send_its_bias_to_infinity() -> None:
    logits, labels = drawn(1.0, 400)
    found = fit(logits, np.minimum(labels, 2), biased=True)
    assert -20.0 < found.bias[3] < -2.0


def test_a_bias_is_taken_where_it_helps_rows_that_it_was_not_fitted_on_and_only_there() -> None:
    assert calibrated(*drawn(1.0, 4000, bias=np.array([1.0, 0.0, 0.0, -1.0])), None).calibration.bias != ()
    few = [calibrated(*drawn(1.0, 40, seed=seed), None).calibration.bias for seed in range(20)]
    assert sum(bias == () for bias in few) >= 15


def test_probabilities_that_are_honest_have_little_error_and_others_much() -> None:
    logits, labels = drawn(2.0)
    assert calibration_error(softmax(logits / 2.0), labels) < 0.01
    assert calibration_error(softmax(logits), labels) > 0.1
    assert calibrated(logits, labels, None).error(labels) < 0.01


def test_the_error_is_the_gap_between_sure_and_right() -> None:
    probabilities = np.array([[0.9, 0.1]] * 10 + [[0.3, 0.7]] * 10)
    labels = np.array([0] * 6 + [1] * 4 + [1] * 9 + [0])
    assert calibration_error(probabilities, labels) == pytest.approx(0.5 * 0.3 + 0.5 * 0.2)


def test_a_single_group_is_measured_as_it_is() -> None:
    logits, labels = drawn(1.0, 50)
    found = calibrated(logits, labels, np.zeros(50, np.int64))
    assert found.error(labels) == calibration_error(softmax(logits), labels)
