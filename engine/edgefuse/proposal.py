"""Proposal: a configuration that feeds a bundle's streams from a source's topics, with what it cannot know marked."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence

from edgefuse.geodesy import Origin, enu_from_geodetic
from edgefuse.manifest import Manifest, StreamSpec
from edgefuse.survey import Survey, TopicSurvey

MARK = "# ?"
FUTURE_MS = -20.0  # an offset below it, or above the next, is of a clock of its own and not of a transport
SLOW_TRANSPORT_MS = 1000.0
SAME_CLOCK_MS = 20.0
UNEVEN = 1.3  # mean of the intervals over their median, above which there is no period to speak of
NEAR_ORIGIN_M = 10_000.0
_SAME_STAMPS = 0.95
_PLAIN = re.compile(r"/?[A-Za-z][A-Za-z0-9_/.-]*")
_RESERVED = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}  # what YAML may take for something else

Feeds = Mapping[str, TopicSurvey | None]


def proposal(found: Survey, manifest: Manifest, source: str) -> str:
    """YAML of a `RunConfig` that runs this bundle on that source; lines with `# ?` are guesses or what is lacking.

    Each stream gets the topic of its name, or the first of its kind and shape that no other has; others are named.
    """
    feeds = _feeds(found.topics, manifest.streams)
    clocks = _clocks(feeds)
    rates = [topic.rate_hz for topic in feeds.values() if topic is not None and topic.rate_hz is not None]
    quickest = f"the quickest stream comes {max(rates):.4g} times a second" if rates else "answers a second"
    lines = [
        f"# For bundle {manifest.name} on {_scalar(source)}, proposed by edgefuse doctor; look at every {MARK}",
        f"tick_hz: 10  {MARK} {quickest}",
        "streams:",
    ]
    for spec in manifest.streams:
        lines += _stream(spec, feeds, clocks, found, manifest)
    return "\n".join(lines) + "\n"


def _stream(
    spec: StreamSpec, feeds: Feeds, clocks: Mapping[str, str], found: Survey, manifest: Manifest
) -> Iterator[str]:
    topic = feeds[spec.name]
    if topic is None:
        yield f"  {spec.name}: {{}}  {MARK} no topic of kind {spec.kind} is left for it"
        return
    yield f"  {spec.name}:"
    for line in (
        f"topic: {_scalar(topic.name)}{_others(topic, feeds, found)}",
        *_shape(spec, topic),
        *_period(spec, topic),
        *_clock(spec.name, clocks),
        *_parent(spec, topic, feeds, manifest),
        *(_origin(spec, topic) if spec.kind == "gps" else ()),
    ):
        yield f"    {line}"


def _feeds(topics: Sequence[TopicSurvey], streams: Sequence[StreamSpec]) -> dict[str, TopicSurvey | None]:
    """Which topic feeds which stream: those of the same name first, then what fits, then what is left of the kind."""
    left = {topic.name: topic for topic in topics if topic.count}
    feeds: dict[str, TopicSurvey | None] = {}
    for fits in (lambda s, t: s.name == t.name, lambda s, t: not [*_shape(s, t)], lambda s, t: True):
        for spec in (spec for spec in streams if spec.name not in feeds):
            names = [name for name, topic in left.items() if topic.kind == spec.kind and fits(spec, topic)]
            if names:
                feeds[spec.name] = left.pop(names[0])
    return {spec.name: feeds.get(spec.name) for spec in streams}


def _others(topic: TopicSurvey, feeds: Feeds, found: Survey) -> str:
    taken = {own.name for own in feeds.values() if own is not None}
    names = [own.name for own in found.topics if own.kind == topic.kind and own.name not in taken]
    return f"  {MARK} or {', '.join(map(_scalar, names))}" if names else ""


def _shape(spec: StreamSpec, topic: TopicSurvey) -> Iterator[str]:
    wanted = f"float32 {list(spec.tensor_shape)}"
    if spec.kind == "vector" and topic.payload != (wanted,):
        yield f"{MARK} its payload is {'; '.join(topic.payload)}, the model takes {wanted}"


def _period(spec: StreamSpec, topic: TopicSurvey) -> Iterator[str]:
    if topic.median_ms is None or topic.count < 3 or topic.median_ms <= 0.0:
        yield f"{MARK} period_ms: {topic.count} samples tell none"
        return
    mean_ms = 1e3 / topic.rate_hz if topic.rate_hz else math.inf
    uneven = not 1.0 / UNEVEN <= mean_ms / topic.median_ms <= UNEVEN
    value = f"period_ms: {_digits(topic.median_ms)}"
    yield f"{MARK} {value} is the usual one, but the mean is {_digits(mean_ms)}" if uneven else value
    if topic.median_ms > spec.fresh_ms:
        yield f"{MARK} fresh_ms: the model's {spec.fresh_ms:g} end before the next sample comes"


def _clocks(feeds: Feeds) -> dict[str, str]:
    """Stream -> name of its clock, of those whose offsets no transport makes; one name for offsets that are alike."""
    anchors: dict[str, float] = {}
    clocks: dict[str, str] = {}
    for stream, topic in feeds.items():
        own = None if topic is None else topic.offset
        if own is None or (FUTURE_MS <= own.least_ms <= SLOW_TRANSPORT_MS and not own.jumps):
            continue
        near = (name for name, at_ms in anchors.items() if abs(at_ms - own.least_ms) <= SAME_CLOCK_MS)
        clocks[stream] = next(near, stream)
        anchors.setdefault(clocks[stream], own.least_ms)
    return clocks


def _clock(stream: str, clocks: Mapping[str, str]) -> Iterator[str]:
    if stream not in clocks:
        return
    shared = "" if clocks[stream] == stream else f"  {MARK} its offset is as that one's: is it the same clock?"
    yield f"clock: {clocks[stream]}{shared}"
    yield f"{MARK} latency_ms: least time from capture to arrival, which stamps of another clock do not tell"


def _parent(spec: StreamSpec, topic: TopicSurvey, feeds: Feeds, manifest: Manifest) -> Iterator[str]:
    """A depth that carries a lidar's stamps is most likely made of it."""
    if spec.kind != "depth" or spec.derived_from is not None:
        return
    twins = {
        own.kind: own.name
        for own in reversed(manifest.streams)
        if (other := feeds[own.name]) is not None and own.kind in ("lidar", "camera") and _same_stamps(topic, other)
    }
    if "lidar" in twins and "camera" not in twins:
        yield f"derived_from: {twins['lidar']}  {MARK} it carries the same stamps"
    elif twins:
        what = " or ".join(sorted(twins.values()))
        yield f"{MARK} derived_from: {what}, whose stamps it carries, if it is computed from that"


def _same_stamps(a: TopicSurvey, b: TopicSurvey) -> bool:
    known = set(b.stamps_ns)
    return sum(stamp in known for stamp in a.stamps_ns) >= _SAME_STAMPS * a.count > 0


def _origin(spec: StreamSpec, topic: TopicSurvey) -> Iterator[str]:
    """Where the model's metres are counted from: its own origin while that is near, else the first fix."""
    own = spec.preprocess
    if topic.fix is None:
        yield f"{MARK} preprocess: no fix has come that could be an origin"
        return
    latitude, longitude, altitude_m = topic.fix
    try:
        origin = Origin(float(own["latitude_deg"]), float(own["longitude_deg"]), float(own.get("altitude_m", 0.0)))
        away_m = math.hypot(*map(float, enu_from_geodetic(latitude, longitude, altitude_m, origin)[:2]))
    except (KeyError, TypeError, ValueError):
        away_m = math.inf
    if away_m <= NEAR_ORIGIN_M:
        yield f"{MARK} preprocess: the model's own origin is {away_m:.0f} m from the first fix and is kept"
        return
    place = f"latitude_deg: {latitude:.7f}, longitude_deg: {longitude:.7f}, altitude_m: {altitude_m:.2f}"
    yield f"preprocess: {{{place}}}  {MARK} the first fix"


def _digits(value: float) -> str:
    """Four of them, and no power of ten that YAML would not take for a number."""
    return f"{value:.4g}" if value < 1e4 else f"{value:.0f}"


def _scalar(text: str) -> str:
    """Text as a YAML scalar on one line, quoted where it might be taken for something else."""
    return text if _PLAIN.fullmatch(text) and text.lower() not in _RESERVED else json.dumps(text)
