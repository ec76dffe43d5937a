"""Head: from the fused vector to the outputs, and the learned prior for when nothing is left to fuse."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property

import numpy as np
from msgspec import Struct

from edgefuse import buffers
from edgefuse.bundle import Bundle
from edgefuse.calibration import NONE, Calibration
from edgefuse.manifest import OutputSpec
from edgefuse.reference import PRESENT
from edgefuse.session import Port, Session
from edgefuse.types import F32, F64, U8, Array

_STEP = np.float32(1024.0)  # along each axis that a linear head is asked at: its constant rounds off little then


class Affine(Struct, frozen=True):
    """A linear head as numbers: outputs, side by side, = fused @ weight + bias; weight float32 [W, K], bias [K]."""

    weight: F32
    bias: F32


class Head:
    """The head network, bound to the fused vector that it reads, and to the mask where it reads presence bits."""

    def __init__(self, bundle: Bundle, fused: F32, select: U8) -> None:
        shape = (1, *bundle.manifest.head_shape)
        spec = bundle.manifest.head
        self._bits = (fused, select, buffers.zeros(math.prod(shape), np.float32)) if spec.presence_bits else None
        self.read = fused if self._bits is None else self._bits[2]
        self._specs = spec.outputs
        self._buffers = {out.name: np.zeros((1, len(out.prior)), dtype=np.float32) for out in spec.outputs}
        ends = np.cumsum([len(out.prior) for out in spec.outputs]).tolist()
        self._columns = dict(zip(self._buffers, map(slice, [0, *ends], ends), strict=True))
        self._session = Session(bundle[spec.file], bundle.place(spec.file), one_thread=True)
        ports = {name: Port("float32", buffer.shape) for name, buffer in self._buffers.items()}
        self._shape, self._free = shape[1:], _free(self._session)
        self._linear = spec.linear and self._free and self._bits is None and len(self._shape) == 1
        self._session.expect({"fused": Port("float32", shape)}, ports)
        self._session.bind({"fused": self.read.reshape(shape)}, self._buffers)

    def run(self) -> None:
        """Compute the outputs from the fused vector, and the mask, as they stand."""
        if self._bits is not None:
            fused, select, read = self._bits
            read[: len(fused)] = fused
            read[len(fused) :] = select == PRESENT
        self._session.run()

    def answers(self, fused: F32, selects: U8) -> dict[str, F32]:
        """The outputs of many fused vectors float32 [M, W], each behind its mask uint8 [M, N]: name -> [M, K].

        At once where the graph's batch is free, else one by one.
        """
        rows = fused if self._bits is None else np.hstack([fused, (selects == PRESENT).astype(np.float32)])
        rows = rows.reshape(-1, *self._shape)
        if self._free or len(rows) == 0:
            return self._session.compute({"fused": rows}) if len(rows) else self._none()
        one_by_one = [self._session.compute({"fused": row[None]}) for row in rows]
        return {name: np.concatenate([answer[name] for answer in one_by_one]) for name in self._buffers}

    @cached_property
    def affine(self) -> Affine | None:
        """The head as numbers, where it is declared linear and can be asked for them, and nothing but them shows."""
        if not self._linear:
            return None
        width = self._shape[0]
        probe = np.sin(np.arange(width, dtype=np.float32))
        asked = np.vstack([np.zeros((1, width), np.float32), _STEP * np.eye(width, dtype=np.float32), [probe]])
        given = self._session.compute({"fused": asked})
        told = np.hstack([given[name] for name in self._buffers])
        bias, weight = told[0].copy(), np.ascontiguousarray((told[1:-1] - told[0]) / _STEP)
        if not np.allclose(probe @ weight + bias, told[-1], rtol=1e-4, atol=1e-4):
            return None
        return Affine(weight, bias)

    def _none(self) -> dict[str, F32]:
        return {name: np.zeros((0, buffer.shape[1]), np.float32) for name, buffer in self._buffers.items()}

    def outputs(self) -> dict[str, F32]:
        """What the last `run` gave: name -> float32 [K], a copy."""
        return {name: buffer[0].copy() for name, buffer in self._buffers.items()}

    def apart(self, values: F32) -> dict[str, F32]:
        """What lies side by side, float32 [..., all K], by output."""
        return {name: values[..., own] for name, own in self._columns.items()}

    def prior(self) -> dict[str, F32]:
        """The model's answer to nothing at all: name -> float32 [K]."""
        return {spec.name: np.asarray(spec.prior, dtype=np.float32) for spec in self._specs}

    def scores(self, outputs: Mapping[str, F32], calibration: Calibration) -> dict[str, F64]:
        """The calibrated logits of every output that is class logits: name -> float64 [K]."""
        logits = (spec.name for spec in self._specs if spec.kind == "class_logits")
        own = {n: calibration if calibration.output in (None, n) else NONE for n in logits}
        return {name: calibrated.scores(outputs[name]) for name, calibrated in own.items()}

    def labels(self, outputs: Mapping[str, Array], *, blind: bool = False) -> dict[str, str]:
        """The most likely class, or nearest entry, of every output with labels; the first where several are equal.

        outputs: with `scores` in the place of class logits. blind: they are the prior, which knows a likeliest class
        but no nearest entry.
        """
        labelled = (spec for spec in self._specs if spec.labels and not (blind and spec.kind == "similarity"))
        return {spec.name: spec.labels[int(np.argmax(outputs[spec.name]))] for spec in labelled}

    def matches(self, outputs: Mapping[str, F32], *, blind: bool = False) -> dict[str, list[tuple[str, float]]]:
        """The `top_k` nearest entries of every output that is similarities, the nearest first; none where blind."""
        similar = (spec for spec in self._specs if spec.kind == "similarity")
        return {spec.name: [] if blind else _nearest(spec, outputs[spec.name]) for spec in similar}


def _free(session: Session) -> bool:
    """Does the graph take any number of rows at once?"""
    return "fused" in session.inputs and session.inputs["fused"].shape[:1] == (None,)


def _nearest(spec: OutputSpec, scores: F32) -> list[tuple[str, float]]:
    best = np.argsort(-scores, kind="stable")[: spec.top_k]
    return [(spec.labels[i], float(scores[i])) for i in best]
