"""The settings of a training: operator, budget, and the recipe by which a model learns to do without its streams."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from edgefuse_export.errors import ExportError
from edgefuse_export.fusion import Absent


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a training depends on besides its task and the machine.

    dim, rank      of the operator; rank None: the operator's own default
    hidden         width of a hidden layer in the head; 0: the head is linear
    samples, test_samples   moments of the simulated site, for tasks that make their data
    subsets        from how many subsets of its streams each batch is answered, beside the whole: from all, where there
                   are no more than that
    drop_rate      how often a stream is left out of those, independently, never all; drop_rates: by stream, where other
    whole_weight   share of the loss that is the whole set's
    distil         weight of the divergence of the subsets' answers from the whole's, beside the labels
    presence_bits  the head also reads which streams are present
    absent         what stands for an absent stream: the operator's "identity", or a learned "token"
    minutes        after which no further epoch begins, making data included
    """

    operator: str = "multconcat"
    dim: int = 64
    rank: int | None = None
    hidden: int = 0
    samples: int = 9000
    test_samples: int = 2000
    epochs: int = 20
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    label_smoothing: float = 0.02
    subsets: int = 16
    drop_rate: float = 0.5
    drop_rates: Mapping[str, float] = field(default_factory=dict)
    whole_weight: float = 0.1
    distil: float = 0.0
    presence_bits: bool = False
    absent: Absent = "identity"
    seed: int = 0
    minutes: float = math.inf

    def __post_init__(self) -> None:
        problems = [*self._shares(), *self._counts()]
        if problems:
            raise ExportError(*problems)

    def _shares(self) -> list[str]:
        rates = {"drop_rate": self.drop_rate, "whole_weight": self.whole_weight}
        rates |= {f"drop_rates.{name}": rate for name, rate in self.drop_rates.items()}
        return [f"{name} {value} is not in [0, 1]" for name, value in rates.items() if not 0.0 <= value <= 1.0]

    def _counts(self) -> list[str]:
        least = {"epochs": 1, "batch": 2, "dim": 1, "samples": 1, "test_samples": 1, "subsets": 0, "hidden": 0}
        return [f"{name} must be at least {low}" for name, low in least.items() if getattr(self, name) < low]

    def rates(self, streams: Sequence[str]) -> list[float]:
        """How often each stream is left out. ExportError naming one that the model does not have."""
        if unknown := [name for name in self.drop_rates if name not in streams]:
            raise ExportError(f"drop_rates: no stream {unknown[0]!r}; the model has {', '.join(streams)}")
        return [self.drop_rates.get(name, self.drop_rate) for name in streams]

    def as_json(self) -> dict[str, Any]:
        """JSON-ready; endless minutes are left out."""
        return {k: v for k, v in asdict(self).items() if v != math.inf}

    @property
    def recipe(self) -> dict[str, str | int | float]:
        """What a bundle says of how its model was trained for absence."""
        names = ("subsets", "drop_rate", "whole_weight", "distil", "absent")
        rates = {f"drop_rate_{name}": rate for name, rate in self.drop_rates.items()}
        said = {name: getattr(self, name) for name in names}
        return {**said, "presence_bits": int(self.presence_bits), **rates}
