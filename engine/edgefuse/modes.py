"""Modes: what an answer may be called, given what it was made from and what this device asks of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from edgefuse.types import Expected, Mode, Trust


class Demands(Struct, frozen=True):
    """What must hold for an answer not to be an abstention.

    require       of each tuple of streams at least one must be there
    min_expected  what the datasheet expects of the streams that are there must not be below this, where it says
    max_expected  nor above this, where the metric is an error
    """

    require: tuple[tuple[str, ...], ...] = ()
    min_expected: float | None = None
    max_expected: float | None = None


def mode_of(trusts: Sequence[Trust]) -> Mode:
    """full: every stream that the model asks for fresh; blind: none of them present; degraded: anything between."""
    states = {trust.state for trust in trusts if trust.reason != "not_asked"}
    if states == {"fresh"}:
        return "full"
    return "degraded" if states & {"fresh", "held"} else "blind"


def judged_mode(streams: Mapping[str, Trust], expected: Expected | None, demands: Demands) -> tuple[Mode, str | None]:
    """The mode, and what makes it `abstain`, in words."""
    mode = mode_of(list(streams.values()))
    if mode == "blind":
        return mode, None
    why = _unmet(streams, expected, demands)
    return (mode, None) if why is None else ("abstain", why)


def _unmet(streams: Mapping[str, Trust], expected: Expected | None, demands: Demands) -> str | None:
    for some in demands.require:
        if not any(streams[name].available for name in some):
            return f"needs {' or '.join(some)}"
    if expected is None:
        return None
    if demands.min_expected is not None and expected.value < demands.min_expected:
        return f"expected {expected.metric} {expected.value:.3g} is below {demands.min_expected:.3g}"
    if demands.max_expected is not None and expected.value > demands.max_expected:
        return f"expected {expected.metric} {expected.value:.3g} is above {demands.max_expected:.3g}"
    return None
