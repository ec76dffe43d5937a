"""Encode: preprocess a sample and run its encoder, once per sample; the embedding stays until the next one."""

from __future__ import annotations

import contextlib

import numpy as np

from edgefuse import kernels
from edgefuse.bundle import Bundle
from edgefuse.errors import BundleError
from edgefuse.plan import StreamPlan
from edgefuse.session import Port, Session
from edgefuse.types import F32, Array, Reason, Sample


class Encoder:
    """The encoder of one stream. It writes into `embedding`, a flat float32 buffer [size]."""

    def __init__(self, bundle: Bundle, plan: StreamPlan, embedding: F32) -> None:
        self.embedding = embedding
        self.problem: Reason | None = None
        self._plan = plan
        self._tensor = np.zeros((1, *plan.tensor_shape), dtype=plan.tensor_dtype)
        self._prepared: Sample | None = None  # in the input buffer
        self._encoded: Sample | None = None  # in the embedding
        self._session = Session(bundle[plan.encoder], bundle.place(plan.encoder), one_thread=plan.small)
        self._session.expect(
            {"input": Port(plan.tensor_dtype, self._tensor.shape)},
            {"embedding": Port("float32", (1, *plan.embedding_shape))},
        )
        self._session.bind({"input": self._tensor}, {"embedding": embedding.reshape(1, *plan.embedding_shape)})
        with contextlib.suppress(BundleError):  # the first run is slow by nature; it is not a tick's to wait for
            self._session.warm_up()
            self.embedding.fill(0.0)

    def holds(self, sample: Sample) -> bool:
        """Is the embedding in the buffer the one of this very sample?"""
        return self._encoded is sample

    def ready(self, sample: Sample) -> bool:
        """Is this very sample encoded, or preprocessed at least?"""
        return self._encoded is sample or self._prepared is sample

    def preprocess(self, sample: Sample) -> None:
        """Bring a payload that passed its checks into the encoder's input buffer."""
        self._encoded = self._prepared = None
        self._plan.modality.preprocess(sample.payload, self._plan.params, self._tensor[0])
        self._prepared = sample

    def take(self, tensor: Array) -> None:
        """Bring a tensor that is preprocessed already into the encoder's input buffer."""
        self._encoded = self._prepared = None
        self._tensor[0] = tensor

    def run(self, sample: Sample) -> None:
        """Compute the embedding of the preprocessed sample; `problem` says why it is not usable, if it is not.

        A sane payload can overflow on its way into the network, or inside it, where casts and pooling may hide that. A
        graph can refuse values that a sensor may send.
        """
        if self._tensor.dtype.kind == "f" and not kernels.all_finite(self._tensor):
            self._encoded, self.problem = sample, "non_finite"
            return
        try:
            self._session.run()
        except BundleError:
            self._encoded, self.problem = sample, "graph_failed"
            return
        self._encoded, self.problem = sample, None if kernels.all_finite(self.embedding) else "non_finite"
