"""Fusion layout: the weights of a bundle's fusion, and embeddings, as kernels take them: checked, packed, or halved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from edgefuse import buffers
from edgefuse.algebra import Operator
from edgefuse.arguments import I64
from edgefuse.bundle import Bundle
from edgefuse.errors import BundleError, ConfigError
from edgefuse.types import F16, F32

LINE = buffers.LINE // 4  # float32 values: every embedding begins on a cache line of its own


class Layout(Struct, frozen=True):
    """What a kernel of ours is given to fuse a model, as numbers and arrays of the host.

    packed, offsets           all embeddings in one float32 buffer, and where each begins
    dims                      length of each embedding; of maps [width, cells] each
    weights, weight_offsets   of the projections, and where each begins; none of maps, which arrive projected
    substitutes               float32 [N, width]
    theta, dim                parameters of the gate that joins the projections, and the length of what it gives
    """

    operator: Operator
    packed: F32
    offsets: list[int]
    dims: list[int]
    weights: F32 | F16 | None
    weight_offsets: list[int]
    substitutes: F32
    cells: int = 1
    theta: F32 | None = None
    dim: int = 0


def halved(weights: F32, place: str) -> F16:
    """Weights as float16; a ConfigError where they do not fit into it."""
    with np.errstate(over="ignore"):
        halves = weights.astype(np.float16)
    if not np.isfinite(halves).all():
        largest = float(np.abs(weights).max())
        raise ConfigError(f"float16 cannot hold weight {largest:g} of this bundle", place=f"{place}: fusion_weights")
    return halves


def unpack(bundle: Bundle, file: str, shapes: dict[str, tuple[int, ...]]) -> dict[str, F32]:
    """The parameters that a file holds, by name, as float32; a BundleError where it holds others."""
    sizes = [int(np.prod(shape)) for shape in shapes.values()]
    data, place = bundle[file], bundle.place(file)
    dtype = np.dtype("<f2" if bundle.manifest.fusion.stored == "float16" else "<f4")
    if len(data) != dtype.itemsize * sum(sizes):
        raise BundleError(f"has {len(data)} bytes, the operator needs {dtype.itemsize * sum(sizes)}", place=place)
    values = np.frombuffer(data, dtype).astype(np.float32)
    parts = np.split(values, np.cumsum(sizes)[:-1]) if sizes else []
    for name, part in zip(shapes, parts, strict=True):
        if not np.isfinite(part).all():
            raise BundleError(f"parameter {name} holds non-finite values", place=place)
    return {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def flat(arrays: Sequence[F32]) -> F32:
    """One after the other."""
    return np.concatenate([np.zeros(0, np.float32), *(array.reshape(-1) for array in arrays)])


def pack(sizes: Sequence[int]) -> tuple[F32, I64, list[F32]]:
    """One buffer for all embeddings, where each begins, and a view of each."""
    offsets = starts([-(-size // LINE) * LINE for size in sizes])
    packed = buffers.zeros(int(offsets[-1]) + sizes[-1], np.float32)
    return packed, offsets, [packed[o : o + size] for o, size in zip(offsets, sizes, strict=True)]


def starts(sizes: Sequence[int]) -> I64:
    """Where each of them begins, one after the other."""
    return np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
