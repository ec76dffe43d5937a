"""Moments: what is fed to everything that is timed: a golden moment of the bundle, and ones that differ by a hair.

A sensor that repeats itself bit for bit is stuck, and one that jumps is wrong; so each moment is the golden one with
every value moved by as little as its type knows. All contenders get the same ones, in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgefuse.bundle import Bundle
from edgefuse.engine import Engine
from edgefuse.errors import UsageError
from edgefuse.types import Array, Result
from edgefuse.verify import golden_samples

MOMENTS = 16
SETTLING = 80  # answers until rates are known and closed gates have opened
RELATIVE = 1e-9  # of a float64: a GPS moves by millimetres

Moment = Mapping[str, Array]  # stream -> payload


def moments(bundle: Bundle, seed: int = 0, count: int = MOMENTS) -> list[Moment]:
    """So many moments with every stream; UsageError where the bundle holds no golden one to make them from."""
    first, rng = whole_moment(bundle), np.random.default_rng(seed)
    return [{name: moved(payload, rng) for name, payload in first.items()} for _ in range(count)]


def whole_moment(bundle: Bundle) -> Moment:
    """The first golden moment with every stream; UsageError where there is none."""
    for golden in bundle.manifest.golden:
        if set(golden.samples) == set(bundle.manifest.stream_names):
            return golden_samples(bundle, golden)
    raise UsageError(f"bench: {bundle.path} holds no golden moment with every stream")


def moved(payload: Array, rng: np.random.Generator) -> Array:
    """A copy in which values have moved by the least there is: integers but 0 and the largest by 1, floats by an ulp.

    Whole numbers among floats stay, as they may be codes or flags.
    """
    up = rng.random(payload.shape) < 0.5
    if payload.dtype.kind in "iu":
        inner = (payload > 0) & (payload < np.iinfo(payload.dtype).max)
        return (payload + (up & inner)).astype(payload.dtype)
    if payload.dtype.kind != "f":
        return payload.copy()
    moves = np.isfinite(payload) & (payload != np.round(payload)) & up
    if payload.dtype == np.float64:
        return np.where(moves, payload * (1.0 + RELATIVE), payload)
    return np.where(moves, np.nextafter(payload, np.inf, dtype=payload.dtype), payload)


class Feed:
    """Plays moments to an engine as its sensors would, all streams at one rhythm, and asks for an answer each time."""

    def __init__(self, engine: Engine, played: Sequence[Moment]) -> None:
        """Between two moments lies half of what counts as fresh, in event time."""
        self.engine, self._played, self._i = engine, played, 0
        self._names = engine.plan.names
        self._period_ns = min(plan.fresh_ns for plan in engine.plan.streams) // 2
        engine.reset()

    def push(self, names: Sequence[str] | None = None) -> int:
        """The next moment of these streams (all of them) into the engine; gives its time."""
        self._i += 1
        t_ns, moment = self._i * self._period_ns, self._played[self._i % len(self._played)]
        for name in self._names if names is None else names:
            self.engine.push(name, t_ns, moment[name])
        return t_ns

    def answer(self, names: Sequence[str] | None = None) -> Result:
        """Push and step."""
        return self.engine.step(self.push(names))

    def settle(self, names: Sequence[str] | None = None) -> None:
        """Answer until these streams (all of them) are trusted; UsageError naming what the engine does not take."""
        asked = self._names if names is None else names
        for _ in range(SETTLING):
            result = self.answer(asked)
        lost = {name: result.streams[name].reason for name in asked if result.streams[name].state != "fresh"}
        if lost:
            what = ", ".join(f"{name} ({reason})" for name, reason in lost.items())
            raise UsageError(f"bench: the engine does not trust the bundle's own golden moment: {what}")
