"""What a stream has shown while trusted: a slow mean of a few features, and how long a sample is judged by it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

from msgspec import Meta

from edgefuse.modalities.base import CommonChecks
from edgefuse.schema import Bounded
from edgefuse.types import F64, NS_PER_S, Array, Reason

A_FEW = 25  # samples whose plain mean is the usual


class MemoryChecks(CommonChecks):
    """How a kind remembers.

    warm_samples  trusted samples before anything is judged by what was usual
    adapt_s       time constant with which the usual follows what is trusted: slower than a fault, faster than a dusk
    forget_s      so long after the last trusted sample the usual is forgotten, since a change that stays is no fault
    recall_s      time constant of a slower memory: what fits that is sane too, so that the end of a disturbance which
                  had become usual is not taken for a fault
    """

    warm_samples: Annotated[int, Meta(ge=1)] = 5
    adapt_s: Bounded = 4.0
    forget_s: Bounded = 10.0
    recall_s: Bounded = 180.0


class Usual:
    """The mean of features float64 [k] over trusted samples, weighted by age in stream time.

    A first-order low-pass: a new sample has the weight 1 - exp(-dt / time_s), or 1 / n while it is the n-th of a few.
    """

    def __init__(self) -> None:
        self._mean: F64 | None = None
        self._count = 0
        self._last_ns = 0

    def at(self, stamp_ns: int, warm_samples: int, forget_s: float = math.inf) -> F64 | None:
        """What is usual, float64 [k]; None where too little has been seen, or too long ago."""
        return None if self._count < warm_samples or self._forgotten(stamp_ns, forget_s) else self._mean

    def learn(self, shown: F64, stamp_ns: int, time_s: float, forget_s: float = math.inf) -> None:
        """Take in a trusted sample's features; after an age of distrust from the beginning."""
        if self._mean is None or self._forgotten(stamp_ns, forget_s):
            self._mean, self._count = shown, 0
        age_s = abs(stamp_ns - self._last_ns) / NS_PER_S
        self._count += 1
        weight = max(-math.expm1(-age_s / time_s), 1.0 / self._count if self._count <= A_FEW else 0.0)
        self._mean = self._mean + weight * (shown - self._mean)
        self._last_ns = stamp_ns

    def _forgotten(self, stamp_ns: int, forget_s: float) -> bool:
        # A clock set back is as good a reason to begin anew as a long silence.
        return abs(stamp_ns - self._last_ns) >= forget_s * NS_PER_S


class Remembering:
    """A watcher that compares a sample's features with the usual ones.

    features  what was seen of a payload -> float64 [k], or None where it does not allow to tell
    compare   (shown, usual, checks) -> what is wrong, or None
    """

    def __init__(
        self, features: Callable[[Any], F64 | None], compare: Callable[[F64, F64, Any], Reason | None]
    ) -> None:
        self._features, self._compare = features, compare
        self._usual, self._recalled = Usual(), Usual()
        self._seen: tuple[Array, F64, MemoryChecks] | None = None

    def look(self, payload: Array, seen: Any, stamp_ns: int, checks: MemoryChecks) -> Reason | None:
        shown = self._features(seen)
        self._seen = None if shown is None else (payload, shown, checks)
        usual = self._usual.at(stamp_ns, checks.warm_samples, checks.forget_s)
        reason = None if shown is None or usual is None else self._compare(shown, usual, checks)
        if reason is None or shown is None:
            return None
        recalled = self._recalled.at(stamp_ns, checks.warm_samples)
        return reason if recalled is None else self._compare(shown, recalled, checks)

    def trust(self, payload: Array, stamp_ns: int) -> None:
        if self._seen is not None and self._seen[0] is payload:
            _, shown, checks = self._seen
            self._usual.learn(shown, stamp_ns, checks.adapt_s, checks.forget_s)
            self._recalled.learn(shown, stamp_ns, checks.recall_s)
        self._seen = None  # lets go of the payload
