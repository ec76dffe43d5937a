"""The gateway to the kernels and the only importer of `_kernels`: picks C++ or NumPy once and keeps the reason."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

import numpy as np
from msgspec import Struct

from edgefuse import (
    arguments,
    reference,
    reference_joins,
    reference_looks,
    reference_maps,
    reference_resize,
    reference_subsets,
)
from edgefuse.arguments import I64, U16
from edgefuse.errors import ConfigError
from edgefuse.types import F16, F32, F64, U8, Array

CHOICES = ("", "c++", "numpy")


class Backend(Struct, frozen=True):
    """Which kernels run, and why.

    name    "c++" or "numpy"
    isa     the instruction set: "baseline", "avx2", "avx512"; "numpy" where NumPy decides
    reason  one clause that says why these were picked
    """

    name: str
    isa: str
    reason: str


class Looks(Protocol):
    """What looks at payloads: `edgefuse._kernels` and `reference_looks` both do."""

    def picture_grain(
        self, image: U8, left: int, columns: int, first: int, end: int, step: int, fine: int, coarse: int
    ) -> tuple[int, int, int, int, int, int]: ...
    def picture_levels(self, image: U8, step: int, dark: int, bright: int) -> tuple[int, int]: ...
    def depth_counts(self, depth_mm: U16, step: int, limit_mm: int) -> tuple[int, int, int, int]: ...
    def cloud_counts(
        self, points: F32, smallest: float, min_range_m: float, max_range_m: float
    ) -> tuple[int, int, int, int]: ...
    def sweep_counts(self, points: F32, slopes: F32, out: F64) -> None: ...
    def digest(self, values: Array) -> int: ...
    def all_finite(self, values: F32) -> bool: ...


class Resizes(Protocol):
    """What brings pictures to another size: `edgefuse._kernels` and `reference_resize` both do."""

    def picture_area(self, image: U8, out: U8) -> None: ...
    def depth_nearest(self, depth_mm: U16, out: U16) -> None: ...


class _Table(Struct, frozen=True):
    backend: Backend
    prepared: Callable[..., Callable[[], None]]  # of the arguments of `fuse_project`
    join: Callable[[int, F32, U8, F32, int, int, F32], None]
    maps: Callable[[F32, I64, F32, U8, int, int, int, bool, F32], None]
    subsets: Callable[[F32, U16, bool, int, F32, F32, F32], None]
    grid: Callable[[F32, float, float, float, F32, int, F32], int]
    looks: Looks
    resizes: Resizes


@functools.cache
def _table() -> _Table:
    wanted = os.environ.get("EDGEFUSE_KERNELS", "")
    if wanted not in CHOICES:
        raise ConfigError(f"must be 'c++' or 'numpy', not {wanted!r}", place="EDGEFUSE_KERNELS")
    if wanted == "numpy":
        return _numpy("EDGEFUSE_KERNELS=numpy asks for NumPy")
    try:
        return _cpp()
    except ImportError as error:
        if wanted == "c++":
            raise ConfigError(f"the C++ kernels do not load ({error})", place="EDGEFUSE_KERNELS=c++") from error
        return _numpy(f"the C++ kernels do not load ({error})")


def _cpp() -> _Table:
    from edgefuse import _kernels as own
    from edgefuse._kernels import Projection, fuse_join, fuse_maps, isa, isas, lidar_grid, subset_head

    pinned = os.environ.get("EDGEFUSE_ISA")
    why = f"EDGEFUSE_ISA={pinned}" if pinned else f"the widest of {', '.join(isas())} that this machine runs"
    return _Table(Backend("c++", isa(), why), Projection, fuse_join, fuse_maps, subset_head, lidar_grid, own, own)


def _numpy(reason: str) -> _Table:
    backend = Backend("numpy", "numpy", reason)
    joins, maps, subsets = reference_joins.fuse_join, reference_maps.fuse_maps, reference_subsets.subset_head
    return _Table(
        backend, reference.prepared, joins, maps, subsets, reference.lidar_grid, reference_looks, reference_resize
    )


def backend() -> Backend:
    """Tell which kernels run and why; raises ConfigError where EDGEFUSE_KERNELS asks for what there is not."""
    return _table().backend


def prepared_project(
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
) -> Callable[[], None]:
    """`fuse_project` with its arguments checked and held now: calling what this gives computes `out` anew.

    Only what lies in x, weights, substitutes and select may change in between.
    """
    given = (x, dims, offsets, weights, weight_offsets, substitutes, select, activation, reduce, concat, out)
    try:
        return _table().prepared(*given)
    except (TypeError, ValueError) as refusal:
        _explain(refusal, lambda: arguments.project(*given))


def fuse_project(*given: Any, **named: Any) -> None:
    """Project N embeddings to one width and join them, once; see `reference.fuse_project`."""
    run = prepared_project(*given, **named)
    try:
        run()
    except ValueError as refusal:
        _explain(refusal, lambda: arguments.project(*given, **named))


def fuse_maps(
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
    """Join N feature maps that are projected already; see `reference_maps.fuse_maps`."""
    given = (x, offsets, substitutes, select, cells, activation, reduce, concat, out)
    try:
        _table().maps(*given)
    except (TypeError, ValueError) as refusal:
        _explain(refusal, lambda: arguments.maps(*given))


def subset_head(h: F32, masks: U16, concat: bool, reduce: int, weight: F32, bias: F32, out: F32) -> None:
    """Give the logits of many subsets of the streams; see `reference_subsets.subset_head`."""
    given = (h, masks, concat, reduce, weight, bias, out)
    try:
        _table().subsets(*given)
    except (TypeError, ValueError) as refusal:
        _explain(refusal, lambda: arguments.subsets(*given))


def fuse_join(kind: int, u: F32, select: U8, theta: F32, dim: int, rank: int, out: F32) -> None:
    """Join the selected rows of u into one vector; see `reference_joins.fuse_join`."""
    try:
        _table().join(kind, u, select, theta, dim, rank, out)
    except (TypeError, ValueError) as refusal:
        _explain(refusal, lambda: arguments.join(kind, u, select, theta, dim, rank, out))


def lidar_grid(
    points: F32, x_min_m: float, y_min_m: float, cell_m: float, z_edges_m: F32, count_cap: int, out: F32
) -> int:
    """Turn a point cloud into a bird's-eye grid; see `reference.lidar_grid`."""
    try:
        return _table().grid(points, x_min_m, y_min_m, cell_m, z_edges_m, count_cap, out)
    except (TypeError, ValueError) as refusal:
        _explain(refusal, lambda: arguments.grid(points, x_min_m, y_min_m, cell_m, z_edges_m, count_cap, out))


def _looks(payload: Array) -> Looks:
    """The host's, or the payload's own, where it is on a device."""
    return _table().looks if isinstance(payload, np.ndarray) else payload.looks


def picture_grain(
    image: U8, left: int, columns: int, first: int, end: int, step: int, fine: int, coarse: int
) -> tuple[int, int, int, int, int, int]:
    """Sums that tell noise and detail of a picture; see `reference_looks.picture_grain`."""
    return _looks(image).picture_grain(image, left, columns, first, end, step, fine, coarse)


def picture_levels(image: U8, step: int, dark: int, bright: int) -> tuple[int, int]:
    """How much of a picture is dark, and bright; see `reference_looks.picture_levels`."""
    return _looks(image).picture_levels(image, step, dark, bright)


def depth_counts(depth_mm: U16, step: int, limit_mm: int) -> tuple[int, int, int, int]:
    """How much of a depth picture is measured, at its limit, torn; see `reference_looks.depth_counts`."""
    return _looks(depth_mm).depth_counts(depth_mm, step, limit_mm)


def cloud_counts(points: F32, smallest: float, min_range_m: float, max_range_m: float) -> tuple[int, int, int, int]:
    """Whether a cloud is finite, and how much of it is sound; see `reference_looks.cloud_counts`."""
    return _looks(points).cloud_counts(points, smallest, min_range_m, max_range_m)


def sweep_counts(points: F32, slopes: F32, out: F64) -> None:
    """How a sweep's points spread over azimuth and elevation; see `reference_looks.sweep_counts`."""
    _looks(points).sweep_counts(points, slopes, out)


def digest(values: Array) -> int:
    """A number that tells whether an array has changed; see `reference_looks.digest`."""
    return _looks(values).digest(values)


def all_finite(values: F32) -> bool:
    """Is no value of float32 [...], in C order, infinite or NaN? NumPy needs as long for ten as this for thousands."""
    return _table().looks.all_finite(values)


def picture_area(image: U8, out: U8) -> None:
    """Make a picture smaller by means of areas; see `reference_resize.picture_area`."""
    _table().resizes.picture_area(image, out)


def depth_nearest(depth_mm: U16, out: U16) -> None:
    """Bring a depth picture to another size; see `reference_resize.depth_nearest`."""
    _table().resizes.depth_nearest(depth_mm, out)


def _explain(refusal: Exception, check: Callable[[], None]) -> NoReturn:
    """Raise what the shared checks say, so that both backends refuse in the same words and a good call pays nothing."""
    try:
        check()
    except (TypeError, ValueError) as told:
        raise ValueError(str(told)) from None
    raise ValueError(str(refusal)) from refusal
