"""What a fault is, what it may know of its stream, and what a row of the table says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from msgspec.structs import replace

from edgefuse.modalities import Modality
from edgefuse.modalities.base import contract_reason
from edgefuse.types import Array, Sample

FaultKind = str  # a key of `edgefuse.faults.KINDS`, which is the one list of them

# Of kinds: what is at fault, the delivery, the clock, or a kind of sensor.
FAMILIES = ("transport", "time", "camera", "depth", "lidar", "gps")
SEVERITIES = (1, 2, 3, 4, 5)
MAX_DRIFT_PPM = 1e6

Level = TypeVar("Level")
Five = tuple[Level, Level, Level, Level, Level]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong with one stream for a while.

    from_s, to_s  the window [from_s, to_s), in seconds of arrival after the source's first sample; to_s may be infinite
    delay_ms      how much later samples arrive (`delayed`)
    jump_s        what the sensor's clock is off by, either way (`stamp_jump`)
    severity      1 to 5, of the kinds that are graded
    share         the chance of each sample to be lost, 0 to 1 (`intermittent`)
    drift_ppm     how much too fast the sensor's clock runs, in millionths (`clock_drift`)
    """

    stream: str
    kind: FaultKind
    from_s: float
    to_s: float
    delay_ms: float = 300.0
    jump_s: float = 100.0
    severity: int = 3
    share: float = 0.3
    drift_ppm: float = 100.0


@dataclass(slots=True)
class Memory:
    """What a fault keeps from sample to sample: how many it was given, and a state with the time it is of."""

    count: int = 0
    state: Array | None = None
    into_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Moment:
    """What a fault may know beside its sample.

    rng        chance, new at every sample
    seed       of `lasting`
    modality   the stream's modality kind
    last_good  the newest payload of the stream before any fault of it
    earlier    the newest payload that arrived at least the kind's `looks_back_s` before, untouched; None: none did
    into_s     seconds of arrival since the fault began
    period_ns  mean time between arrivals of the stream so far, 0 at the first
    memory     the fault's own
    """

    rng: np.random.Generator
    seed: tuple[int, ...]
    modality: str
    last_good: Array
    earlier: Array | None
    into_s: float
    period_ns: int
    memory: Memory = field(default_factory=Memory)

    def lasting(self) -> np.random.Generator:
        """Chance that falls the same way at every sample: a beam that is dead stays dead."""
        return np.random.default_rng(self.seed)


Apply = Callable[[Sample, Fault, Moment], tuple[Sample, ...]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table.

    apply         the samples that come in place of one: none where it is lost; they arrive with it or later
    family        one of `FAMILIES`
    what          what it does, as a clause; of a graded kind with the meaning of its levels
    fits          the modality kinds that it makes sense for; None: all
    levels        what each severity stands for, the mildest first; empty where severity does not matter
    looks_back_s  how old `Moment.earlier` has to be; 0: it is not asked for
    """

    apply: Apply
    family: str
    what: str
    fits: frozenset[str] | None = None
    levels: tuple[Any, ...] = ()
    looks_back_s: float = 0.0

    @property
    def graded(self) -> bool:
        """Does the severity matter?"""
        return bool(self.levels)


def level_of(levels: Five[Level], fault: Fault) -> Level:
    """What the fault's severity stands for."""
    return levels[fault.severity - 1]


def readable(payload: Array, modality: Modality) -> bool:
    """Is there something to corrupt: does the payload meet its contract, and hold anything?"""
    shape = payload.shape if modality.shape is None else modality.shape
    return payload.size > 0 and contract_reason(payload, modality.dtype, shape) is None


def graded(
    modality: Modality,
    what: str,
    levels: Five[Level],
    change: Callable[[Array, Level, Moment], Array],
) -> Kind:
    """A corruption in five levels: `change` gives a new payload, and never writes into the one it is given."""

    def apply(sample: Sample, fault: Fault, moment: Moment) -> tuple[Sample, ...]:
        return _reread(sample, modality, lambda payload: change(payload, level_of(levels, fault), moment))

    return Kind(apply, modality.kind, what, frozenset({modality.kind}), levels)


def plain(modality: Modality, what: str, change: Callable[[Array, Moment], Array]) -> Kind:
    """A corruption that has no levels; `change` as in `graded`."""

    def apply(sample: Sample, _fault: Fault, moment: Moment) -> tuple[Sample, ...]:
        return _reread(sample, modality, lambda payload: change(payload, moment))

    return Kind(apply, modality.kind, what, frozenset({modality.kind}))


def _reread(sample: Sample, modality: Modality, change: Callable[[Array], Array]) -> tuple[Sample, ...]:
    # What an earlier fault has made unreadable, or the sensor itself sent so, has no content left to corrupt.
    if not readable(sample.payload, modality):
        return (sample,)
    with np.errstate(over="ignore", invalid="ignore"):
        return (replace(sample, payload=np.ascontiguousarray(change(sample.payload))),)


def some_of(count: int, share: float, rng: np.random.Generator) -> Array:
    """A random choice of `share` of `count` things, at least one: bool [count].

    The same chance with a larger share chooses the same things and more, so that severities are nested.
    """
    chosen: Array = np.zeros(count, np.bool_)
    chosen[rng.permutation(count)[: max(1, round(share * count))]] = True
    return chosen
