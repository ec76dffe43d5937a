"""The model behind the encoders: verdicts to mask and stand-ins, embeddings to outputs, and what if some were lost."""

from __future__ import annotations

from collections.abc import Sequence

from edgefuse import kernels
from edgefuse.attribution import Attribution, Subsets
from edgefuse.bundle import Bundle
from edgefuse.errors import BundleError
from edgefuse.fallback import Substitutes, descend_all, select
from edgefuse.fuse import fusion_of
from edgefuse.fusion_base import Fusion
from edgefuse.head import Head
from edgefuse.modes import mode_of
from edgefuse.plan import Plan
from edgefuse.stopwatch import Stopwatch
from edgefuse.types import F32, F64, U8, Judged, Reason, Trust
from edgefuse.verdicts import close_derived

Outputs = dict[str, F32]


class Model:
    """Fusion, stand-ins and head of a bundle, on buffers that the encoders fill."""

    def __init__(self, bundle: Bundle, plan: Plan, fusion: Fusion, head: Head) -> None:
        self._streams, self.fusion, self.head = plan.streams, fusion, head
        self._substitutes = Substitutes.of(bundle)
        self.subsets = Subsets(self.fusion, self._substitutes, self.head)
        self._attribution = Attribution(plan.streams, self.subsets, self.prior)
        if plan.config.explain:
            self._attribution.prepare()

    @classmethod
    def of(cls, bundle: Bundle, plan: Plan, config_place: str) -> Model:
        """On the host. A BundleError or ConfigError names what does not fit."""
        fusion = fusion_of(bundle, plan.config.fusion_weights == "float16", config_place)
        return cls(bundle, plan, fusion, Head(bundle, fusion.fused, fusion.select))

    @property
    def prior(self) -> Outputs:
        """The answer to nothing at all; arrays of the caller's own."""
        return self.head.prior()

    def fall_back(self, judged: Sequence[Judged], watch: Stopwatch) -> list[Trust]:
        """Every stream on its rung; the mask and the stand-ins lie in the fusion's buffers then."""
        trusts = descend_all(judged, self._streams)
        select(trusts, self.fusion.select)
        self._substitutes.fill(trusts, self.fusion.stand_ins)
        watch.lap("fallback")
        return trusts

    def stand(self, judged: Sequence[Judged]) -> U8:
        """The mask as it would be if the answer were made from these verdicts."""
        self.fall_back(close_derived(list(judged), self._streams), Stopwatch())
        return self.fusion.select

    def fuse(self, trusts: Sequence[Trust], watch: Stopwatch) -> tuple[Outputs, Reason | None]:
        """The outputs, and why they are the prior where sane streams together gave no answer."""
        if mode_of(trusts) == "blind":
            return self.prior, None
        if self._substitutes.imputer is not None and any(trust.rung == "impute" for trust in trusts):
            self.fusion.fetch()
        fusion, added = self.fusion, self._substitutes.adder(trusts, self.fusion.embeddings)
        if tell := self._substitutes.teller(trusts, fusion.embeddings, fusion.stand_ins):
            tell(fusion.select)
        parts = None
        if added is not None:
            parts = self.head.apart(added(fusion.select))
            fusion.select[:] = self._substitutes.seat(trusts, fusion.select)
        try:
            fusion.run()
            watch.lap("fuse")
            self.head.run()
        except BundleError:
            return self.prior, "graph_failed"
        outputs = self.head.outputs()
        watch.lap("head")  # on a device, with the wait for all that was queued
        return self._sane(outputs if parts is None else {n: values + parts[n] for n, values in outputs.items()})

    def suppose(self, trusts: Sequence[Trust]) -> tuple[Outputs, Reason | None]:
        """As `fuse`, beside the tick: from a part of what the last answer was made from, as `fall_back` just set it."""
        if mode_of(trusts) == "blind":
            return self.prior, None
        try:
            answers = self.subsets.answers(self.fusion.select[None].copy(), trusts)
        except BundleError:
            return self.prior, "graph_failed"
        return self._sane({name: values[0] for name, values in answers.items()})

    def explain(self, trusts: Sequence[Trust], outputs: Outputs, watch: Stopwatch) -> dict[str, dict[str, F64]]:
        """Output -> stream -> its Shapley value, of what was just answered from these trusts."""
        attribution = self._attribution.of(trusts, outputs)
        watch.lap("explain")
        return attribution

    def _sane(self, outputs: Outputs) -> tuple[Outputs, Reason | None]:
        finite = all(map(kernels.all_finite, outputs.values()))
        return (outputs, None) if finite else (self.prior, "non_finite")
