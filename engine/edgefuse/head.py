"""Head: from the fused vector to the outputs, and the learned prior for when nothing is left to fuse."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgefuse.bundle import Bundle
from edgefuse.manifest import OutputSpec
from edgefuse.session import Port, Session
from edgefuse.types import F32


class Head:
    """The head network, bound to the fused vector that it reads."""

    def __init__(self, bundle: Bundle, fused: F32) -> None:
        shape = (1, *bundle.manifest.fused_shape)
        spec = bundle.manifest.head
        self._specs = spec.outputs
        self._buffers = {out.name: np.zeros((1, len(out.prior)), dtype=np.float32) for out in spec.outputs}
        self._session = Session(bundle[spec.file], bundle.place(spec.file))
        ports = {name: Port("float32", buffer.shape) for name, buffer in self._buffers.items()}
        self._session.expect({"fused": Port("float32", shape)}, ports)
        self._session.bind({"fused": fused.reshape(shape)}, self._buffers)

    def run(self) -> None:
        """Compute the outputs from the fused vector as it stands."""
        self._session.run()

    def outputs(self) -> dict[str, F32]:
        """What the last `run` gave: name -> float32 [K], a copy."""
        return {name: buffer[0].copy() for name, buffer in self._buffers.items()}

    def prior(self) -> dict[str, F32]:
        """The model's answer to nothing at all: name -> float32 [K]."""
        return {spec.name: np.asarray(spec.prior, dtype=np.float32) for spec in self._specs}

    def labels(self, outputs: Mapping[str, F32], *, blind: bool = False) -> dict[str, str]:
        """The most likely class, or nearest entry, of every output with labels; the first where several are equal.

        blind: the outputs are the prior, which knows a likeliest class but no nearest entry.
        """
        labelled = (spec for spec in self._specs if spec.labels and not (blind and spec.kind == "similarity"))
        return {spec.name: spec.labels[int(np.argmax(outputs[spec.name]))] for spec in labelled}

    def matches(self, outputs: Mapping[str, F32], *, blind: bool = False) -> dict[str, list[tuple[str, float]]]:
        """The `top_k` nearest entries of every output that is similarities, the nearest first; none where blind."""
        similar = (spec for spec in self._specs if spec.kind == "similarity")
        return {spec.name: [] if blind else _nearest(spec, outputs[spec.name]) for spec in similar}


def _nearest(spec: OutputSpec, scores: F32) -> list[tuple[str, float]]:
    best = np.argsort(-scores, kind="stable")[: spec.top_k]
    return [(spec.labels[i], float(scores[i])) for i in best]
