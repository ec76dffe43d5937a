"""Faults of delivery: samples that are lost, late, doubled or out of order, or stamped by a clock that is off."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from edgefuse.faults.base import Fault, Kind, Moment
from edgefuse.types import NS_PER_MS, NS_PER_S, Sample

KEPT_OF_SLOW = 4  # one sample in so many
ECHO_NS = 10 * NS_PER_MS  # between the two deliveries of a duplicate


def later(sample: Sample, by_ns: int) -> Sample:
    """The same sample, arriving later."""
    return replace(sample, arrival_ns=sample.arrived_ns + by_ns)


def restamped(sample: Sample, by_ns: int) -> Sample:
    """The same sample under another stamp, arriving when it did."""
    # The arrival is written down first: where it is the stamp itself, it would jump along.
    return replace(sample, stamp_ns=sample.stamp_ns + by_ns, arrival_ns=sample.arrived_ns)


def _off(_sample: Sample, _fault: Fault, _moment: Moment) -> tuple[Sample, ...]:
    return ()


def _slow(sample: Sample, _fault: Fault, moment: Moment) -> tuple[Sample, ...]:
    return (sample,) if moment.memory.count % KEPT_OF_SLOW == 0 else ()


def _intermittent(sample: Sample, fault: Fault, moment: Moment) -> tuple[Sample, ...]:
    return () if moment.rng.random() < fault.share else (sample,)


def _duplicate(sample: Sample, _fault: Fault, _moment: Moment) -> tuple[Sample, ...]:
    return sample, later(sample, ECHO_NS)


def _reordered(sample: Sample, _fault: Fault, moment: Moment) -> tuple[Sample, ...]:
    # Halfway between the next arrival and the one after: needs no foresight, and bears half a period of jitter.
    first_of_pair = moment.memory.count % 2 == 0
    return (later(sample, moment.period_ns * 3 // 2) if first_of_pair else sample,)


def _delayed(sample: Sample, fault: Fault, _moment: Moment) -> tuple[Sample, ...]:
    return (later(sample, round(fault.delay_ms * NS_PER_MS)),)


def _stamp_jump(sample: Sample, fault: Fault, _moment: Moment) -> tuple[Sample, ...]:
    return (restamped(sample, round(fault.jump_s * NS_PER_S)),)


def _clock_drift(sample: Sample, fault: Fault, moment: Moment) -> tuple[Sample, ...]:
    return (restamped(sample, round(moment.into_s * NS_PER_S * fault.drift_ppm * 1e-6)),)


TRANSPORT: Mapping[str, Kind] = {
    "off": Kind(_off, "transport", "no sample comes"),
    "slow": Kind(_slow, "transport", f"only every {KEPT_OF_SLOW}th sample comes"),
    "intermittent": Kind(_intermittent, "transport", "each sample is lost with the chance `share`"),
    "duplicate": Kind(
        _duplicate,
        "transport",
        f"each sample comes a second time, {ECHO_NS // NS_PER_MS} ms later, under the same stamp",
    ),
    "reordered": Kind(
        _reordered, "transport", "the first of every two samples arrives after the second, 1.5 mean periods late"
    ),
    "delayed": Kind(_delayed, "transport", "samples arrive `delay_ms` later, under their true stamps"),
    "stamp_jump": Kind(_stamp_jump, "transport", "stamps are off by `jump_s`, arrivals are not"),
    "clock_drift": Kind(
        _clock_drift, "transport", "stamps run away from the arrivals by `drift_ppm` of the time since the fault began"
    ),
}
