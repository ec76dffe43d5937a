"""Buffers for kernels are aligned, zero and independent, large or small."""

from __future__ import annotations

import ctypes
import mmap
import platform
import subprocess
import sys

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


HOARD = """
import numpy as np
from edgefuse.buffers import give_back

def resident_mib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))

blocks = [np.ones(4096, np.uint8) for _ in range(20_000)]
last = blocks[-1]  # lies above all others, so that the heap cannot just be shortened
del blocks
before = resident_mib()
give_back()
print(before - resident_mib(), last.sum())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked to give memory back")
def test_what_is_freed_between_what_is_not_goes_back_to_the_system() -> None:
    told = subprocess.run([sys.executable, "-c", HOARD], capture_output=True, text=True, check=True).stdout
    given_mib, kept = map(float, told.split())
    assert given_mib > 40.0
    assert kept == 4096.0


@pytest.mark.parametrize("library", [object(), OSError("no library")])
def test_a_c_library_that_keeps_what_it_has_is_no_error(library: object, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(_: None) -> object:
        if isinstance(library, OSError):
            raise library
        return library

    monkeypatch.setattr(ctypes, "CDLL", opened)
    buffers.give_back()
