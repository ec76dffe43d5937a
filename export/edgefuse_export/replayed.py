"""Recordings replayed with faults: is what the answers said to expect of themselves what they turned out to be?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgefuse.campaign import Campaign, trials_of
from edgefuse.engine import Engine
from edgefuse.faults import Fault, FaultySource
from edgefuse.replay import injected, replay
from edgefuse.schema import changed
from edgefuse.sources import Source
from edgefuse_export.calibration import share

Faults = Callable[[int, Source], Sequence[Fault]]  # of which recording, and what it is


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer whose truth is known: of which recording, in which mode, right or not, and what it expected."""

    recording: int
    mode: str
    right: bool
    expected: float


@dataclass(frozen=True, slots=True)
class ModeFigure:
    """What came of the answers in one mode: shares of right ones with a 95 % interval, and the mean of `expected`."""

    mode: str
    n: int
    right: float
    low: float
    high: float
    expected: float

    @property
    def off(self) -> float:
        """How much better it went than was said."""
        return self.right - self.expected

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "off": self.off}


def answered(
    engine: Engine, sources: Iterator[Source], faults: Faults, output: str, tick_hz: float
) -> Iterator[Answered]:
    """Every answer to every recording whose truth is known, and that said what to expect."""
    for number, source in enumerate(sources):
        engine.reset()
        put_in = list(faults(number, source))
        played = injected(engine, FaultySource(source, put_in) if put_in else source)
        for tick in replay(engine, played, tick_hz=tick_hz):
            result, truth = tick.result, (tick.truth or {}).get(output)
            if truth is not None and result.expected is not None:
                yield Answered(number, result.mode, result.labels[output] == truth, result.expected.value)


def figures(answers: Sequence[Answered]) -> list[ModeFigure]:
    """One for each mode, the most frequent first. Of one recording alone, answers count as independent."""
    modes = sorted({a.mode for a in answers}, key=lambda mode: -sum(a.mode == mode for a in answers))
    several = len({a.recording for a in answers}) > 1
    return [_figure(mode, [a for a in answers if a.mode == mode], several) for mode in modes]


def lost(topics: Sequence[str], from_s: float) -> Faults:
    """A device pulled out: nothing comes on these topics from then on."""
    return lambda number, source: [Fault(topic, "off", from_s, math.inf) for topic in topics]


def drawn(campaign: Campaign, place: str) -> Faults:
    """The campaign's faults: a storm drawn anew for each recording, or one of its trials after the other."""

    def of(number: int, source: Source) -> Sequence[Fault]:
        own = changed(campaign, seed=campaign.seed + number)
        trials = trials_of(own, source.topics, math.inf, place)
        return trials[number % len(trials)].faults

    return of


def table(found: Sequence[ModeFigure]) -> str:
    """For a person."""
    lines = [
        f"  {f.mode:<9} {100 * f.right:5.1f} % right  [{100 * f.low:5.1f}, {100 * f.high:5.1f}]  "
        f"{100 * f.expected:5.1f} % expected  {100 * f.off:+5.1f}  n = {f.n}"
        for f in found
    ]
    return "\n".join(["answers whose truth is known, by mode", *lines])


def _figure(mode: str, answers: Sequence[Answered], several: bool) -> ModeFigure:
    groups = np.array([a.recording for a in answers]) if several else None
    right, low, high = share(np.array([a.right for a in answers]), groups)
    return ModeFigure(mode, len(answers), right, low, high, float(np.mean([a.expected for a in answers])))
