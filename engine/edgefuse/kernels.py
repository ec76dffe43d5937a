"""The gateway to the kernels and the only importer of `_kernels`: picks C++ or NumPy once and keeps the reason."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from edgefuse import arguments, reference, reference_joins, reference_maps, reference_subsets
from edgefuse.arguments import I64, U16
from edgefuse.errors import ConfigError
from edgefuse.types import F16, F32, U8

CHOICES = ("", "c++", "numpy")


@dataclass(frozen=True, slots=True)
class Backend:
    """Which kernels run, and why.

    name    "c++" or "numpy"
    isa     the instruction set: "baseline", "avx2", "avx512"; "numpy" where NumPy decides
    reason  one clause that says why these were picked
    """

    name: str
    isa: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Table:
    backend: Backend
    prepared: Callable[..., Callable[[], None]]  # of the arguments of `fuse_project`
    join: Callable[[int, F32, U8, F32, int, int, F32], None]
    maps: Callable[[F32, I64, F32, U8, int, int, int, bool, F32], None]
    subsets: Callable[[F32, U16, bool, int, F32, F32, F32], None]
    grid: Callable[[F32, float, float, float, F32, int, F32], int]


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
    from edgefuse._kernels import Projection, fuse_join, fuse_maps, isa, isas, lidar_grid, subset_head

    pinned = os.environ.get("EDGEFUSE_ISA")
    why = f"EDGEFUSE_ISA={pinned}" if pinned else f"the widest of {', '.join(isas())} that this machine runs"
    return _Table(Backend("c++", isa(), why), Projection, fuse_join, fuse_maps, subset_head, lidar_grid)


def _numpy(reason: str) -> _Table:
    backend = Backend("numpy", "numpy", reason)
    joins, maps, subsets = reference_joins.fuse_join, reference_maps.fuse_maps, reference_subsets.subset_head
    return _Table(backend, reference.prepared, joins, maps, subsets, reference.lidar_grid)


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


def _explain(refusal: Exception, check: Callable[[], None]) -> NoReturn:
    """Raise what the shared checks say, so that both backends refuse in the same words and a good call pays nothing."""
    try:
        check()
    except (TypeError, ValueError) as told:
        raise ValueError(str(told)) from None
    raise ValueError(str(refusal)) from refusal
