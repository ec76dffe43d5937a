"""Choice: which of a stream's trusted samples a tick takes: the newest, the nearest, or one between two."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from edgefuse.types import Array, Sample

Interpolate = Callable[[Array, Array, float], Array]


class Choice(Struct, frozen=True):
    """A way to choose among trusted samples in order of stamp, and whether it may look past the tick's own time."""

    name: str
    looks_ahead: bool
    pick: Callable[[Sequence[Sample], int], Sample | None]


def newest(known: Sequence[Sample], _t_ns: int) -> Sample | None:
    """The last one: nothing later than the tick has been let in."""
    return known[-1] if known else None


def nearest(known: Sequence[Sample], t_ns: int) -> Sample | None:
    """The one whose stamp is nearest to the tick, before or after; the earlier of equals."""
    return min(known, key=lambda sample: abs(sample.stamp_ns - t_ns), default=None)


def interpolated(between: Interpolate, max_gap_ns: int, known: Sequence[Sample], t_ns: int) -> Sample | None:
    """What the sensor would have said at the tick, from the samples before and after, else the nearest.

    Over a gap longer than max_gap_ns nobody knows what lay between.
    """
    before = next((sample for sample in reversed(known) if sample.stamp_ns <= t_ns), None)
    after = next((sample for sample in known if sample.stamp_ns > t_ns), None)
    if before is None or after is None or before.stamp_ns == t_ns:
        return before or after
    if after.stamp_ns - before.stamp_ns > max_gap_ns:
        return nearest((before, after), t_ns)
    share = (t_ns - before.stamp_ns) / (after.stamp_ns - before.stamp_ns)
    return replace(after, stamp_ns=t_ns, payload=between(before.payload, after.payload, share))


def choice_of(name: str, between: Interpolate | None, max_gap_ns: int) -> Choice | None:
    """The choice of that name; None for `interpolated` where the kind of sensor has nothing between two samples."""
    if name == "newest":
        return Choice(name, False, newest)
    if name == "nearest":
        return Choice(name, True, nearest)
    return None if between is None else Choice(name, True, functools.partial(interpolated, between, max_gap_ns))
