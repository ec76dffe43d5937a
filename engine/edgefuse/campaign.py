"""The campaign file: which faults on which streams, how strong, when, and what must hold; YAML to frozen models."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

import numpy as np
from msgspec import Meta, field
from msgspec.structs import force_setattr

from edgefuse.complaints import Wrong
from edgefuse.config import load_as
from edgefuse.errors import ConfigError
from edgefuse.faults import FAMILIES, KINDS, Fault
from edgefuse.schema import Finite, Fraction, Name, NotNegative, Positive, Strict

ANY = "any"

# Faults without levels of which nobody can demand that a stream's own samples give them away, and why. Every other
# fault without levels is due to be noticed; one with levels is there to be survived.
NOT_DUE: Mapping[str, str] = {
    "wrong": "the content of another moment is sane by itself",
    "garbage": "random values of a kind without a range are values too",
    "intermittent": "a sample lost now and then is within what a stream may miss",
    "delayed": "it shows once the delay exceeds `fresh_ms`, not before",
    "clock_drift": "some millionths lie far below the jitter of arrivals",
    "gps_frozen": "a place that stays is what a receiver at rest tells",
    "gps_lying_variance": "the step may be within what the antenna can have moved",
}

Value = TypeVar("Value")


def due(kind: str) -> bool:
    """Must this fault be noticed?"""
    return not KINDS[kind].graded and kind not in NOT_DUE


def by_name(limit: Value | dict[str, Value] | None) -> dict[str, Value]:
    """A limit as a table of what it is for; a number alone is for any."""
    if limit is None:
        return {}
    return limit if isinstance(limit, dict) else {ANY: limit}


def _refuse_unknown(name: str, *path: str) -> None:
    if name not in KINDS and name not in FAMILIES:
        known = f"families: {', '.join(FAMILIES)}; faults: {', '.join(KINDS)}"
        raise Wrong((path, f"no fault or family {name!r}; {known}"))


Count = Annotated[int, Meta(ge=0, le=10**9)]
Severity = Annotated[int, Meta(ge=1, le=5)]
Counts = Count | dict[str, Count]
Shares = Fraction | dict[str, Fraction]


class Window(Strict):
    """When faults happen: [from_s, to_s) after the first sample. The first second belongs to the engine's start."""

    from_s: Annotated[float, Meta(ge=1.0)]
    to_s: Positive

    def __post_init__(self) -> None:
        if self.to_s <= self.from_s:
            raise ValueError(f"to_s {self.to_s:g} is not after from_s {self.from_s:g}")


class Storm(Strict):
    """How long a fault of a storm lasts, and how long its stream then rests: rest_s to twice that."""

    shortest_s: Annotated[float, Meta(ge=0.01, le=1e6)] = 1.0
    longest_s: Positive = 4.0
    rest_s: Positive = 5.0

    def __post_init__(self) -> None:
        if self.longest_s < self.shortest_s:
            raise ValueError(f"longest_s {self.longest_s:g} is below shortest_s {self.shortest_s:g}")


_COUNTED = ("max_detection_ticks", "max_detection_samples", "max_recovery_ticks", "max_recovery_samples")
_OF_FAULTS, _OF_STREAMS = (*_COUNTED, "min_accuracy"), ("min_retention",)


class Limits(Strict):
    """What must hold, beside an answer at every tick with finite outputs; None, and what is not named: no limit.

    A number alone holds for all; by kind, a fault's own entry comes before its family's, and that before `any`.
    Ticks and samples are counted as `edgefuse.scores` says; accuracies are shares of the answers that are right.
    """

    max_detection_ticks: Counts | None = None
    max_detection_samples: Counts | None = None
    max_recovery_ticks: Counts | None = None
    max_recovery_samples: Counts | None = None
    max_false_alarms: Count | None = None
    max_undetected: Count | None = None
    min_retention: Shares | None = None
    min_accuracy: Shares | None = None
    min_mra: Fraction | None = None
    min_ra: Fraction | None = None

    def __post_init__(self) -> None:
        for limit in (*_OF_FAULTS, *_OF_STREAMS):
            table = by_name(getattr(self, limit))
            for name in table if limit in _OF_FAULTS else ():
                if name != ANY:
                    _refuse_unknown(name, limit)
            if table:
                force_setattr(self, limit, table)  # one form, however it was written


class Campaign(Strict):
    """One campaign: `each` puts in one fault at a time, in one window; `storm` many at random over one long replay.

    kinds       faults or whole families; streams: None is every stream that the source feeds
    severities  of the faults that have levels
    delay_ms, jump_s, share, drift_ppm  as `edgefuse.faults.Fault` has them
    through     `answer`: the whole engine; `trust`: streams, health and fallback alone, many times faster
    times       how often the recording is played, one time after the other
    """

    seed: Annotated[int, Meta(ge=0)] = 0
    mode: Literal["each", "storm"] = "each"
    kinds: Annotated[tuple[str, ...], Meta(min_length=1)]
    streams: Annotated[tuple[Name, ...], Meta(min_length=1)] | None = None
    severities: Annotated[tuple[Severity, ...], Meta(min_length=1)] = (1, 3, 5)
    window: Window
    through: Literal["answer", "trust"] = "answer"
    times: Annotated[int, Meta(ge=1, le=10_000)] = 1
    storm: Storm = field(default_factory=Storm)
    delay_ms: NotNegative = 300.0
    jump_s: Finite = 100.0
    share: Fraction = 0.3
    drift_ppm: Annotated[float, Meta(ge=-1e6, le=1e6)] = 100.0
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for i, name in enumerate(self.kinds):
            _refuse_unknown(name, "kinds", str(i))


@dataclass(frozen=True, slots=True)
class Trial:
    """One replay with its faults; they name the model's streams."""

    name: str
    faults: tuple[Fault, ...]


def load_campaign(path: str | os.PathLike[str]) -> Campaign:
    """Read a campaign file. Anything wrong is a ConfigError naming the file and the key."""
    return load_as(Campaign, path)


def trials_of(campaign: Campaign, kind_of: Mapping[str, str], length_s: float, place: str) -> tuple[Trial, ...]:
    """The replays that a campaign asks for.

    kind_of   stream -> modality kind of what the source feeds it; length_s: of the recording
    A ConfigError names the key that does not fit them.
    """
    if campaign.window.to_s > length_s:
        raise ConfigError(
            f"{campaign.window.to_s:g} s is after the end of the recording, {length_s:.1f} s",
            place=f"{place}: window.to_s",
        )
    pairs = list(_pairs(campaign, _chosen(campaign, kind_of, place), place))
    if campaign.mode == "storm":
        faults = [
            fault for stream in dict.fromkeys(s for _, s in pairs) for fault in _storm_of(campaign, pairs, stream)
        ]
        return (Trial("storm", tuple(faults)),)
    return tuple(
        Trial(_name(kind, stream, severity), (_fault(campaign, kind, stream, severity),))
        for kind, stream in pairs
        for severity in (dict.fromkeys(campaign.severities) if KINDS[kind].graded else (None,))
    )


def _chosen(campaign: Campaign, kind_of: Mapping[str, str], place: str) -> dict[str, str]:
    for i, stream in enumerate(campaign.streams or ()):
        if stream not in kind_of:
            raise ConfigError(
                f"no stream {stream!r} that the source feeds; there are {', '.join(kind_of)}",
                place=f"{place}: streams.{i}",
            )
    return {stream: kind_of[stream] for stream in campaign.streams or kind_of}


def _pairs(campaign: Campaign, kind_of: Mapping[str, str], place: str) -> Iterator[tuple[str, str]]:
    """Each fault with each stream that it fits, once; a fault or family that fits none would test nothing."""
    found: dict[tuple[str, str], None] = {}
    for i, name in enumerate(campaign.kinds):
        own = [(kind, s) for kind in _members(name) for s, m in kind_of.items() if _fits(kind, m)]
        if not own:
            raise ConfigError(f"{name!r} fits none of {', '.join(kind_of)}", place=f"{place}: kinds.{i}")
        found.update(dict.fromkeys(own))
    yield from found


def _members(name: str) -> Sequence[str]:
    return [name] if name in KINDS else [kind for kind, row in KINDS.items() if row.family == name]


def _fits(kind: str, modality: str) -> bool:
    fits = KINDS[kind].fits
    return fits is None or modality in fits


def _name(kind: str, stream: str, severity: int | None) -> str:
    return f"{kind} on {stream}" + ("" if severity is None else f", severity {severity}")


def _fault(campaign: Campaign, kind: str, stream: str, severity: int | None, at: Window | None = None) -> Fault:
    window = at or campaign.window
    return Fault(
        stream=stream,
        kind=kind,
        from_s=window.from_s,
        to_s=window.to_s,
        delay_ms=campaign.delay_ms,
        jump_s=campaign.jump_s,
        severity=severity or 3,
        share=campaign.share,
        drift_ppm=campaign.drift_ppm,
    )


def _storm_of(campaign: Campaign, pairs: Sequence[tuple[str, str]], stream: str) -> Iterator[Fault]:
    """The faults of one stream, one after the other, each drawn from those that fit it."""
    rng, storm = np.random.default_rng((campaign.seed, zlib.crc32(stream.encode()))), campaign.storm
    kinds = [kind for kind, own in pairs if own == stream]
    at_s = campaign.window.from_s + storm.rest_s * rng.random()
    while (end_s := at_s + rng.uniform(storm.shortest_s, storm.longest_s)) <= campaign.window.to_s:
        kind, severity = kinds[rng.integers(len(kinds))], int(rng.choice(campaign.severities))
        yield _fault(campaign, kind, stream, severity, Window(from_s=round(at_s, 3), to_s=round(end_s, 3)))
        at_s = end_s + storm.rest_s * rng.uniform(1.0, 2.0)
