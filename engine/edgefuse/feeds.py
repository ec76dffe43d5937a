"""Feeds: which topics of a source feed which streams; streams without one are told, no stream at all is refused."""

from __future__ import annotations

from collections.abc import Collection

from edgefuse.errors import ConfigError
from edgefuse.plan import Plan

_ADVICE = "`edgefuse doctor --source` proposes which feeds which"


def unfed(plan: Plan, topics: Collection[str], config_place: str) -> list[str]:
    """A note for each stream whose topic is not among these; a ConfigError when that is all of them."""
    offered = ", ".join(topics)
    lost = [own for own in plan.streams if own.topic not in topics]
    if len(lost) == len(plan.streams):
        wanted = ", ".join(own.topic for own in lost)
        raise ConfigError(f"the source offers {offered}; the streams want {wanted}; {_ADVICE}", place=config_place)
    return [f"note: stream {own.name!r}: the source has no topic {own.topic!r}; it offers {offered}" for own in lost]
