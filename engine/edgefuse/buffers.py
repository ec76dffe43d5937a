"""Memory that kernels stream through: aligned to cache lines, in huge pages where it is large; and given back."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)

LINE = 64  # bytes
HUGE = 1 << 21
WORTH_IT = 1 << 19  # bytes; below, a buffer has few pages anyway


def zeros(size: int, dtype: type[T]) -> NDArray[T]:
    """Zeros [size] that begin on a cache line. Large ones ask for huge pages.

    Reading weights is what a fusion costs, and a page of 4 KiB is over after one or two rows of them: each needs an
    address translation of its own, and stops the prefetcher. In one huge page there is nothing in the way.
    """
    nbytes = size * np.dtype(dtype).itemsize
    raw = _huge(nbytes) if nbytes >= WORTH_IT else np.zeros(nbytes + LINE, np.uint8)
    skip = -raw.ctypes.data % (HUGE if nbytes >= WORTH_IT else LINE)
    return raw[skip : skip + nbytes].view(dtype)


def placed(array: NDArray[T]) -> NDArray[T]:
    """The values of an array [n] in such memory."""
    out = zeros(array.size, array.dtype.type)
    out[:] = array
    return out


def give_back() -> None:
    """Give the system what was freed and is still kept for later, where the C library is asked for that (glibc).

    A graph that is loaded leaves behind about as much as its weights take.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def _huge(nbytes: int) -> NDArray[np.uint8]:
    """Anonymous memory with room to begin on a huge page; ordinary pages where the system has no huge ones."""
    memory = mmap.mmap(-1, -(-nbytes // HUGE) * HUGE + HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(AttributeError, OSError):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, np.uint8)
