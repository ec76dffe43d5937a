"""Fusion that runs as graphs in ONNX Runtime: one graph of all streams, or a gate that picks one of several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from edgefuse.bundle import Bundle
from edgefuse.errors import BundleError
from edgefuse.fusion_base import Fusion
from edgefuse.reference import ABSENT, PRESENT, SUBSTITUTED
from edgefuse.session import Port, Session
from edgefuse.types import F32, U8, Array


class _Inputs:
    """What the graphs read: the embedding of each stream, its stand-in, or zeros; never what an absent one left."""

    def __init__(self, bundle: Bundle) -> None:
        manifest = bundle.manifest
        self._specs, self.grid = manifest.streams, manifest.fusion.grid or ()
        shapes = [(1, spec.embedding_dim, *self.grid) for spec in self._specs]
        self.values = [np.zeros(shape, dtype=np.float32) for shape in shapes]
        self.embeddings: Sequence[F32] = [np.zeros(int(np.prod(shape)), dtype=np.float32) for shape in shapes]
        self.stand_ins: Sequence[F32] = [np.zeros(spec.embedding_dim, dtype=np.float32) for spec in self._specs]
        self.present = np.zeros((1, len(self._specs)), dtype=np.bool_)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in self._specs)

    def fill(self, select: U8) -> None:
        """Bring the streams into the graphs' inputs as the mask says; a graph sees an absent one as zeros."""
        for i, value in enumerate(self.values):
            if select[i] == PRESENT:
                value.reshape(-1)[:] = self.embeddings[i]
            else:
                value[...] = 0
            if select[i] == SUBSTITUTED:
                value[...] = self.stand_ins[i].reshape(1, -1, *(1 for _ in self.grid))
            self.present[0, i] = select[i] != ABSENT

    def of(self, streams: Iterable[str]) -> dict[str, Array]:
        return {name: value for name, value in zip(self.names, self.values, strict=True) if name in set(streams)}


def open_graph(bundle: Bundle, file: str, inputs: Mapping[str, Array], output: str, out: F32) -> Session:
    """A graph of the bundle bound to its buffers; a BundleError naming the port that does not fit."""
    session = Session(bundle[file], bundle.place(file))
    session.expect({name: _port(array) for name, array in inputs.items()}, {output: _port(out.reshape(1, -1))})
    session.bind(inputs, {output: out.reshape(1, -1)})
    return session


class GraphFusion(Fusion):
    """The operator as one graph `fusion.onnx`: inputs by stream name and `present`, output `fused`."""

    def __init__(self, bundle: Bundle) -> None:
        manifest = bundle.manifest
        self._inputs = _Inputs(bundle)
        self.embeddings, self.stand_ins = self._inputs.embeddings, self._inputs.stand_ins
        self.select = np.zeros(len(manifest.streams), dtype=np.uint8)
        self.fused = np.zeros(manifest.fused_width, dtype=np.float32)
        ports = {**self._inputs.of(self._inputs.names), "present": self._inputs.present}
        self._session = open_graph(bundle, manifest.fusion.file, ports, "fused", self.fused)

    def run(self) -> None:
        self._inputs.fill(self.select)
        self._session.run()


class RoutedFusion(Fusion):
    """Dynamic routing, Xue and Marculescu 2023, arXiv 2204.00102: a gate picks the expert, and only its streams count.

    The gate reads the embeddings of its own streams and `present`. A branch is feasible where all its streams stand;
    the feasible one with the largest score answers, the first of equals. Where none is, one expert for the rest does.
    """

    wants_all = False

    def __init__(self, bundle: Bundle) -> None:
        manifest = bundle.manifest
        routes = manifest.fusion.routes
        if routes is None:
            raise BundleError("operator 'dynamic' needs routes", place=bundle.place("manifest.json: fusion"))
        names = manifest.stream_names
        self._inputs = _Inputs(bundle)
        self.embeddings, self.stand_ins = self._inputs.embeddings, self._inputs.stand_ins
        self.select = np.zeros(len(names), dtype=np.uint8)
        self.fused = np.zeros(manifest.fused_width, dtype=np.float32)
        self._gate_streams = [names.index(name) for name in routes.gate_streams]
        self._branches = [[names.index(name) for name in branch.streams] for branch in routes.branches]
        self._scores: F32 = np.zeros(len(self._branches), dtype=np.float32)
        present = {"present": self._inputs.present}
        gate = self._inputs.of(routes.gate_streams) | present
        self._gate = open_graph(bundle, routes.gate, gate, "scores", self._scores)
        self._experts = [
            open_graph(bundle, b.file, self._inputs.of(b.streams), "fused", self.fused) for b in routes.branches
        ]
        everything = self._inputs.of(names) | present
        self._rest = open_graph(bundle, manifest.fusion.file, everything, "fused", self.fused)
        self._branch: int | None = None

    def wanted(self, standing: Callable[[], U8]) -> Iterable[int]:
        """The gate's streams first; once they are encoded, those of the branch that it picks, till one stands."""
        self._branch = None
        asked = list(self._gate_streams)
        yield from asked
        while True:
            self._branch = self._pick(standing())
            chosen = range(len(self.embeddings)) if self._branch is None else self._branches[self._branch]
            missing = [i for i in chosen if i not in asked]
            yield from missing
            asked += missing
            # What turned out to be unusable makes its branches infeasible, so that this ends.
            if self._branch is None or self._stands(standing(), chosen):
                return

    def _pick(self, select: U8) -> int | None:
        feasible = [k for k, streams in enumerate(self._branches) if self._stands(select, streams)]
        if len(feasible) < 2:
            return feasible[0] if feasible else None
        self._inputs.fill(select)
        try:
            self._gate.run()
        except BundleError:
            return None  # a gate that cannot compute anything from a sample picks nothing: the rest answers
        return max(feasible, key=lambda k: (self._scores[k], -k))

    def run(self) -> None:
        self._inputs.fill(self.select)
        branch = self._branch
        whole = branch is not None and self._stands(self.select, self._branches[branch])
        (self._experts[branch] if whole and branch is not None else self._rest).run()

    def each(self, selects: U8, before: Callable[[U8], None] | None = None) -> F32:
        """As of `Fusion`; each mask is routed by itself, among what was encoded."""
        taken = self._branch

        def route(mask: U8) -> None:
            if before is not None:
                before(mask)
            self._branch = self._pick(mask)

        fused = super().each(selects, route)
        self._branch = taken
        return fused

    @staticmethod
    def _stands(select: U8, streams: Iterable[int]) -> bool:
        """Are all of them there themselves? A stand-in makes no branch feasible: the others would not be heard."""
        return all(select[i] == PRESENT for i in streams)


def _port(array: Array) -> Port:
    return Port(array.dtype.name, array.shape)
