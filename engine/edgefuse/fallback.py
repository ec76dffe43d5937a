"""Fallback: verdicts become a presence mask and substitutes, by descending each stream's ladder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from msgspec import Struct

from edgefuse.bundle import Bundle
from edgefuse.errors import BundleError
from edgefuse.impute import Imputer
from edgefuse.plan import StreamPlan
from edgefuse.reference import ABSENT, PRESENT, SUBSTITUTED
from edgefuse.types import F32, U8, Judged, Rung, State, Trust

_RUNG_STATE: dict[Rung, State] = {
    "hold": "held",
    "impute": "imputed",
    "mean": "imputed",
    "token": "imputed",
    "mask": "absent",
}
_STATE_SELECT: dict[State, int] = {"fresh": PRESENT, "held": PRESENT, "imputed": SUBSTITUTED, "absent": ABSENT}


class Substitutes(Struct, frozen=True):
    """What stands in for a stream: rung -> one float32 vector a stream, as long as the operator wants it.

    imputer: tells it from the streams that are present, where the bundle can; folded: what it adds to the outputs.
    """

    blocks: dict[Rung, list[F32]]
    imputer: Imputer | None = None
    folded: bool = False

    @classmethod
    def of(cls, bundle: Bundle) -> Substitutes:
        """Read the blocks of a bundle; a BundleError when the file has another size or holds non-finite values."""
        manifest = bundle.manifest
        spec, sizes = manifest.fallback, manifest.stand_ins
        imputer, folded = Imputer.of(bundle), spec.impute is not None and spec.impute.folded
        if spec.file is None:
            return cls({}, imputer, folded)
        size = len(spec.blocks) * sum(sizes)
        values = np.frombuffer(bundle[spec.file], dtype="<f4") if len(bundle[spec.file]) == 4 * size else None
        if values is None or not np.isfinite(values).all():
            raise BundleError(f"is not {size} finite float32 values", place=bundle.place(spec.file))
        blocks = values.astype(np.float32).reshape(len(spec.blocks), -1)
        ends = np.cumsum(sizes)[:-1]
        split: dict[Rung, list[F32]] = {}
        for rung, block in zip(spec.blocks, blocks, strict=True):
            split[rung] = np.split(block, ends)
        return cls(split, imputer, folded)

    def fill(self, trusts: Sequence[Trust], out: Sequence[F32]) -> None:
        """Put the stand-in of each stream that has one of its own into its vector of out."""
        for i, trust in enumerate(trusts):
            if trust.rung in self.blocks:
                out[i][:] = self.blocks[trust.rung][i]

    def teller(
        self, trusts: Sequence[Trust], embeddings: Sequence[F32], out: Sequence[F32]
    ) -> Callable[[U8], None] | None:
        """What puts into out, for a mask, the stand-ins that depend on who is present; None where none does."""
        imputer = self.imputer
        if imputer is None or self.folded or not any(rungs := _imputed(trusts)):
            return None
        return lambda mask: imputer.fill(mask, rungs, embeddings, out)

    def adder(self, trusts: Sequence[Trust], embeddings: Sequence[F32]) -> Callable[[U8], F32] | None:
        """What tells, for a mask, what imputed streams add to the outputs, side by side; None where none does."""
        imputer = self.imputer
        if imputer is None or not self.folded or not any(rungs := _imputed(trusts)):
            return None

        def added(mask: U8) -> F32:
            parts = np.zeros((len(rungs), imputer.widest), np.float32)
            imputer.fill(mask, rungs, embeddings, list(parts))
            total: F32 = parts.sum(0)
            return total

        return added

    def seat(self, trusts: Sequence[Trust], selects: U8) -> U8:
        """The masks uint8 [..., N] as the fusion is to have them: without streams that the outputs get beside it."""
        if not self.folded:
            return selects
        left_out = np.array(_imputed(trusts)) & (selects == SUBSTITUTED)
        return np.where(left_out, ABSENT, selects).astype(np.uint8)


def _imputed(trusts: Sequence[Trust]) -> list[bool]:
    return [trust.rung == "impute" for trust in trusts]


def descend(judged: Judged, plan: StreamPlan) -> Trust:
    """The first rung that carries: the fresh sample itself, else the ladder in order, else absent."""
    if judged.fresh:
        return Trust("fresh", judged.health, judged.reason, judged.age_ms)
    if judged.reason == "not_asked":
        return Trust("absent", judged.health, judged.reason, judged.age_ms)
    for step in plan.ladder:
        if step.carries(judged):
            return Trust(_RUNG_STATE[step.rung], judged.health, judged.reason, judged.age_ms, step.rung)
    return Trust("absent", judged.health, judged.reason, judged.age_ms)


def descend_all(judged: Sequence[Judged], plans: Sequence[StreamPlan]) -> list[Trust]:
    """Every stream on its rung; one that is derived from another is there only where that one is."""
    trusts = [descend(verdict, own) for verdict, own in zip(judged, plans, strict=True)]
    while orphans := [own.index for own in plans if _orphaned(trusts, own)]:
        for i in orphans:
            trusts[i] = descend(judged[i].lost("parent_lost"), plans[i])
    return trusts


def _orphaned(trusts: Sequence[Trust], own: StreamPlan) -> bool:
    return own.parent is not None and trusts[own.index].present and not trusts[own.parent].available


def select(trusts: Sequence[Trust], out: U8) -> None:
    """The presence mask as the kernels read it: out uint8 [streams], 0 absent, 1 present, 2 substituted."""
    for i, trust in enumerate(trusts):
        out[i] = _STATE_SELECT[trust.state]
