"""What holds of every corruption: the contract is kept, inputs are untouched, the same chance, and more is more."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from edgefuse.faults import KINDS, SEVERITIES, Fault
from edgefuse.faults.payload import PAYLOAD
from edgefuse.modalities import KINDS as MODALITIES
from edgefuse.modalities.base import contract_reason
from edgefuse.types import Array
from fault_cases import PAYLOADS, applied, change, distances, picture

CONTENT = [kind for kind, row in KINDS.items() if row.family in PAYLOADS]
GRADED = [kind for kind in CONTENT if KINDS[kind].graded]
# Neighbouring levels that differ in kind: mist that is finer rather than denser, blocks that fall in step with edges.
STRIDE = {"fog": 2, "pixelate": 2}
SMALL: dict[str, list[Array]] = {
    "camera": [picture(1, 1), picture(1, 7), picture(7, 1), picture(480, 640)[::2, ::2]],
    "depth": [distances(1, 1), distances(1, 5), distances(240, 320)[::3, ::-1]],
    "lidar": [np.ones((1, 4), np.float32), np.zeros((3, 4), np.float32), np.full((5, 4), np.nan, np.float32)],
    "gps": [np.full(7, np.nan), np.array([90.0, 180.0, 0.0, 1.0, 1.0, 1.0, 0.0])],
}


def reading(kind: str) -> Array:
    payload = PAYLOADS[KINDS[kind].family]()
    payload.setflags(write=False)
    return payload


def meets_contract(payload: Array, family: str) -> bool:
    modality = MODALITIES[family]
    return contract_reason(payload, modality.dtype, modality.shape or payload.shape) is None


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("kind", CONTENT)
def test_a_corrupted_reading_still_meets_its_contract_and_repeats_by_its_seed(kind: str, severity: int) -> None:
    payload = reading(kind)
    before = payload.tobytes()
    changed = applied(kind, payload, severity)
    assert meets_contract(changed, KINDS[kind].family)
    assert changed.shape == payload.shape or KINDS[kind].family == "lidar"
    assert changed.flags.c_contiguous
    assert payload.tobytes() == before
    assert applied(kind, payload, severity).tobytes() == changed.tobytes()


@pytest.mark.parametrize("kind", CONTENT)
def test_readings_of_any_size_and_layout_and_without_numbers_are_survived(kind: str) -> None:
    for payload in SMALL[KINDS[kind].family]:
        assert all(meets_contract(applied(kind, payload, s), KINDS[kind].family) for s in SEVERITIES)


@pytest.mark.parametrize("first", ["garbage", "nan", "nan_burst", "denormal", "empty", "wrong_shape", "wrong_dtype"])
@pytest.mark.parametrize("kind", [*CONTENT, *PAYLOAD])
def test_whatever_fault_came_before_none_fails(kind: str, first: str) -> None:
    families = [KINDS[kind].family] if kind in CONTENT else KINDS[kind].fits or PAYLOADS
    for family in families:
        for seed in range(3):
            applied(kind, applied(first, PAYLOADS[family](), seed=seed), 5, modality=family)


@pytest.mark.parametrize("kind", GRADED)
def test_a_greater_severity_changes_more(kind: str) -> None:
    payload = picture(224, 224) if KINDS[kind].family == "camera" else reading(kind)
    amounts = [change(kind, payload, severity) for severity in SEVERITIES[:: STRIDE.get(kind, 1)]]
    assert amounts[0] > 0.0
    assert all(b > a for a, b in pairwise(amounts)), amounts


@pytest.mark.parametrize("kind", GRADED)
def test_severity_three_is_what_is_meant_where_none_is_said(kind: str) -> None:
    unsaid = Fault("s", kind, 0.0, 1.0).severity
    assert applied(kind, reading(kind), unsaid).tobytes() == applied(kind, reading(kind), 3).tobytes()
