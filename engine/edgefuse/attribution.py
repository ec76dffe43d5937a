"""Attribution: what the model answers from other subsets of what it holds, and what each stream made of an answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from edgefuse.errors import BundleError
from edgefuse.fallback import Substitutes, descend, select
from edgefuse.fusion_base import Fusion
from edgefuse.head import Head
from edgefuse.plan import StreamPlan
from edgefuse.reference import PRESENT
from edgefuse.shapley import shapley_weights
from edgefuse.types import F32, F64, U8, Judged, Trust


class Subsets:
    """Answers from subsets of the streams whose embeddings lie in the fusion's buffers, by its own masks and stand-ins.

    The mask of the fusion is another subset's afterwards, until the next answer is made.
    """

    def __init__(self, fusion: Fusion, substitutes: Substitutes, head: Head) -> None:
        self._fusion, self.substitutes, self._head = fusion, substitutes, head

    def answers(self, selects: U8, trusts: Sequence[Trust]) -> dict[str, F32]:
        """Output -> float32 [M, K] for the masks uint8 [M, N]; trusts say on which rung a stream is that is lost."""
        fusion = self._fusion
        self.substitutes.fill(trusts, fusion.stand_ins)
        before = self.substitutes.teller(trusts, fusion.embeddings, fusion.stand_ins)
        answers = self._head.answers(fusion.each(self.substitutes.seat(trusts, selects), before), selects)
        added = self.substitutes.adder(trusts, fusion.embeddings)
        if added is None or len(selects) == 0:
            return answers
        parts = self._head.apart(np.array([added(mask) for mask in selects]))
        return {name: values + parts[name] for name, values in answers.items()}

    def quick(self, selects: U8) -> Callable[[], dict[str, F32]] | None:
        """What gives `answers` up to rounding, in one kernel, while the last answer was from all that they have there.

        None where the head, the operator or stand-ins forbid it.
        """
        affine = self._head.affine
        through = None if affine is None else self._fusion.through(selects, affine.weight, affine.bias)
        return None if through is None else lambda: self._head.apart(through())


class _Game(Struct, frozen=True):
    """Who plays, and the masks of their coalitions uint8 [2^players, N]; bit k of a row's number is player k.

    asked    the masks but those of nobody and of everybody, whose answers are known
    nobody   the rows of asked in which only a child is left, its parent lost
    quick    answers them all where one kernel can
    values   output -> float64 [2^players, K], to be filled; the first row is that of nobody
    """

    players: tuple[int, ...]
    asked: U8
    nobody: NDArray[np.intp]
    quick: Callable[[], dict[str, F32]] | None
    values: dict[str, F64]


class Attribution:
    """Shares the difference between an answer and the prior out among the streams, by exact Shapley values.

    The value of a subset is what the model answers from just these streams; of none it is the prior. Shapley 1953;
    Lundberg and Lee 2017, arXiv 1705.07874, with streams as the players. It says something of the world only where the
    model was trained to answer from subsets.
    """

    def __init__(self, plans: Sequence[StreamPlan], subsets: Subsets, prior: Mapping[str, F32]) -> None:
        self._plans, self._subsets, self._prior = plans, subsets, prior
        self._lost = [descend(Judged("error", "what_if", None, None, False), plan) for plan in plans]
        self._games: dict[bytes, _Game] = {}

    def of(self, trusts: Sequence[Trust], outputs: Mapping[str, F32]) -> dict[str, dict[str, F64]]:
        """Output -> stream -> phi float64 [K], which sum to outputs - prior; outputs as answered from these trusts.

        Empty where the model gives no finite answer from one of the subsets.
        """
        game = self._game(trusts)
        try:
            answers = game.quick() if game.quick else self._subsets.answers(game.asked, self._without(game, trusts))
        except BundleError:
            return {}
        parts = {name: self._parts(game, answers[name], name, full) for name, full in outputs.items()}
        # What is not finite in any subset is in what some stream made.
        sane = all(math.isfinite(part.sum()) for part in parts.values())
        return {name: self._named(game, part) for name, part in parts.items()} if sane else {}

    def _without(self, game: _Game, trusts: Sequence[Trust]) -> list[Trust]:
        """On which rung each player is where it is lost."""
        return [self._lost[i] if i in game.players else trust for i, trust in enumerate(trusts)]

    def _parts(self, game: _Game, answers: F32, output: str, full: F32) -> F64:
        """phi float64 [players, K]."""
        values = game.values[output]
        values[1:-1], values[-1] = answers, full
        if len(game.nobody):
            values[1 + game.nobody] = values[0]
        with np.errstate(invalid="ignore"):  # infinite less infinite
            phi: F64 = shapley_weights(len(game.players)) @ values if game.players else values[:0]
        return phi

    def _named(self, game: _Game, parts: F64) -> dict[str, F64]:
        made = dict(zip(game.players, parts, strict=True))
        nothing = np.zeros(parts.shape[1])
        return {plan.name: made.get(plan.index, nothing) for plan in self._plans}

    def prepare(self) -> None:
        """Draw up the game of all streams now, so that the first answer does not wait for it."""
        self._known(np.full(len(self._plans), PRESENT, np.uint8))

    def _game(self, trusts: Sequence[Trust]) -> _Game:
        mask = np.zeros(len(trusts), np.uint8)
        select(trusts, mask)
        return self._known(mask)

    def _known(self, mask: U8) -> _Game:
        key = mask.tobytes()
        if key not in self._games:
            self._games[key] = self._drawn_up(mask)
        return self._games[key]

    def _drawn_up(self, mask: U8) -> _Game:
        players = tuple(int(i) for i in np.flatnonzero(mask == PRESENT))
        lost = np.zeros_like(mask)
        select(self._lost, lost)
        selects = np.tile(mask, (1 << len(players), 1))
        for k, player in enumerate(players):
            without = np.flatnonzero(np.arange(len(selects)) >> k & 1 == 0)
            gone = sorted(self._with_children({player}))
            selects[without[:, None], gone] = lost[gone]
        asked = np.ascontiguousarray(selects[1:-1])
        nobody = np.flatnonzero((asked != PRESENT).all(1))
        values = {
            name: np.repeat(prior[None].astype(np.float64), len(selects), 0) for name, prior in self._prior.items()
        }
        return _Game(players, asked, nobody, self._subsets.quick(asked), values)

    def _with_children(self, gone: set[int]) -> set[int]:
        """The streams, and all that are derived from them."""
        while more := {own.index for own in self._plans if own.parent in gone} - gone:
            gone = gone | more
        return gone
