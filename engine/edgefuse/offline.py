"""A bundle's model outside the clock: embeddings of samples once, then answers from any subset of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from edgefuse.bundle import Bundle
from edgefuse.config import RunConfig
from edgefuse.encode import Encoder
from edgefuse.errors import UsageError
from edgefuse.fallback import Substitutes
from edgefuse.model import Model
from edgefuse.plan import make_plan
from edgefuse.reference import ABSENT, PRESENT, SUBSTITUTED
from edgefuse.types import F32, U8, Array, Rung, Sample, Trust


class Offline:
    """For measuring: no health, no ages; what it is given counts as good."""

    def __init__(self, bundle: Bundle) -> None:
        """Build the parts; a BundleError names what does not fit."""
        self.bundle = bundle
        self.plan = make_plan(bundle, RunConfig())
        self.model = Model.of(bundle, self.plan, bundle.path)
        views = self.model.fusion.embeddings
        self._encoders = [Encoder(bundle, own, view) for own, view in zip(self.plan.streams, views, strict=True)]

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """What can stand in for an absent stream, the cheapest first."""
        spec = self.bundle.manifest.fallback
        imputes: tuple[Rung, ...] = ("impute",) if spec.impute else ()
        return ("mask", *spec.blocks, *imputes)

    def embed(self, i: int, payload: Array) -> F32:
        """The embedding of a raw payload of stream i. UsageError where the model makes nothing of it."""
        encoder, sample = self._encoders[i], Sample(self.plan.names[i], 0, payload)
        encoder.preprocess(sample)
        return self._run(i, sample)

    def embed_tensor(self, i: int, tensor: Array) -> F32:
        """The embedding of a tensor as the encoder of stream i takes it, already preprocessed."""
        sample = Sample(self.plan.names[i], 0, tensor)
        self._encoders[i].take(tensor)
        return self._run(i, sample)

    def answers(self, embeddings: Sequence[F32], selects: U8, rung: Rung = "mask") -> dict[str, F32]:
        """Output -> float32 [M, K] for masks uint8 [M, N] that say 1 where a stream is present.

        The others take `rung`. A mask without any stream gives the prior.
        """
        for view, embedding in zip(self.model.fusion.embeddings, embeddings, strict=True):
            view[:] = embedding
        stood = ABSENT if rung == "mask" else SUBSTITUTED
        masks = np.where(selects == PRESENT, PRESENT, stood).astype(np.uint8)
        trusts = [Trust("absent" if rung == "mask" else "imputed", "ok", rung=rung) for _ in self.plan.names]
        answers, prior = self.model.subsets.answers(masks, trusts), self.model.prior
        some = (selects == PRESENT).any(1)[:, None]
        return {name: np.where(some, values, prior[name]) for name, values in answers.items()}

    def rows(self, embeddings: Sequence[F32]) -> Sequence[F32]:
        """What could stand in for each stream, were it always as now: as long as its stand-in, from its embedding."""
        for view, embedding in zip(self.model.fusion.embeddings, embeddings, strict=True):
            view[:] = embedding
        return self.model.fusion.rows()

    @contextmanager
    def standing_in(self, substitutes: Substitutes) -> Iterator[None]:
        """Meanwhile with other stand-ins than the bundle's."""
        before = self.model.subsets.substitutes
        self.model.subsets.substitutes = substitutes
        try:
            yield
        finally:
            self.model.subsets.substitutes = before

    def encode_again(self, i: int) -> None:
        """Run the encoder of stream i on what lies in its buffer, to time it."""
        self._encoders[i].run(Sample(self.plan.names[i], 0, np.zeros(0)))

    def fuse_again(self, select: U8) -> None:
        """Run fusion and head on what lies there, to time them."""
        self.model.fusion.select[:] = select
        self.model.fusion.run()
        self.model.head.run()

    def _run(self, i: int, sample: Sample) -> F32:
        encoder = self._encoders[i]
        encoder.run(sample)
        if encoder.problem is not None:
            raise UsageError(f"stream {sample.stream!r}: the encoder gives nothing usable: {encoder.problem}")
        return encoder.embedding.copy()
