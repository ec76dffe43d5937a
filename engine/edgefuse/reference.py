"""The kernels in plain NumPy: the fallback where no C++ was built, and what the C++ kernels are tested against."""

from __future__ import annotations

import functools
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgefuse import arguments
from edgefuse.arguments import I64
from edgefuse.types import F16, F32, U8

ABSENT, PRESENT, SUBSTITUTED = 0, 1, 2


class Activation(IntEnum):
    """What follows a projection."""

    IDENTITY = 0
    RELU = 1


class Reduce(IntEnum):
    """How the projected streams are folded into one vector."""

    NONE = 0
    SUM = 1
    AVERAGE = 2
    MAX = 3
    PRODUCT = 4
    JOINT_PRODUCT = 5  # 0 where fewer than two streams are taken


def fuse_project(
    x: F32,
    dims: I64,
    offsets: I64,
    weights: F32 | F16,
    weight_offsets: I64,
    substitutes: F32,
    select: U8,
    activation: int,
    reduce: int,
    concat: bool,
    out: F32,
) -> None:
    """Project N embeddings to one width D and join them: concat, sum, average, max, product, or MultConcat.

        u_i = act(W_i^T x_i + b_i)   where select[i] is 1, present
            = substitutes[i]         where select[i] is 2, substituted
            = left out               where select[i] is 0, absent: nothing of stream i is read
        out = [u_0 ... u_{N-1}] if concat, zeros where absent; then reduce_i u_i unless reduce is NONE

    x               float32 [total], stream i at offsets[i], dims[i] long; gaps are allowed
    dims, offsets   int64 [N], 1 <= N <= 16
    weights         float32 or float16, at weight_offsets[i]: W_i as [dims[i], D] row by row, then b_i [D]; halfs are
                    widened as they are read, and all arithmetic is float32
    weight_offsets  int64 [N]
    substitutes     float32 [N, D]
    select          uint8 [N]
    out             float32 [(N * D if concat else 0) + (D if reduce else 0)], written whole; overlaps nothing

    The empty sum, average and max are 0, the empty product is 1; the joint product is 0 where fewer than two streams
    are taken. The average divides by the streams taken. NaN in a stream that is taken reaches whatever it enters,
    through relu and max too. Raises ValueError naming the argument.

    (PRODUCT, concat, RELU) is MultConcat, arXiv 2406.04349.
    """
    arguments.project(x, dims, offsets, weights, weight_offsets, substitutes, select, activation, reduce, concat, out)
    streams, width = substitutes.shape
    u = np.zeros((streams, width), np.float32)
    for i in range(streams):
        if select[i] == PRESENT:
            d, begin = int(dims[i]), int(weight_offsets[i])
            w = weights[begin : begin + (d + 1) * width].reshape(d + 1, width).astype(np.float32)
            u[i] = _project(x[offsets[i] : offsets[i] + d], w[:-1], w[-1], activation)
        elif select[i] == SUBSTITUTED:
            u[i] = substitutes[i]
    if concat:
        out[: streams * width] = u.reshape(-1)
    if reduce:
        out[-width:] = fold(u[select != ABSENT], reduce)


def activate(u: F32, activation: int) -> F32:
    """The activation, element by element; NaN stays NaN."""
    return np.where(u < 0, np.float32(0), u) if activation == Activation.RELU else u


def fold(u: F32, reduce: int) -> F32:
    """Reduce the rows of u, float32 [taken, ...], to one; taken may be 0."""
    z = np.full(u.shape[1:], reduce == Reduce.PRODUCT, np.float32)
    if len(u) == 0 or (reduce == Reduce.JOINT_PRODUCT and len(u) < 2):
        return z
    with np.errstate(all="ignore"):
        _FOLDS[reduce].reduce(u, out=z)
        return z / np.float32(len(u)) if reduce == Reduce.AVERAGE else z


def _project(x: F32, w: F32, b: F32, activation: int) -> F32:
    with np.errstate(all="ignore"):
        return activate(x @ w + b, activation)


_FOLDS: dict[int, np.ufunc] = {
    Reduce.SUM: np.add,
    Reduce.AVERAGE: np.add,
    Reduce.MAX: np.maximum,
    Reduce.PRODUCT: np.multiply,
    Reduce.JOINT_PRODUCT: np.multiply,
}


def prepared(*given: Any) -> Callable[[], None]:
    """`fuse_project` with its arguments checked and held; call what this gives to run it."""
    arguments.project(*given)
    return functools.partial(fuse_project, *given)


def lidar_grid(
    points: F32, x_min_m: float, y_min_m: float, cell_m: float, z_edges_m: F32, count_cap: int, out: F32
) -> int:
    """Turn a point cloud into a bird's-eye grid; return how many points were used.

        row = floor((x - x_min) / cell), col = floor((y - y_min) / cell), band b: z_edges[b] <= z < z_edges[b + 1]
        out[b] = min(points in band b, count_cap) / count_cap
        out[B] = max(z - z_edges[0]) over the points of all bands, 0 in an empty cell
        out[B + 1] = max(reflectance clipped to [0, 1])

    points     float32 [n, 4]: x, y, z in metres in the sensor frame (x forward, y left, z up), reflectance
    z_edges_m  float32 [B + 1], finite and strictly ascending
    count_cap  1 to 2^24
    out        float32 [B + 2, rows, cols], written whole; overlaps nothing

    All arithmetic is float32. Points outside the area or the bands, or with any value that is not finite, are skipped.
    Raises ValueError naming the argument.
    """
    arguments.grid(points, x_min_m, y_min_m, cell_m, z_edges_m, count_cap, out)
    bands, (_, rows, cols) = z_edges_m.size - 1, out.shape
    good = points[np.isfinite(points).all(axis=1)]
    with np.errstate(over="ignore"):
        row = np.floor((good[:, 0] - np.float32(x_min_m)) / np.float32(cell_m))
        col = np.floor((good[:, 1] - np.float32(y_min_m)) / np.float32(cell_m))
    band = np.searchsorted(z_edges_m, good[:, 2], side="right") - 1
    used = (row >= 0) & (row < rows) & (col >= 0) & (col < cols) & (band >= 0) & (band < bands)
    cell = row[used].astype(np.int64) * cols + col[used].astype(np.int64)
    counts = np.bincount(band[used] * (rows * cols) + cell, minlength=bands * rows * cols)
    out[:bands] = (np.minimum(counts, count_cap).astype(np.float32) / np.float32(count_cap)).reshape(out[:bands].shape)
    out[bands:] = 0
    np.maximum.at(out[bands].reshape(-1), cell, good[used, 2] - z_edges_m[0] + np.float32(0))  # + 0 turns -0 into 0
    np.maximum.at(out[bands + 1].reshape(-1), cell, np.clip(good[used, 3], 0, 1) + np.float32(0))
    return int(used.sum())


_NEUTRAL: dict[int, float] = {
    Reduce.SUM: 0.0,
    Reduce.AVERAGE: 0.0,
    Reduce.MAX: -np.inf,
    Reduce.PRODUCT: 1.0,
    Reduce.JOINT_PRODUCT: 1.0,
}


def fold_each(rows: F32, taken: NDArray[np.bool_], reduce: int, concat: bool) -> F32:
    """Fold rows float32 [M or 1, N, D] by masks bool [M, N]: what `fuse_project` makes of each, [M, width].

    The blocks if concat, zeros where not taken; then the reduction over the streams taken, few of them as in `fold`.
    """
    inside = taken[:, :, None]
    parts = [np.where(inside, rows, np.float32(0.0)).reshape(len(taken), -1)] if concat else []
    if reduce:
        with np.errstate(all="ignore"):
            z = _FOLDS[reduce].reduce(np.where(inside, rows, np.float32(_NEUTRAL[reduce])), axis=1)
        count = taken.sum(1, dtype=np.float32)[:, None]
        z = z / np.maximum(count, np.float32(1.0)) if reduce == Reduce.AVERAGE else z
        enough = count >= (2 if reduce == Reduce.JOINT_PRODUCT else 1)
        parts.append(np.where(enough, z, np.float32(reduce == Reduce.PRODUCT)))
    return np.concatenate(parts, axis=1)
