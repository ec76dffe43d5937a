"""Profile: how long a bench looks at what; a YAML file says it otherwise."""

from __future__ import annotations

import os
from typing import Annotated

from msgspec import Meta, field

from edgefuse.config import load_as
from edgefuse.schema import Name, Positive, Strict, WaitMs

Count = Annotated[int, Meta(ge=1, le=10_000_000)]
Seconds = Annotated[float, Meta(ge=0.0, le=86_400.0)]
Hertz = Annotated[float, Meta(gt=0.0, le=10_000.0)]

RATES_HZ = {"camera": 30.0, "depth": 30.0, "lidar": 10.0, "gps": 5.0, "vector": 30.0}  # by kind of sensor


class Profile(Strict):
    """Every key has a default.

    rounds, warmup    answers of each contender in the scenarios that race; and how many are not kept
    least_s           the race with all streams fresh goes on for this long, whatever `rounds` says
    least_count       fewer answers in it than these are told as a doubt (MLPerf's rules ask 6,636 of a stream)
    subset_rounds     rounds of each subset of streams
    gaps_s            idle times before an answer, and how many answers are timed after each
    rates_hz          stream or kind -> how often it delivers, where sensors have their own rates
    rates_s           for how long; slice_s: contenders take turns of so long
    idle_hz, idle_s   answers a second, and for how long, where the share of a processor is looked at
    starts            how often a process is started to time its first answer
    seed              of the moments that are played
    """

    rounds: Count = 2000
    warmup: Count = 50
    least_s: Seconds = 0.0
    least_count: Count = 1
    subset_rounds: Count = 300
    gaps_s: tuple[WaitMs, ...] = (1.0, 10.0)
    gap_rounds: tuple[Count, ...] = (30, 4)
    rates_hz: dict[Name, Hertz] = field(default_factory=dict)
    rates_s: Positive = 60.0
    slice_s: Positive = 5.0
    idle_hz: Hertz = 20.0
    idle_s: Positive = 5.0
    starts: Count = 7
    seed: Annotated[int, Meta(ge=0)] = 0

    def __post_init__(self) -> None:
        if len(self.gaps_s) != len(self.gap_rounds):
            raise ValueError(f"gap_rounds has {len(self.gap_rounds)} entries, gaps_s has {len(self.gaps_s)}")

    def rate_hz(self, stream: str, kind: str) -> float:
        """How often a stream delivers."""
        return self.rates_hz.get(stream, self.rates_hz.get(kind, RATES_HZ.get(kind, 10.0)))


def load_profile(path: str | os.PathLike[str]) -> Profile:
    """Read a YAML profile; a ConfigError names the file and the key that is wrong."""
    return load_as(Profile, path)
