"""Profile: how long a bench looks at what; a YAML file says it otherwise."""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import Field

from edgefuse.config import read_document
from edgefuse.errors import ConfigError
from edgefuse.schema import Name, Positive, Strict, WaitMs, complaint, validate

Count = Annotated[int, Field(ge=1, le=10_000_000)]
Seconds = Annotated[float, Field(ge=0.0, le=86_400.0)]
Hertz = Annotated[float, Field(gt=0.0, le=10_000.0)]

RATES_HZ = {"camera": 30.0, "depth": 30.0, "lidar": 10.0, "gps": 5.0, "vector": 30.0}  # by kind of sensor


class Profile(Strict):
    """Every key has a default.

    rounds, warmup    answers of each contender in the scenarios that race; and how many are not kept
    least_s           a race goes on for this long, whatever `rounds` says
    least_count       fewer answers than these make the report invalid (MLPerf's rules ask 6,636 of a stream)
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
    rates_hz: dict[Name, Hertz] = Field(default_factory=dict)
    rates_s: Positive = 60.0
    slice_s: Positive = 5.0
    idle_hz: Hertz = 20.0
    idle_s: Positive = 5.0
    starts: Count = 7
    seed: Annotated[int, Field(ge=0)] = 0

    def rate_hz(self, stream: str, kind: str) -> float:
        """How often a stream delivers."""
        return self.rates_hz.get(stream, self.rates_hz.get(kind, RATES_HZ.get(kind, 10.0)))


def load_profile(path: str | os.PathLike[str]) -> Profile:
    """Read a YAML profile; a ConfigError names the file and the key that is wrong."""
    try:
        found = validate(Profile, read_document(path))
        if len(found.gaps_s) != len(found.gap_rounds):
            raise ValueError(f"gap_rounds has {len(found.gap_rounds)} entries, gaps_s has {len(found.gaps_s)}")
    except ValueError as error:
        raise ConfigError(complaint(error), place=os.fspath(path)) from error
    return found
