"""Values that are no numbers, or too small to compute with, whatever the sensor."""

from __future__ import annotations

import numpy as np
import pytest

from clean_source import fitting, inside, of, play
from edgefuse.faults import Fault
from fault_cases import PAYLOADS, applied


@pytest.mark.parametrize("stream", fitting("nan_burst"))
def test_a_burst_is_one_run_and_the_rest_stays(stream: str) -> None:
    clean = [s for s in of(stream, play()) if inside(s)]
    faulty = [s for s in of(stream, play(Fault(stream, "nan_burst", 1.0, 2.0))) if inside(s)]
    for a, b in zip(clean, faulty, strict=True):
        gone = np.flatnonzero(~np.isfinite(b.payload.ravel()))
        assert 1 <= len(gone) <= max(1, b.payload.size // 20)
        assert np.array_equal(gone, np.arange(gone[0], gone[0] + len(gone)))
        kept = np.isfinite(b.payload)
        assert np.array_equal(a.payload[kept], b.payload[kept])


def test_bursts_lie_everywhere_and_hold_every_sort() -> None:
    payload = PAYLOADS["vector"]()
    bursts = [applied("nan_burst", payload, seed=seed) for seed in range(60)]
    assert {str(v) for b in bursts for v in b[~np.isfinite(b)]} == {"nan", "inf", "-inf"}
    assert len({int(np.flatnonzero(~np.isfinite(b.ravel()))[0]) for b in bursts}) > 30


@pytest.mark.parametrize("modality", ["lidar", "vector"])
def test_denormal_values_are_below_1e_39_and_in_proportion(modality: str) -> None:
    payload = PAYLOADS[modality]()
    changed = applied("denormal", payload)
    assert changed.dtype == np.float32
    assert 0 < np.abs(changed).max() < 1e-39 < np.finfo(np.float32).tiny
    # A denormal of 1e-40 has some 16 bits left, so that ratios hold to 1e-4.
    np.testing.assert_allclose(
        changed.astype(np.float64) / np.abs(changed).max(), payload / np.abs(payload).max(), atol=1e-4
    )


def test_denormal_leaves_zeros_and_empty_arrays_alone() -> None:
    assert not applied("denormal", np.zeros(5, np.float32)).any()
    assert applied("denormal", np.zeros((0, 4), np.float32)).shape == (0, 4)
