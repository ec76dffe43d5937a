"""What flows through the engine: samples in, trust and results out, with their units and shapes stated once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from msgspec import Struct, field
from msgspec.structs import asdict
from numpy.typing import NDArray

from edgefuse.reasons import LEVEL as LEVEL  # noqa: PLC0414
from edgefuse.reasons import Health as Health  # noqa: PLC0414
from edgefuse.reasons import Reason as Reason  # noqa: PLC0414

Array = NDArray[Any]
F16 = NDArray[np.float16]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000

State = Literal["fresh", "held", "imputed", "absent"]
Mode = Literal["full", "degraded", "abstain", "blind"]
Rung = Literal["hold", "impute", "mean", "token", "mask"]


class Sample(Struct, frozen=True):
    """One reading of one sensor, as the sensor gave it.

    stream      name of the stream (in an engine) or of the topic (from a source)
    stamp_ns    capture time on the engine clock
    payload     the reading; shape, dtype and units per modality kind (see `edgefuse.modalities`)
    arrival_ns  when it reached this computer, on the engine clock; the stamp itself where a recording does not say
    number      which of its stream's samples it is, counted by the engine
    """

    stream: str
    stamp_ns: int
    payload: Array
    arrival_ns: int | None = None
    number: int = 0

    @property
    def arrived_ns(self) -> int:
        return self.stamp_ns if self.arrival_ns is None else self.arrival_ns


class Arrival(Struct, frozen=True):
    """A sample that is due at a tick, and what is wrong with its stamp, if anything is."""

    sample: Sample
    reason: Reason | None


class Judged(Struct, frozen=True):
    """The verdict on a stream at a tick: the sample that may still be used, if any, and whether it is fresh.

    trusted   number -> stamp_ns of this and earlier trusted samples, for whoever has no embedding of the newest yet
    failed    number of the sample whose embedding turned out to be unusable
    """

    health: Health
    reason: Reason | None
    age_ms: float | None
    sample: Sample | None
    fresh: bool
    trusted: Mapping[int, int] = field(default_factory=dict)
    failed: int | None = field(default=None)

    def lost(self, reason: Reason, failed: int | None = None) -> Judged:
        """The same stream, with its sample taken away for a reason found later."""
        return Judged(LEVEL[reason], reason, self.age_ms, None, False, failed=failed)

    def found(self, reason: Reason | None) -> Judged:
        """The same stream, with its sample taken away if there is a reason that only the answer has shown."""
        sample = self.sample
        return self if reason is None or sample is None else self.lost(reason, sample.number)

    def set_aside(self) -> Judged:
        """The same stream, not asked for by the model; what is wrong with it stays said."""
        if self.sample is None or self.health not in ("ok", "warn"):
            return Judged(self.health, self.reason, self.age_ms, None, False)
        return self.lost("not_asked")


class Trust(Struct, frozen=True):
    """What the engine holds of one stream at one tick, and why.

    age_ms is the tick's time minus the stamp of the sample in use, or of the newest one known where none is in use;
    None when the stream has never delivered. `rung` names the step of the fallback ladder that was taken, None when
    the embedding is fresh.
    """

    state: State
    health: Health
    reason: Reason | None = None
    age_ms: float | None = None
    rung: Rung | None = None

    @property
    def present(self) -> bool:
        """Is the answer made from this stream's own samples?"""
        return self.state in ("fresh", "held")

    @property
    def available(self) -> bool:
        """Could it have been made from them, had the model asked?"""
        return self.present or self.reason == "not_asked"

    def as_json(self) -> dict[str, object]:
        age = None if self.age_ms is None else round(self.age_ms, 3)
        return {"state": self.state, "health": self.health, "reason": self.reason, "age_ms": age, "rung": self.rung}


class Expected(Struct, frozen=True):
    """What the datasheet measured at export for exactly this subset of streams: value in [low, high] at 95 %.

    Of streams that are held, it is less what their age was measured to cost. better: is more of the metric good, or
    less?
    """

    metric: str
    value: float
    low: float
    high: float
    n: int
    better: Literal["higher", "lower"] = "higher"

    def as_json(self) -> dict[str, object]:
        return asdict(self)


class Result(Struct, frozen=True):
    """One answer: what it is, what it was made from, and how good it is expected to be.

    outputs    name -> float32 vector, as the head gives it (class logits, regression values, similarities)
    labels     name -> the class of the largest probability, or the nearest entry, for outputs that have labels
    probabilities  name -> float32 [K] of an output that is class logits: softmax(logits / T + b), T and b the
               datasheet's for these streams, 1 and 0 where it measured none
    attribution  output -> stream -> float64 [K]: its exact Shapley value, the part of outputs - prior that it made;
               exactly 0 for an absent stream. Empty unless `explain` asks for it
    matches    name -> (label, similarity) of the nearest entries, the nearest first, for outputs that are similarities
    why        what makes the mode `abstain`, in words
    expected   None where the bundle measured nothing, or where `in_domain` is False
    in_domain  False when the samples come from another world than the one the model was trained on, None when unknown
    timing_ms  stage -> duration of this tick's stage, and of its parts as `encode.camera`; "total" is all of `step`
    """

    t_ns: int
    mode: Mode
    outputs: Mapping[str, F32]
    labels: Mapping[str, str]
    streams: Mapping[str, Trust]
    expected: Expected | None
    in_domain: bool | None
    timing_ms: Mapping[str, float]
    bundle: tuple[str, int]
    why: str | None = None
    matches: Mapping[str, Sequence[tuple[str, float]]] = field(default_factory=dict)
    probabilities: Mapping[str, F32] = field(default_factory=dict)
    attribution: Mapping[str, Mapping[str, F64]] = field(default_factory=dict)

    @property
    def used(self) -> tuple[str, ...]:
        """The streams whose own samples this answer was made from."""
        return tuple(name for name, trust in self.streams.items() if trust.present)

    def as_json(self) -> dict[str, object]:
        """The result as one JSON-ready line; floats round-trip exactly, non-finite values never occur.

        Of similarities, which may be thousands, the line holds the matches alone.
        """
        outputs = {name: values for name, values in self.outputs.items() if name not in self.matches}
        return {
            "t_ns": self.t_ns,
            "mode": self.mode,
            **({"why": self.why} if self.why else {}),
            "outputs": {name: _floats(values) for name, values in outputs.items()},
            "probabilities": {name: _floats(values) for name, values in self.probabilities.items()},
            "labels": dict(self.labels),
            "streams": {name: trust.as_json() for name, trust in self.streams.items()},
            "expected": self.expected.as_json() if self.expected else None,
            "in_domain": self.in_domain,
            "timing_ms": {stage: round(ms, 4) for stage, ms in self.timing_ms.items()},
            "bundle": {"name": self.bundle[0], "version": self.bundle[1]},
            **({"matches": {name: _pairs(found) for name, found in self.matches.items()}} if self.matches else {}),
            **({"attribution": self._attribution()} if self.attribution else {}),
        }

    def _attribution(self) -> dict[str, dict[str, list[float]]]:
        parts = self.attribution.items()
        return {output: {name: _floats(phi) for name, phi in streams.items()} for output, streams in parts}


def _floats(values: Array) -> list[float]:
    return [float(v) for v in values]


def _pairs(found: Sequence[tuple[str, float]]) -> list[dict[str, object]]:
    return [{"label": label, "similarity": similarity} for label, similarity in found]


class Account(Struct):
    """What became of a stream's samples: received = used + the sum of dropped + waiting, always.

    used     answers were made from them
    waiting  no tick has judged them yet, or they are trusted and no answer has been made from them so far
    clock_jumps  how often the sensor's own clock was seen to jump, and followed
    """

    received: int = 0
    used: int = 0
    waiting: int = 0
    clock_jumps: int = 0
    dropped: dict[Reason, int] = field(default_factory=dict)

    def drop(self, reason: Reason) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "dropped": dict(sorted(self.dropped.items()))}
