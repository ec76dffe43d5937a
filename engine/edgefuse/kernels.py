"""The gateway to the kernels and the only importer of `_kernels`: picks C++ or NumPy once and keeps the reason."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, Protocol

from edgefuse import arguments, reference
from edgefuse.arguments import I64
from edgefuse.errors import ConfigError
from edgefuse.types import F32, U8

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


class _Project(Protocol):
    def __call__(
        self,
        x: F32,
        dims: I64,
        offsets: I64,
        weights: F32,
        weight_offsets: I64,
        substitutes: F32,
        select: U8,
        activation: int,
        reduce: int,
        concat: bool,
        out: F32,
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class _Table:
    backend: Backend
    project: _Project
    gate: Callable[[F32, U8, F32, F32, F32, F32], None]
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
    from edgefuse._kernels import fuse_gate, fuse_project, isa, isas, lidar_grid

    pinned = os.environ.get("EDGEFUSE_ISA")
    why = f"EDGEFUSE_ISA={pinned}" if pinned else f"the widest of {', '.join(isas())} that this machine runs"
    return _Table(Backend("c++", isa(), why), fuse_project, fuse_gate, lidar_grid)


def _numpy(reason: str) -> _Table:
    backend = Backend("numpy", "numpy", reason)
    return _Table(backend, reference.fuse_project, reference.fuse_gate, reference.lidar_grid)


def backend() -> Backend:
    """Tell which kernels run and why; raises ConfigError where EDGEFUSE_KERNELS asks for what there is not."""
    return _table().backend


def fuse_project(
    x: F32,
    dims: I64,
    offsets: I64,
    weights: F32,
    weight_offsets: I64,
    substitutes: F32,
    select: U8,
    activation: int,
    reduce: int,
    concat: bool,
    out: F32,
) -> None:
    """Project N embeddings to one width and join them; see `reference.fuse_project`."""
    given = (x, dims, offsets, weights, weight_offsets, substitutes, select, activation, reduce, concat, out)
    try:
        _table().project(*given)
    except (TypeError, ValueError) as refusal:
        _explain(refusal, lambda: arguments.project(*given))


def fuse_gate(h: F32, select: U8, gate_weight: F32, gate_bias: F32, out: F32, alpha: F32) -> None:
    """Weigh the selected rows of h by a softmax over their logits; see `reference.fuse_gate`."""
    try:
        _table().gate(h, select, gate_weight, gate_bias, out, alpha)
    except (TypeError, ValueError) as refusal:
        _explain(refusal, lambda: arguments.gate(h, select, gate_weight, gate_bias, out, alpha))


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
