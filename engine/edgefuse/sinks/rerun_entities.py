"""Rerun's entities: what is drawn of samples and results, and in which colours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from edgefuse.colours import MODE_COLOURS, STATE_COLOURS, line_colours
from edgefuse.reasons import REASONS
from edgefuse.sinks.rerun_blueprint import AGES, ANSWERS, EXPECTED, LATENCY, SEEN, TRUST
from edgefuse.sinks.shown import jpeg
from edgefuse.types import U8, Array, Health, Result, Trust

LOW_M, HIGH_M = -2.0, 6.0  # heights from which to which a cloud goes through its colours
SCALE_M = 5.0
LEVELS: Mapping[Health, str] = {"ok": "INFO", "warn": "WARN", "error": "ERROR", "stale": "ERROR"}


def _camera(rr: Any, picture: Array) -> Any:
    return rr.EncodedImage(contents=jpeg(picture), media_type="image/jpeg")


def _depth(rr: Any, picture: Array) -> Any:
    return rr.DepthImage(picture, meter=1000.0, colormap="turbo")


def _lidar(rr: Any, points: Array) -> Any:
    return rr.Points3D(points[:, :3], colors=heights(points[:, 2]), radii=rr.Radius.ui_points(2.0))


def _vector(rr: Any, values: Array) -> Any:
    return rr.Scalars(values.reshape(-1))


# What a sample of each kind becomes; a fix becomes a point of the track once its trust is known.
ENTITIES: Mapping[str, Callable[[Any, Array], Any]] = {
    "camera": _camera,
    "depth": _depth,
    "lidar": _lidar,
    "vector": _vector,
}


def heights(z_m: Array) -> U8:
    """Colours by height, uint8 [n, 3] RGB, of z float32 [n]."""
    import cv2

    shares = np.nan_to_num((z_m - LOW_M) / (HIGH_M - LOW_M)).clip(0.0, 1.0)
    bgr = cv2.applyColorMap((255.0 * shares).astype(np.uint8)[:, None], cv2.COLORMAP_TURBO)
    rgb: U8 = np.asarray(bgr, np.uint8)[:, 0, ::-1]
    return rgb


def styles(rr: Any, kinds: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """What holds for the whole run: colours of states, modes and lines, and their names."""
    for (stream, kind), colour in zip(kinds.items(), line_colours(len(kinds)), strict=True):
        yield f"{TRUST}/{stream}", trust_colours(rr)
        yield f"{AGES}/{stream}", rr.SeriesLines(names=stream, colors=rgb(colour))
        if kind == "lidar":
            yield f"{SEEN}/{stream}", rr.ViewCoordinates.FLU
    yield f"{ANSWERS}/mode", lane(rr, MODE_COLOURS)
    for path, name in ((LATENCY, "latency_ms"), (EXPECTED, "expected")):
        yield path, rr.SeriesLines(names=name, colors=rgb(line_colours(1)[0]))


def trust_colours(rr: Any) -> Any:
    """Every word that `trust_words` may give, in the colour of its state."""
    words = {words_of(state, reason): colour for state, colour in STATE_COLOURS.items() for reason in (None, *REASONS)}
    return lane(rr, words)


def lane(rr: Any, colours: Mapping[str, str]) -> Any:
    """The colours of a lane's states."""
    return rr.StateConfiguration(values=list(colours), colors=[rgb(colour) for colour in colours.values()])


def trust_words(trust: Trust) -> str:
    """What a lane says of a stream: its state, and the reason where there is one."""
    return words_of(trust.state, trust.reason)


def words_of(state: str, reason: str | None) -> str:
    """`held: stuck`."""
    return state if reason is None else f"{state}: {reason}"


def rgb(colour: str) -> tuple[int, int, int]:
    """`#rrggbb` as three numbers from 0 to 255."""
    red, green, blue = bytes.fromhex(colour.lstrip("#"))
    return red, green, blue


def lines(result: Result) -> Iterator[tuple[str, float]]:
    """The figures of a result by entity; what is not known is left out."""
    for stream, trust in result.streams.items():
        if trust.age_ms is not None:
            yield f"{AGES}/{stream}", trust.age_ms
    if "total" in result.timing_ms:
        yield LATENCY, result.timing_ms["total"]
    if result.expected is not None:
        yield EXPECTED, result.expected.value


def parts(result: Result) -> Iterator[tuple[str, str, float]]:
    """(output, stream, what it added to the label given, or to the first value) where that was asked for."""
    for output, streams in result.attribution.items():
        which = int(np.argmax(result.outputs[output])) if output in result.labels else 0
        for stream, values in streams.items():
            yield output, stream, float(values[which])


def answer(result: Result, truth: Mapping[str, str] | None) -> str:
    """The answer in words, Markdown."""
    given = ", ".join(result.labels.values()) or "; ".join(_short(values) for values in result.outputs.values())
    rows = [f"## {given}"]
    if truth:
        rows.append(f"truth: {', '.join(truth.values())}")
    rows.append(
        f"**{result.mode}**, from {', '.join(result.used) or 'nothing'}{f': {result.why}' if result.why else ''}"
    )
    if result.in_domain is False:
        rows.append("another world than the model was trained on: no meaning here")
    elif result.expected is not None:
        rows.append(f"expected {result.expected.metric}: {result.expected.value:.3g}")
    return "\n\n".join(rows)


def scale(rr: Any) -> Any:
    """What a track is measured by, from its first fix."""
    arrows, labels = [[SCALE_M, 0.0], [0.0, -SCALE_M]], [f"{SCALE_M:g} m east", f"{SCALE_M:g} m north"]
    return rr.Arrows2D(vectors=arrows, labels=labels, colors=rgb("#78909c"))


def _short(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.3g}" for value in list(values)[:8])
