"""Calibration: what turns logits into probabilities that are right as often as they say."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from edgefuse.types import F64, Array


class Calibration(Struct, frozen=True):
    """softmax(logits / temperature + bias): bias-corrected temperature scaling.

    Guo et al. 2017, arXiv 1706.04599; Alexandari et al. 2020, arXiv 1901.06852.

    bias     one value a class, or empty for none; it makes up for classes that are taken for others
    output   the name of the output it is of; None: of every one that is class logits
    """

    temperature: float = 1.0
    bias: tuple[float, ...] = ()
    output: str | None = None

    def scores(self, logits: Array) -> F64:
        """float64 [..., K], whose largest is of the likeliest class and whose softmax are the probabilities.

        In double precision: a temperature may be small, and outputs large.
        """
        scaled: F64 = logits.astype(np.float64) / self.temperature
        return scaled + self.bias if self.bias else scaled


NONE = Calibration()


def softmax(scores: F64) -> F64:
    """Of the last axis, float64 [..., K]."""
    parts = np.exp(scores - scores.max(-1, keepdims=True))
    shares: F64 = parts / parts.sum(-1, keepdims=True)
    return shares
