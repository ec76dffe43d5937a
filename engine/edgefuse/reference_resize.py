"""The kernels that bring pictures to an encoder's size, in plain NumPy: fallback, and the truth of the tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgefuse.types import F64, U8

U16 = NDArray[np.uint16]


def picture_area(image: U8, out: U8) -> None:
    """Make a picture smaller: image uint8 [H, W, 3] into out uint8 [h, w, 3], h at most H and w at most W.

    out[i, j] is the mean of the area that it covers, rounded half up; of a pixel that lies in it in part, that counts.
    """
    rows, columns = (_parts(n, m) for n, m in zip(image.shape[:2], out.shape[:2], strict=True))
    area = image.shape[0] * image.shape[1]
    for channel in range(3):
        sums = rows @ image[..., channel].astype(np.float64) @ columns.T  # whole numbers below 2^37: exact
        out[..., channel] = (2 * sums.astype(np.int64) + area) // (2 * area)


def depth_nearest(depth_mm: U16, out: U16) -> None:
    """Bring a depth picture uint16 [H, W] to another size, out uint16 [h, w], taking a pixel that there is for each."""
    rows, columns = (np.arange(m) * n // m for n, m in zip(depth_mm.shape, out.shape, strict=True))
    out[:] = depth_mm[rows[:, None], columns]


def _parts(n: int, m: int) -> F64:
    """float64 [m, n]: how much of each of n pixels lies in each of m equal stretches of them, in units of 1 / m."""
    borders = np.arange(m + 1, dtype=np.float64) * n
    starts = np.arange(n, dtype=np.float64) * m
    ends = np.minimum(borders[1:, None], starts + m)
    parts: F64 = np.maximum(0.0, ends - np.maximum(borders[:-1, None], starts))
    return parts
