"""Corruptions of depth, each against its formula written down a second time."""

from __future__ import annotations

import numpy as np
import pytest

from edgefuse.faults import SEVERITIES
from edgefuse.types import Array
from fault_cases import applied, at, distances

DEPTH = distances()
SEEN = DEPTH > 0
KEEPS_HOLES = ["depth_quantise", "depth_scale", "depth_saturate", "depth_noise"]


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("kind", KEEPS_HOLES)
def test_holes_stay_holes_and_measurements_stay_measurements(kind: str, severity: int) -> None:
    extremes = np.array([[0, 1, 2, 65_534, 65_535]], np.uint16)
    for depth in (DEPTH, extremes):
        assert np.array_equal(applied(kind, depth, severity) > 0, depth > 0)


@pytest.mark.parametrize(("severity", "share"), at(0.2, 0.35, 0.5, 0.65, 0.8))
def test_holes_take_their_share_and_touch_nothing_else(severity: int, share: float) -> None:
    changed = applied("depth_holes", DEPTH, severity)
    assert np.mean(changed[SEEN] == 0) == pytest.approx(share, abs=0.03)
    assert np.array_equal(changed[changed > 0], DEPTH[changed > 0])


@pytest.mark.parametrize(("severity", "step_mm"), at(20, 50, 100, 200, 500))
def test_quantised_distances_are_multiples_of_a_step_and_near(severity: int, step_mm: float) -> None:
    changed = applied("depth_quantise", DEPTH, severity).astype(int)
    assert not (changed % int(step_mm)).any()
    assert np.abs(changed - DEPTH.astype(int)).max() <= step_mm / 2


@pytest.mark.parametrize(("severity", "factor"), at(1.05, 1.125, 1.2, 1.35, 1.5))
def test_scale_makes_distances_longer(severity: int, factor: float) -> None:
    assert np.abs(applied("depth_scale", DEPTH, severity) - factor * DEPTH).max() <= 0.5
    assert applied("depth_scale", np.full((2, 2), 65_000, np.uint16), severity).min() == 65_535


@pytest.mark.parametrize(("severity", "share"), at(0.1, 0.2, 0.3, 0.4, 0.5))
def test_stripes_are_whole_columns_that_stay_for_as_long_as_the_fault(severity: int, share: float) -> None:
    changed = applied("depth_stripes", DEPTH, severity)
    lost = (changed == 0).all(axis=0)
    assert lost.mean() == pytest.approx(share)
    assert np.array_equal(changed[:, ~lost], DEPTH[:, ~lost])


@pytest.mark.parametrize(("severity", "share"), at(0.8, 0.65, 0.5, 0.35, 0.2))
def test_saturation_is_a_farthest_distance(severity: int, share: float) -> None:
    changed, farthest = applied("depth_saturate", DEPTH, severity), share * int(DEPTH.max())
    assert abs(int(changed.max()) - farthest) <= 0.5
    assert np.array_equal(changed[farthest > DEPTH], DEPTH[farthest > DEPTH])


@pytest.mark.parametrize(("severity", "share"), at(0.01, 0.02, 0.03, 0.05, 0.08))
def test_noise_is_in_proportion_to_the_distance(severity: int, share: float) -> None:
    relative: Array = applied("depth_noise", DEPTH, severity)[SEEN] / DEPTH[SEEN] - 1
    assert relative.std() == pytest.approx(share, rel=0.05)
    near = DEPTH[SEEN] < 4000
    assert relative[near].std() == pytest.approx(relative[~near].std(), rel=0.1)
