"""Impute: what stands in for absent streams, told from the embeddings of those present by a linear map a pattern.

The least-squares (LMMSE) estimate of an absent stream given the present ones. Formula: stand-in = [e_P, 1] L_P, L_P the
ridge solution on training samples, or a product of two thin matrices of it. Which streams are present is a pattern P;
each has its own map, which gives all absent streams at once.

Where operator and head are linear, the map goes on to the outputs: what stands in for a stream is then what it adds to
them, and neither the stand-in nor its part of the head is ever computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from msgspec import Struct

from edgefuse.bundle import Bundle
from edgefuse.errors import BundleError
from edgefuse.manifest import Manifest
from edgefuse.reference import PRESENT
from edgefuse.types import F32, U8

Pattern = tuple[bool, ...]


class Shape(Struct, frozen=True):
    """Of one pattern's map: from `inputs` values (and a 1) to `outputs`, through `rank` where it is thin."""

    pattern: Pattern
    inputs: int
    outputs: int
    rank: int | None

    @property
    def parts(self) -> list[tuple[int, int]]:
        """Shapes of the matrices whose product it is, in the order of the file."""
        if self.rank is None:
            return [(self.inputs + 1, self.outputs)]
        r = min(self.rank, self.inputs + 1, self.outputs)
        return [(self.inputs + 1, r), (r, self.outputs)]


def shapes(dims: Sequence[int], stand_ins: Sequence[int], rank: int | None) -> Iterator[Shape]:
    """Of every pattern with both present and absent streams, in the file's order: bit i of 1, 2, ... is stream i."""
    n = len(dims)
    for bits in range(1, (1 << n) - 1):
        pattern = tuple(bool(bits >> i & 1) for i in range(n))
        inputs = sum(d for d, on in zip(dims, pattern, strict=True) if on)
        outputs = sum(w for w, on in zip(stand_ins, pattern, strict=True) if not on)
        yield Shape(pattern, inputs, outputs, rank)


class Imputer:
    """The maps of a bundle."""

    def __init__(self, maps: Mapping[Pattern, Sequence[F32]], stand_ins: Sequence[int]) -> None:
        self.maps, self._sizes = dict(maps), list(stand_ins)

    @property
    def widest(self) -> int:
        """Length of the longest thing that is told of a stream."""
        return max(self._sizes)

    @classmethod
    def of(cls, bundle: Bundle) -> Imputer | None:
        """Read the maps; None where there are none. A BundleError when the file has another size or is not finite."""
        spec = bundle.manifest.fallback.impute
        if spec is None:
            return None
        found = shapes(_dims(bundle.manifest), bundle.manifest.imputed, spec.rank)
        parts = [(shape.pattern, part) for shape in found for part in shape.parts]
        values = _floats(bundle, spec.file, sum(rows * columns for _, (rows, columns) in parts))
        maps: dict[Pattern, list[F32]] = {}
        begin = 0
        for pattern, (rows, columns) in parts:
            maps.setdefault(pattern, []).append(values[begin : begin + rows * columns].reshape(rows, columns))
            begin += rows * columns
        return cls(maps, bundle.manifest.imputed)

    def fill(self, select: U8, rungs: Sequence[bool], embeddings: Sequence[F32], out: Sequence[F32]) -> None:
        """Put the stand-in of each stream i with rungs[i] into out[i], told from those that select says are present."""
        pattern = tuple(bool(on) for on in select == PRESENT)
        if pattern not in self.maps:
            return  # nothing is absent, or nothing is there to tell it from
        told = np.concatenate([*(e for e, on in zip(embeddings, pattern, strict=True) if on), np.ones(1, np.float32)])
        for part in self.maps[pattern]:
            told = told @ part
        absent = [i for i, on in enumerate(pattern) if not on]
        ends = np.cumsum([self._sizes[i] for i in absent])
        for i, values in zip(absent, np.split(told, ends[:-1]), strict=True):
            if rungs[i]:
                out[i][:] = values


def _dims(manifest: Manifest) -> list[int]:
    return list(manifest.embedding_dims.values())


def _floats(bundle: Bundle, file: str, size: int) -> F32:
    data, place = bundle[file], bundle.place(file)
    if len(data) != 4 * size:
        raise BundleError(f"has {len(data)} bytes, the maps of every pattern are {4 * size}", place=place)
    values = np.frombuffer(data, dtype="<f4").astype(np.float32)
    if not np.isfinite(values).all():
        raise BundleError("holds non-finite values", place=place)
    return values
