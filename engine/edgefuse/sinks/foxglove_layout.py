"""The layout for Foxglove that a person imports once: pictures, clouds, a map, trust as lanes, ages and latency.

In the form in which Foxglove exports a layout to a file: `configById` holds each panel's settings, `layout` how they
share the window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgefuse.colours import MODE_COLOURS, STATE_COLOURS, line_colours
from edgefuse.ros.answers import RESULT_TOPIC
from edgefuse.ros.written import topic_of
from edgefuse.sinks.foxglove_messages import ROOT_FRAME, TRUST

Panels = dict[str, dict[str, Any]]


def layout(kinds: Mapping[str, str]) -> dict[str, Any]:
    """The layout for streams of these kinds, by name."""
    rows = [row for row in (_seen(kinds), _trusted(kinds), _plotted(kinds)) if row]
    return {
        "configById": {panel: config for row in rows for panel, config in row.items()},
        "globalVariables": {},
        "userNodes": {},
        "playbackConfig": {"speed": 1},
        "layout": _shared("column", [_shared("row", list(row)) for row in rows]),
    }


def _seen(kinds: Mapping[str, str]) -> Panels:
    """What the sensors saw."""
    panels = {f"Image!{s}": _image(s, kind) for s, kind in kinds.items() if kind in ("camera", "depth")}
    clouds, places = _of(kinds, "lidar"), _of(kinds, "gps")
    if clouds:
        panels["3D!clouds"] = _clouds(clouds)
    if places:
        colours = {topic_of(stream): colour for stream, colour in zip(places, line_colours(len(places)), strict=True)}
        follow = {"followTopic": topic_of(places[0]), "zoomLevel": 18, "topicColors": colours}
        panels["Map!places"] = {**_title("places"), **follow}
    return panels


def _image(stream: str, kind: str) -> dict[str, Any]:
    colours = {"colorMode": "colormap", "colorMap": "turbo"} if kind == "depth" else {}
    return {**_title(stream), "imageMode": {"imageTopic": topic_of(stream), **colours}}


def _clouds(streams: Sequence[str]) -> dict[str, Any]:
    by_height = {"visible": True, "colorMode": "colormap", "colorMap": "turbo", "colorField": "z", "pointSize": 3}
    return {
        **_title("clouds"),
        "topics": {topic_of(stream): by_height for stream in streams},
        "followTf": ROOT_FRAME,
        "cameraState": {"perspective": True, "distance": 60, "phi": 55, "thetaOffset": 90},
    }


def _trusted(kinds: Mapping[str, str]) -> Panels:
    """A lane for the mode and one for each stream's trust, and beside them the newest result."""
    lanes = [_lane("mode", f"{RESULT_TOPIC}.mode", MODE_COLOURS)]
    lanes += [_lane(stream, f"{RESULT_TOPIC}.streams.{stream}.state", STATE_COLOURS) for stream in kinds]
    return {
        "StateTransitions!trust": {**_title("mode, and trust in each stream"), "paths": lanes, "isSynced": True},
        "RawMessages!result": {**_title("answer"), "topicPath": RESULT_TOPIC},
    }


def _lane(label: str, path: str, colours: Mapping[str, str]) -> dict[str, Any]:
    states = [{"value": state, "label": state, "color": colour} for state, colour in colours.items()]
    return {
        "value": path,
        "label": label,
        "enabled": True,
        "timestampMethod": "receiveTime",
        "customStates": {"type": "discrete", "states": states},
    }


def _plotted(kinds: Mapping[str, str]) -> Panels:
    """Ages, latency, what is expected, and vectors."""
    ages = {stream: f"{TRUST}.streams.{stream}.age_ms" for stream in kinds}
    panels = {
        "Plot!ages": _plot("age of what is used, ms", ages),
        "Plot!latency": _plot("latency of an answer, ms", {"latency_ms": f"{TRUST}.latency_ms"}),
        "Plot!expected": _plot("expected metric", {"expected": f"{TRUST}.expected"}),
    }
    for stream in _of(kinds, "vector"):
        panels[f"Plot!{stream}"] = _plot(stream, {stream: f"{topic_of(stream)}.values"}, arrayExpansion="byIndex")
    return panels


def _plot(title: str, paths: Mapping[str, str], **more: str) -> dict[str, Any]:
    common = {"enabled": True, "timestampMethod": "receiveTime", **more}
    lines = [
        {"value": path, "label": label, "color": colour, **common}
        for (label, path), colour in zip(paths.items(), line_colours(len(paths)), strict=True)
    ]
    return {**_title(title), "paths": lines, "isSynced": True, "showLegend": True, "xAxisVal": "timestamp"}


def _title(text: str) -> dict[str, str]:
    return {"foxglovePanelTitle": text}


def _of(kinds: Mapping[str, str], wanted: str) -> list[str]:
    return [stream for stream, kind in kinds.items() if kind == wanted]


def _shared(direction: str, parts: Sequence[Any]) -> Any:
    """Parts that share the space evenly, as halves of halves."""
    if len(parts) == 1:
        return parts[0]
    half = (len(parts) + 1) // 2
    return {
        "direction": direction,
        "first": _shared(direction, parts[:half]),
        "second": _shared(direction, parts[half:]),
        "splitPercentage": round(100.0 * half / len(parts), 1),
    }
