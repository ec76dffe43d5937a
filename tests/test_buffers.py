"""Buffers for kernels are aligned, zero and independent, large or small."""

from __future__ import annotations

import mmap

import numpy as np
import pytest

from edgefuse import buffers

SIZES = (1, 17, buffers.WORTH_IT // 4 - 1, buffers.WORTH_IT // 4, buffers.HUGE // 4 + 5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_buffer_is_zero_writeable_and_begins_on_a_line(size: int, dtype: type[np.generic]) -> None:
    one, other = buffers.zeros(size, dtype), buffers.zeros(size, dtype)
    assert (one.dtype, one.shape, one.ctypes.data % buffers.LINE) == (dtype, (size,), 0)
    assert not one.any()
    one[:] = 1
    assert not other.any()


@pytest.mark.parametrize("size", SIZES)
def test_placed_values_are_the_values(size: int) -> None:
    values = np.random.default_rng(size).normal(size=size).astype(np.float32)
    np.testing.assert_array_equal(buffers.placed(values), values)


def test_a_large_buffer_begins_on_a_huge_page() -> None:
    assert buffers.zeros(buffers.HUGE // 4, np.float32).ctypes.data % buffers.HUGE == 0


def test_a_system_without_huge_pages_gives_ordinary_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(mmap, "MADV_HUGEPAGE")
    assert not buffers.zeros(buffers.HUGE // 4, np.float32).any()
