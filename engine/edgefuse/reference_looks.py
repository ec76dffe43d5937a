"""What payloads show of themselves, in NumPy: counts and sums of whole numbers, the truth for the C++ kernels.

Whole numbers add up to the same in any order, so both give the same bits and a check decides the same with either.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edgefuse.types import F32, F64, U8, Array

I16 = NDArray[np.int16]
U16 = NDArray[np.uint16]

PICTURE_COLUMNS = 1024  # at most; sums of squares of a row fit 64 bits many times over
CLOUD_VALUES, CLOUD_POINTS, SWEEP_POINTS = 16381, 1021, 8191  # looked at, at most; primes, see `spread`
BLOCK_BYTES, DIGEST_BLOCKS = 32, 1021
SECTORS, ELEVATIONS = 72, 256  # sectors of 5 degrees; rows of equal rise per metre: 0.36 degrees at the horizon
STEEPEST = 0.8  # rise per metre of the outermost rows: 39 degrees up and down
LAST_ELEVATION = 1.0 - 1e-6
SLOPES = np.array([math.tan(math.radians(5.0 * k)) for k in range(1, 9)], np.float32)

Grain = tuple[int, int, int, int, int, int]


def picture_grain(image: U8, left: int, columns: int, first: int, end: int, step: int, fine: int, coarse: int) -> Grain:
    """Sums over some rows of the green plane g of a picture uint8 [H, W, 3], whatever its strides.

        across  = 2 g(r, c) - g(r, c - fine) - g(r, c + fine)
        down    = 2 g(r, c) - g(r - fine, c) - g(r + fine, c)
        residue = 2 down(c) - down(c - fine) - down(c + fine)

    rows r = first, first + step, ... below end, which leaves `coarse` rows below; columns c of [left, left + columns)
    Gives sum |residue|, and the sums of squares of residue, across, down, g(r, c + coarse) - g(r, c) and
    g(r + coarse, c) - g(r, c). ValueError where rows or columns lie outside the picture.
    """
    _want_picture(image)
    rows, width = image.shape[:2]
    if fine < 1 or coarse < fine or step < 1 or first < fine or end > rows - coarse:
        raise ValueError(
            f"fine {fine}, coarse {coarse}, step {step}, first {first} or end {end} does not fit {rows} rows"
        )
    if not max(2 * fine, coarse) < columns <= PICTURE_COLUMNS or left < 0 or left + columns > width:
        raise ValueError(f"columns {left} and {columns} more do not fit a width of {width}")
    green = image[:, left : left + columns, 1]
    here, above, below, far = (_rows(green, first, end, step, by) for by in (0, -fine, fine, coarse))
    down = 2 * here - above - below
    residue, across = (2 * v[:, fine:-fine] - v[:, : -2 * fine] - v[:, 2 * fine :] for v in (down, here))
    squares = (residue, across, down, here[:, coarse:] - here[:, :-coarse], far - here)
    return (int(np.abs(residue).sum(dtype=np.int64)), *(_energy(part) for part in squares))  # type: ignore[return-value]


def picture_levels(image: U8, step: int, dark: int, bright: int) -> tuple[int, int]:
    """Of every step-th pixel of every step-th row of uint8 [H, W, 3]: all channels up to `dark`; from `bright` on."""
    _want_picture(image)
    if step < 1:
        raise ValueError(f"step must be at least 1, not {step}")
    some = image[::step, ::step]
    return int(np.count_nonzero((some <= dark).all(2))), int(np.count_nonzero((some >= bright).all(2)))


def depth_counts(depth_mm: U16, step: int, limit_mm: int) -> tuple[int, int, int, int]:
    """Of every step-th row of uint16 [H, W] millimetres, 0 = no measurement: measured, at the limit, pairs, torn pairs.

    At the limit: as far as the farthest measurement, or limit_mm where that is nearer, or beyond. Pairs: neighbours
    that are both measured; torn: those that differ by more than half of the nearer one.
    """
    if not isinstance(depth_mm, np.ndarray) or depth_mm.dtype != np.uint16 or depth_mm.ndim != 2 or step < 1:
        raise ValueError("depth_mm must be uint16 [H, W], and step at least 1")
    rows = depth_mm[::step]
    limit = min(int(rows.max(initial=0)), limit_mm)
    near, far = np.minimum(rows[:, :-1], rows[:, 1:]), np.maximum(rows[:, :-1], rows[:, 1:])
    counts = (rows, rows >= limit, near, (far - near > near // 2) & (near > 0))
    measured, at_limit, pairs, torn = (int(np.count_nonzero(c)) for c in counts)
    return measured, at_limit, pairs, torn


def cloud_counts(points: F32, smallest: float, min_range_m: float, max_range_m: float) -> tuple[int, int, int, int]:
    """Of points float32 [n, 4]: 1 where every value is finite; values that are not 0; those of at least `smallest`;
    points outside.

    Of up to 16,381 values and 1,021 points, evenly spread. Outside: by their largest coordinate nearer than
    min_range_m, but not exactly at 0, or farther than max_range_m. All 0 where a value is not finite.
    """
    _want_points(points)
    if not all_finite(points):
        return 0, 0, 0, 0
    sizes, some = np.abs(spread(points.reshape(-1), CLOUD_VALUES)), np.abs(spread(points, CLOUD_POINTS))
    range_m = np.maximum(np.maximum(some[:, 0], some[:, 1]), some[:, 2])
    outside = ((range_m < np.float32(min_range_m)) & (range_m > 0.0)) | (range_m > np.float32(max_range_m))
    sound = int(np.count_nonzero(sizes >= np.float32(smallest)))
    return 1, int(np.count_nonzero(sizes)), sound, int(np.count_nonzero(outside))


def sweep_counts(points: F32, slopes: F32, out: F64) -> None:
    """How a sweep's points spread, into float64 [1 + 72 + 256]: points that hit, then counts by sector and by row.

    points  float32 [n, 4], finite; up to 8,191, evenly spread, are looked at, and their hits scaled up
    slopes  float32 [8]: tan(5 j degrees), j = 1 to 8

    Points at the sensor itself do not count: some drivers send those for no echo. Sectors are of 5 degrees of azimuth
    from -180 on, told by octant and by comparing slopes. Rows are of equal rise per metre, from -0.8 to 0.8.
    """
    _want_points(points)
    if slopes.shape != SLOPES.shape or out.shape != (1 + SECTORS + ELEVATIONS,):
        raise ValueError(f"slopes and out must have {SLOPES.size} and {1 + SECTORS + ELEVATIONS} values")
    some = spread(points, SWEEP_POINTS)
    level_m = np.sqrt(some[:, 0].astype(np.float64) ** 2 + some[:, 1].astype(np.float64) ** 2)
    hit = np.flatnonzero(level_m > 0.0)
    rise = some[hit, 2].astype(np.float64) / level_m[hit] / (2.0 * STEEPEST) + 0.5
    rows = (np.clip(rise, 0.0, LAST_ELEVATION) * ELEVATIONS).astype(np.intp)
    out[0] = len(points) * len(hit) / max(len(some), 1)
    out[1 : 1 + SECTORS] = np.bincount(_sectors(some[hit, 0], some[hit, 1], slopes), minlength=SECTORS)
    out[1 + SECTORS :] = np.bincount(rows, minlength=ELEVATIONS)


def all_finite(values: F32) -> bool:
    """Is no value of float32 [...] infinite or NaN?"""
    return bool(np.isfinite(values).all())


def digest(values: Array) -> int:
    """A number below 2^64 that tells whether an array, of any dtype and shape, still holds the same bytes.

        size + sum of mix(w(k) xor k * 0x9e3779b1) modulo 2^64, over the 32-bit words w(k) looked at

    mix is the last step of MurmurHash3 (Appleby 2011) from its first product on. Words come in blocks of 32 bytes, of
    which up to 1,021 are looked at, evenly spread; a last block that is not whole counts with zeros.
    """
    data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
    whole = len(data) - len(data) % BLOCK_BYTES
    blocks = spread(data[:whole].reshape(-1, BLOCK_BYTES), DIGEST_BLOCKS)
    if whole < len(data):
        blocks = np.vstack([blocks, np.pad(data[whole:], (0, BLOCK_BYTES - len(data) + whole))])
    words: NDArray[np.uint32] = np.ascontiguousarray(blocks).view(np.uint32).reshape(-1)
    words = (words ^ np.arange(words.size, dtype=np.uint32) * np.uint32(0x9E3779B1)) * np.uint32(0x85EBCA6B)
    words = (words ^ (words >> np.uint32(16))) * np.uint32(0xC2B2AE35)
    return (len(data) + int((words ^ (words >> np.uint32(16))).sum(dtype=np.uint64))) % (1 << 64)


def spread(values: Array, most: int) -> Array:
    """Rows of values [n, ...], `most` of them, evenly spread, or all if there are no more.

    The step is a fraction, not a whole number: points come in columns of as many as the sensor has beams, and a whole
    step that shared a divisor with that number would never see some of the beams. So let `most` be a prime.
    """
    count = len(values)
    return values if count <= most else values[(np.arange(most) * (count / most)).astype(np.intp)]


def _sectors(x: F32, y: F32, slopes: F32) -> NDArray[np.intp]:
    along, across = np.abs(x), np.abs(y)
    steep = across > along
    reached = np.searchsorted(slopes, np.minimum(along, across) / np.maximum(along, across), side="right")
    from_x = np.where(steep, 2 * slopes.size + 1 - reached, reached)
    half = SECTORS // 2
    from_front = np.where(x < 0, half - 1 - from_x, from_x)
    sectors: NDArray[np.intp] = np.where(y < 0, half - 1 - from_front, half + from_front)
    return sectors


def _rows(green: U8, first: int, end: int, step: int, by: int) -> I16:
    return green[first + by : end + by : step].astype(np.int16)


def _energy(differences: I16) -> int:
    return int((differences.astype(np.int64) ** 2).sum())


def _want_picture(image: Array) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError("image must be uint8 [H, W, 3]")


def _want_points(points: Array) -> None:
    if not isinstance(points, np.ndarray) or points.dtype != np.float32 or points.ndim != 2 or points.shape[1] != 4:
        raise ValueError("points must be float32 [n, 4]")
