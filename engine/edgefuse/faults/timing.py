"""Faults of time in five levels: content that is older than its stamp says, and frames that are missing."""

from __future__ import annotations

from collections.abc import Mapping

from edgefuse.faults.base import Fault, Kind, Moment, level_of
from edgefuse.faults.transport import later, restamped
from edgefuse.types import NS_PER_MS, Sample

LAG_MS = (100.0, 200.0, 300.0, 600.0, 1000.0)
LOST_SHARE = (1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6)


def _lag(sample: Sample, fault: Fault, _moment: Moment) -> tuple[Sample, ...]:
    by_ns = round(level_of(LAG_MS, fault) * NS_PER_MS)
    # A pipeline that stamps what leaves it, not what it saw: age and latency look as they always did.
    return (restamped(later(sample, by_ns), by_ns),)


def _dropped_frames(sample: Sample, fault: Fault, moment: Moment) -> tuple[Sample, ...]:
    return () if moment.rng.random() < level_of(LOST_SHARE, fault) else (sample,)


TIMING: Mapping[str, Kind] = {
    "lag": Kind(_lag, "time", "content is so many ms older than its stamp says, and comes as much later", None, LAG_MS),
    "dropped_frames": Kind(_dropped_frames, "time", "each sample is lost with this chance", None, LOST_SHARE),
}
