"""What the operator benchmark keeps of a finished training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgefuse.schema import Finite, Fraction, Strict
from edgefuse_export import store

NAME = "operators.jsonl"
JOINER = "+"  # of the streams of a subset


@dataclass(frozen=True, slots=True)
class Unit:
    """One training: which operator, which seed, and which fold is left out."""

    operator: str
    seed: int
    fold: int


class Outcome(Strict):
    """What became of a unit: mean loss of the last epoch (None if not finite), and subset, as `a+b` -> accuracy."""

    operator: str
    seed: int
    fold: int
    loss: Finite | None
    accuracy: dict[str, Fraction]

    @property
    def unit(self) -> Unit:
        return Unit(self.operator, self.seed, self.fold)


class Store(store.Store[Unit, Outcome]):
    """`operators.jsonl` in a folder."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        super().__init__(folder / NAME, fingerprint, Outcome, lambda outcome: outcome.unit)
