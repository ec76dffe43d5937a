"""Fuse: the present embeddings joined by the model's operator; absent streams cost nothing and are never read."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from edgefuse import buffers, kernels, reference
from edgefuse.algebra import Absent
from edgefuse.bundle import Bundle
from edgefuse.errors import ConfigError
from edgefuse.fusion_base import Fusion
from edgefuse.fusion_layout import Layout, flat, halved, pack, starts, unpack
from edgefuse.graph_fusion import GraphFusion, RoutedFusion
from edgefuse.joins import GATES, Join
from edgefuse.operators import OPERATORS
from edgefuse.reference import ABSENT, PRESENT, SUBSTITUTED, Reduce
from edgefuse.types import F32, U8


def fusion_of(bundle: Bundle, half: bool = False, config_place: str = "configuration") -> Fusion:
    """The fusion that a bundle asks for; a BundleError naming the file that does not fit.

    half: hold the weights of a kernel as float16, as those that are stored so always are. ConfigError where they do not
    fit into it, or where there are none.
    """
    spec = bundle.manifest.fusion
    kernel = OPERATORS[spec.operator].backend == "kernel"
    if half and (not kernel or spec.grid is not None):
        raise ConfigError("the fusion of this bundle has no kernel weights", place=f"{config_place}: fusion_weights")
    if kernel:
        halves = half or spec.stored == "float16"
        return MapFusion(bundle) if spec.grid is not None else KernelFusion(bundle, halves, config_place)
    return RoutedFusion(bundle) if spec.routes is not None else GraphFusion(bundle)


class KernelFusion(Fusion):
    """An operator run by our kernels: one projection of every stream, folded on the way or joined after."""

    def __init__(self, bundle: Bundle, half: bool, config_place: str) -> None:
        spec, dims = bundle.manifest.fusion, bundle.manifest.embedding_dims
        self._operator, self._dim, self._rank = OPERATORS[spec.operator], spec.dim, spec.rank
        size = (spec.dim, spec.rank)
        columns, width = self._operator.columns(len(dims), *size), self._operator.width(len(dims), *size)
        parameters = unpack(bundle, spec.file, self._operator.parameters(dims, *size))
        self._theta = flat([parameters.pop(name) for name in self._operator.theta(len(dims), *size)])
        weights = flat(list(parameters.values()))
        self._weights = buffers.placed(halved(weights, config_place)) if half else buffers.placed(weights)
        self._biases = [parameters[f"{name}.bias"] for name in dims]
        self._dims = np.array(list(dims.values()), dtype=np.int64)
        self._weight_offsets = starts([(d + 1) * columns for d in dims.values()])
        self._packed, self._offsets, self.embeddings = pack(list(dims.values()))
        self._allot(len(dims), columns, width)
        self._project = self._prepared()
        joins = self._operator.join != Join.NONE
        self._project_rows = self._project if joins else self._prepared(rows_alone=True)

    def _allot(self, streams: int, columns: int, width: int) -> None:
        self.select, self._taken = np.zeros(streams, dtype=np.uint8), np.zeros(streams, dtype=np.uint8)
        self._substitutes = np.zeros((streams, columns), dtype=np.float32)
        self.stand_ins = list(self._substitutes)
        self._rows = np.zeros((streams, columns), dtype=np.float32)
        self._bits = np.uint16(1) << np.arange(streams, dtype=np.uint16)
        self.fused = np.zeros(width, dtype=np.float32)

    @property
    def layout(self) -> Layout | None:
        """None where rows are joined by no gate, or biases are taken for what is absent."""
        operator = self._operator
        if operator.join not in (Join.NONE, *GATES) or operator.absent == Absent.ZERO_INPUT:
            return None
        offsets, dims, ends = (own.tolist() for own in (self._offsets, self._dims, self._weight_offsets))
        theta = None if operator.join == Join.NONE else self._theta
        own = (self._packed, offsets, dims, self._weights, ends, self._substitutes)
        return Layout(operator, *own, theta=theta, dim=self._dim)

    def run(self) -> None:
        self._taken[:] = self.select
        if self._operator.absent == Absent.ZERO_INPUT:
            self._take_biases()
        self._project()
        if self._operator.join != Join.NONE:
            kernels.fuse_join(
                self._operator.join, self._rows, self._taken, self._theta, self._dim, self._rank, self.fused
            )

    def rows(self) -> Sequence[F32]:
        """Projected and activated."""
        self._taken[:] = PRESENT
        self._project_rows()
        return list(self._rows.copy())

    def each(self, selects: U8, before: Callable[[U8], None] | None = None) -> F32:
        """As of `Fusion`; every stream is projected once, however many masks there are."""
        if len(selects) == 0:
            return np.zeros((0, len(self.fused)), np.float32)
        self._taken[:] = np.where((selects == PRESENT).any(0), PRESENT, ABSENT)
        self._project_rows()
        if self._operator.join == Join.NONE and before is None:
            return self._folded(self._rows, selects)
        rows, out = self._rows.copy(), np.empty((len(selects), len(self.fused)), np.float32)
        for fused, mask in zip(out, selects, strict=True):
            if before is not None:
                before(mask)
            fused[:] = self._joined(rows, mask)
        return out

    def through(self, selects: U8, weight: F32, bias: F32) -> Callable[[], F32] | None:
        """As of `Fusion`; not with stand-ins, nor where rows are joined after."""
        operator, streams = self._operator, selects.shape[1]
        if operator.join != Join.NONE or len(selects) == 0 or selects.max() > PRESENT:
            return None
        fused = self.fused[: streams * self._dim].reshape(streams, -1) if operator.concat else None
        masks, out = selects @ self._bits, np.empty((len(selects), len(bias)), np.float32)

        def run() -> F32:
            rows = self._rows if fused is None else fused  # what is joined side by side lies there already
            if fused is None:
                self._taken[:] = self.select
                self._project_rows()
            kernels.subset_head(rows, masks, operator.concat, operator.reduce, weight, bias, out)
            return out

        return run

    def _folded(self, rows: F32, selects: U8) -> F32:
        """[M, W] by one fold over rows [N, D] that are projected and activated."""
        stood = selects == SUBSTITUTED
        stands = np.where(stood[:, :, None], self._substitutes, rows) if stood.any() else rows[None]
        return reference.fold_each(stands, selects != ABSENT, self._operator.reduce, self._operator.concat)

    def _joined(self, rows: F32, mask: U8) -> F32:
        self._taken[:] = mask
        if self._operator.join == Join.NONE:
            folded: F32 = self._folded(rows, mask[None])[0]
            return folded
        if self._operator.absent == Absent.ZERO_INPUT:
            self._take_biases()
        stood = self._taken == SUBSTITUTED
        self._rows[:] = np.where(stood[:, None], self._substitutes, rows)
        size = (self._dim, self._rank)
        kernels.fuse_join(self._operator.join, self._rows, self._taken, self._theta, *size, self.fused)
        return self.fused.copy()

    def _take_biases(self) -> None:
        for i in np.flatnonzero(self._taken == ABSENT):
            self._substitutes[i] = self._biases[i]
            self._taken[i] = SUBSTITUTED

    def _prepared(self, rows_alone: bool = False) -> Callable[[], None]:
        """The projection into `fused`, or into the rows: where they are joined after, or asked for alone."""
        joins = rows_alone or self._operator.join != Join.NONE
        return kernels.prepared_project(
            self._packed,
            self._dims,
            self._offsets,
            self._weights,
            self._weight_offsets,
            self._substitutes,
            self._taken,
            self._operator.activation,
            Reduce.NONE if joins else self._operator.reduce,
            joins or self._operator.concat,
            self._rows.reshape(-1) if joins else self.fused,
        )


class MapFusion(Fusion):
    """An operator over feature maps [dim, H, W]. They arrive projected: the 1x1 projection is part of the encoders."""

    def __init__(self, bundle: Bundle) -> None:
        spec, n = bundle.manifest.fusion, len(bundle.manifest.streams)
        unpack(bundle, spec.file, {})  # nothing: a weight here would be one that no one applies
        self._operator, self._cells = OPERATORS[spec.operator], math.prod(spec.grid or ())
        self._packed, self._offsets, self.embeddings = pack([spec.dim * self._cells] * n)
        self.select = np.zeros(n, dtype=np.uint8)
        self._substitutes = np.zeros((n, spec.dim), dtype=np.float32)
        self.stand_ins = list(self._substitutes)
        self.fused = buffers.zeros(math.prod(bundle.manifest.fused_shape), np.float32)

    @property
    def layout(self) -> Layout | None:
        sizes = [len(own) for own in self.embeddings]
        offsets = self._offsets.tolist()
        return Layout(self._operator, self._packed, offsets, sizes, None, [], self._substitutes, self._cells)

    def run(self) -> None:
        kernels.fuse_maps(
            self._packed,
            self._offsets,
            self._substitutes,
            self.select,
            self._cells,
            self._operator.activation,
            self._operator.reduce,
            self._operator.concat,
            self.fused,
        )
