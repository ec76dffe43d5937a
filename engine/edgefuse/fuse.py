"""Fuse: the present embeddings joined by the model's operator, in one kernel; absent streams cost nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgefuse import kernels
from edgefuse.bundle import Bundle
from edgefuse.errors import BundleError
from edgefuse.operators import OPERATORS
from edgefuse.reference import Activation
from edgefuse.types import F32, U8

_ALIGN = 16  # float32 values: every embedding begins on a cache line of its own


class Fusion:
    """The operator of a bundle with its weights and its buffers.

    embeddings   one float32 [d_i] view a stream, where the encoders write
    select       uint8 [N], the presence mask; substitutes: float32 [N, dim], read where select is 2
    fused        float32 [width], what `run` computes and the head reads
    """

    def __init__(self, bundle: Bundle) -> None:
        spec, streams = bundle.manifest.fusion, bundle.manifest.streams
        self._operator = OPERATORS[spec.operator]
        self._activation = Activation[spec.activation.upper()]
        dims = {stream.name: stream.embedding_dim for stream in streams}
        shapes = self._operator.parameters(dims, spec.dim)
        parameters = _unpack(bundle, spec.file, shapes)
        self._weights = np.concatenate(
            [parameters[name].reshape(-1) for name in shapes if not name.startswith("gate.")]
        )
        self._dims = np.array(list(dims.values()), dtype=np.int64)
        self._weight_offsets = _starts([(d + 1) * spec.dim for d in dims.values()])
        self._offsets = _starts([-(-d // _ALIGN) * _ALIGN for d in dims.values()])
        self._packed = _aligned_zeros(int(self._offsets[-1] + self._dims[-1]))
        self.embeddings = [self._packed[o : o + d] for o, d in zip(self._offsets, self._dims, strict=True)]
        self.select: U8 = np.zeros(len(dims), dtype=np.uint8)
        self.substitutes: F32 = np.zeros((len(dims), spec.dim), dtype=np.float32)
        self.fused: F32 = np.zeros(self._operator.width(len(dims), spec.dim), dtype=np.float32)
        if self._operator.gate:
            self._gate = parameters["gate.weight"], parameters["gate.bias"]
            self._projected = np.zeros((len(dims), spec.dim), dtype=np.float32)
            self.alpha: F32 = np.zeros(len(dims), dtype=np.float32)

    def run(self) -> None:
        """Compute `fused` from the embeddings, the mask and the substitutes as they stand now."""
        if not self._operator.gate:
            self._project(self._operator.concat, self.fused)
            return
        self._project(True, self._projected.reshape(-1))
        kernels.fuse_gate(self._projected, self.select, *self._gate, self.fused, self.alpha)

    def _project(self, concat: bool, out: F32) -> None:
        kernels.fuse_project(
            self._packed,
            self._dims,
            self._offsets,
            self._weights,
            self._weight_offsets,
            self.substitutes,
            self.select,
            self._activation,
            self._operator.reduce,
            concat,
            out,
        )


def _unpack(bundle: Bundle, file: str, shapes: dict[str, tuple[int, ...]]) -> dict[str, F32]:
    sizes = [int(np.prod(shape)) for shape in shapes.values()]
    data, place = bundle[file], bundle.place(file)
    if len(data) != 4 * sum(sizes):
        raise BundleError(f"has {len(data)} bytes, the operator needs {4 * sum(sizes)}", place=place)
    values = np.frombuffer(data, dtype="<f4").astype(np.float32)
    parts = np.split(values, np.cumsum(sizes)[:-1])
    for name, part in zip(shapes, parts, strict=True):
        if not np.isfinite(part).all():
            raise BundleError(f"parameter {name} holds non-finite values", place=place)
    return {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def _starts(sizes: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)


def _aligned_zeros(size: int) -> F32:
    raw = np.zeros(size + _ALIGN, dtype=np.float32)
    skip = (-raw.ctypes.data // 4) % _ALIGN
    return raw[skip : skip + size]
