"""What the kernels refuse, stated once for NumPy and C++: each check raises ValueError naming the argument."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgefuse.joins import OF_TWO, SHAPES, Join, Size
from edgefuse.types import F16, F32, U8, Array

MAX_STREAMS = 16
MAX_DIM = 1 << 16
MAX_COUNT = 1 << 24  # up to here a float32 counts exactly
F32_MAX = float(np.finfo(np.float32).max)

I64 = NDArray[np.int64]
U16 = NDArray[np.uint16]


def project(
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
    """Refuse what `fuse_project` cannot take."""
    _array("x", x, np.float32, (None,))
    half = isinstance(weights, np.ndarray) and weights.dtype == np.float16
    _array("weights", weights, np.float16 if half else np.float32, (None,))
    _array("substitutes", substitutes, np.float32, (None, None))
    streams, width = _streams("substitutes", substitutes)
    for name, array in (("dims", dims), ("offsets", offsets), ("weight_offsets", weight_offsets)):
        _array(name, array, np.int64, (streams,))
    _select(select, streams)
    _join(activation, reduce, concat)
    _array("out", out, np.float32, ((streams * width if concat else 0) + (width if reduce else 0),))
    _output("out", out, x=x, dims=dims, offsets=offsets, weights=weights, weight_offsets=weight_offsets)
    _output("out", out, substitutes=substitutes, select=select)
    for i in range(streams):
        _within(f"dims[{i}]", int(dims[i]), 1, x.size)
        _within(f"offsets[{i}]", int(offsets[i]), 0, x.size - int(dims[i]))
        _within(f"weight_offsets[{i}]", int(weight_offsets[i]), 0, weights.size - (int(dims[i]) + 1) * width)


def maps(
    x: F32,
    offsets: I64,
    substitutes: F32,
    select: U8,
    cells: int,
    activation: int,
    reduce: int,
    concat: bool,
    out: F32,
) -> None:
    """Refuse what `fuse_maps` cannot take."""
    _array("x", x, np.float32, (None,))
    _array("substitutes", substitutes, np.float32, (None, None))
    streams, width = _streams("substitutes", substitutes)
    _array("offsets", offsets, np.int64, (streams,))
    _select(select, streams)
    _join(activation, reduce, concat)
    _within("cells", cells, 1, x.size // width)
    size = width * cells
    _array("out", out, np.float32, ((streams * size if concat else 0) + (size if reduce else 0),))
    _output("out", out, x=x, offsets=offsets, substitutes=substitutes, select=select)
    for i in range(streams):
        _within(f"offsets[{i}]", int(offsets[i]), 0, x.size - size)


def subsets(h: F32, masks: U16, concat: bool, reduce: int, weight: F32, bias: F32, out: F32) -> None:
    """Refuse what `subset_head` cannot take."""
    _array("h", h, np.float32, (None, None))
    streams, width = _streams("h", h)
    _join(0, reduce, concat)
    _array("masks", masks, np.uint16, (None,))
    if (masks >> streams).any():
        raise ValueError(f"masks must be below 2^{streams}, one bit a stream, not {masks.max()}")
    _array("bias", bias, np.float32, (None,))
    _within("classes (length of bias)", bias.size, 1, bias.size)
    rows = (streams * width if concat else 0) + (width if reduce else 0)
    _array("weight", weight, np.float32, (rows, bias.size))
    _array("out", out, np.float32, (masks.size, bias.size))
    _output("out", out, h=h, masks=masks, weight=weight, bias=bias)


def join(kind: int, u: F32, select: U8, theta: F32, dim: int, rank: int, out: F32) -> None:
    """Refuse what `fuse_join` cannot take."""
    _within("kind", kind, 1, max(Join))
    _within("dim", dim, 1, MAX_DIM)
    _within("rank", rank, 1, MAX_DIM)
    _array("u", u, np.float32, (None, None))
    streams, _ = _streams("u", u)
    if kind in OF_TWO and streams != 2:
        raise ValueError(f"{Join(kind).name} joins two streams (rows of u), not {streams}")
    shapes, size = SHAPES[Join(kind)], Size(streams, dim, rank)
    _array("u", u, np.float32, (streams, shapes.columns(size)))
    _select(select, streams)
    _array("theta", theta, np.float32, (sum(math.prod(shape) for shape in shapes.theta(size).values()),))
    _array("out", out, np.float32, (shapes.out(size),))
    _output("out", out, u=u, select=select, theta=theta)


def grid(points: F32, x_min_m: float, y_min_m: float, cell_m: float, z_edges_m: F32, count_cap: int, out: F32) -> None:
    """Refuse what `lidar_grid` cannot take."""
    _array("points", points, np.float32, (None, 4))
    _array("z_edges_m", z_edges_m, np.float32, (None,))
    if z_edges_m.size < 2 or not np.isfinite(z_edges_m).all() or not (z_edges_m[1:] > z_edges_m[:-1]).all():
        raise ValueError("z_edges_m must hold at least two finite, strictly ascending edges")
    _array("out", out, np.float32, (z_edges_m.size + 1, None, None))
    _within("rows of out", out.shape[1], 1, MAX_COUNT)
    _within("columns of out", out.shape[2], 1, MAX_COUNT)
    _output("out", out, points=points, z_edges_m=z_edges_m)
    _within("count_cap", count_cap, 1, MAX_COUNT)
    for name, value in (("x_min_m", x_min_m), ("y_min_m", y_min_m), ("cell_m", cell_m)):
        if not math.isfinite(value) or abs(value) > F32_MAX:
            raise ValueError(f"{name} must be a finite float32, not {value}")
    if np.float32(cell_m) <= 0:
        raise ValueError(f"cell_m must be positive, not {cell_m}")


def _array(name: str, array: Array, dtype: type[np.generic], shape: Sequence[int | None]) -> None:
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name} must be a numpy array of {dtype.__name__}, not {type(array).__name__}")
    if array.dtype != np.dtype(dtype):
        raise ValueError(f"{name} must be {dtype.__name__} in native byte order, not {array.dtype.str}")
    if array.ndim != len(shape) or any(n is not None and n != have for n, have in zip(shape, array.shape, strict=True)):
        wanted = ", ".join("n" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} must have shape ({wanted}), not {array.shape}")
    if not (array.flags.c_contiguous and array.flags.aligned):
        raise ValueError(f"{name} must be C-contiguous and aligned; its strides are {array.strides}")


def _streams(name: str, array: F32) -> tuple[int, int]:
    streams, width = array.shape
    _within(f"streams (rows of {name})", streams, 1, MAX_STREAMS)
    if width < 1:
        raise ValueError(f"width (columns of {name}) must be at least 1, not {width}")
    return streams, width


def _join(activation: int, reduce: int, concat: bool) -> None:
    _within("activation", activation, 0, 1)
    _within("reduce", reduce, 0, 5)
    if not concat and reduce == 0:
        raise ValueError("reduce is none and concat is off: there is nothing to compute")


def _select(select: U8, streams: int) -> None:
    _array("select", select, np.uint8, (streams,))
    if (select > 2).any():
        raise ValueError(f"select must hold 0 (absent), 1 (present) or 2 (substituted), not {select.max()}")


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must be in [{low}, {high}], not {value}")


def _output(name: str, out: Array, **others: Array) -> None:
    if not out.flags.writeable:
        raise ValueError(f"{name} must be writeable")
    for other, array in others.items():
        if np.may_share_memory(out, array):
            raise ValueError(f"{name} must not overlap {other}")
