"""Foxglove's messages of samples and results, by kind: what each channel carries.

Frames: every sensor has a frame of its own name under `vehicle`. A bundle does not say where its sensors are mounted,
so all of them are put at one place and look forward: x forward, y left, z up, and of cameras and depth as usual for
optics z forward, x right, y down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgefuse.sinks.shown import MODE_NUMBERS, STATE_NUMBERS, jpeg
from edgefuse.types import NS_PER_S, Array, Result, Sample

ROOT_FRAME = "vehicle"
TRUST, FRAMES = "/edgefuse/trust", "/tf"

_OPTICAL_XYZW = (-0.5, 0.5, -0.5, 0.5)  # x right, y down, z forward, seen from x forward, y left, z up
_FORWARD_XYZW = (0.0, 0.0, 0.0, 1.0)
_MOST_S = (1 << 32) - 1  # that a Foxglove stamp can hold

_NUMBER, _TEXT = {"type": "number"}, {"type": "string"}
VECTOR_SCHEMA = {
    "type": "object",
    "title": "edgefuse.Vector",
    "properties": {
        "timestamp": {"type": "object", "properties": {"sec": {"type": "integer"}, "nsec": {"type": "integer"}}},
        "values": {"type": "array", "items": _NUMBER},
    },
}


@dataclass(frozen=True, slots=True)
class Form:
    """How samples of one kind are sent: the name of the channel's class, and what makes a stream's message."""

    channel: str
    message: Callable[[str, Sample, Array], Any]


def _camera(stream: str, sample: Sample, picture: Array) -> Any:
    from foxglove.messages import CompressedImage

    return CompressedImage(timestamp=stamp(sample), frame_id=stream, data=jpeg(picture), format="jpeg")


def _depth(stream: str, sample: Sample, picture: Array) -> Any:
    from foxglove.messages import RawImage

    rows, columns = picture.shape
    return RawImage(
        timestamp=stamp(sample),
        frame_id=stream,
        width=columns,
        height=rows,
        encoding="16UC1",
        step=columns * picture.itemsize,
        data=picture.tobytes(),
    )


def _lidar(stream: str, sample: Sample, points: Array) -> Any:
    from foxglove.messages import PackedElementField, PackedElementFieldNumericType, PointCloud

    names = ("x", "y", "z", "reflectance")
    kind = PackedElementFieldNumericType.Float32
    fields = [PackedElementField(name=name, offset=4 * k, type=kind) for k, name in enumerate(names)]
    return PointCloud(
        timestamp=stamp(sample),
        frame_id=stream,
        pose=_pose(),
        point_stride=points.strides[0],
        fields=fields,
        data=points.tobytes(),
    )


def _gps(stream: str, sample: Sample, fix: Array) -> Any:
    from foxglove.messages import LocationFix, LocationFixPositionCovarianceType

    latitude_deg, longitude_deg, altitude_m, east_m2, north_m2, up_m2, _ = map(float, fix)
    return LocationFix(
        timestamp=stamp(sample),
        frame_id=stream,
        latitude=latitude_deg,
        longitude=longitude_deg,
        altitude=altitude_m,
        position_covariance=[east_m2, 0.0, 0.0, 0.0, north_m2, 0.0, 0.0, 0.0, up_m2],
        position_covariance_type=LocationFixPositionCovarianceType.DiagonalKnown,
    )


def _vector(stream: str, sample: Sample, values: Array) -> Any:
    sec, nsec = _sec_nsec(sample)
    return {"timestamp": {"sec": sec, "nsec": nsec}, "values": values.tolist()}


FORMS: Mapping[str, Form] = {
    "camera": Form("CompressedImageChannel", _camera),
    "depth": Form("RawImageChannel", _depth),
    "lidar": Form("PointCloudChannel", _lidar),
    "gps": Form("LocationFixChannel", _gps),
    "vector": Form("", _vector),
}


def stamp(sample: Sample) -> Any:
    """When the sensor says it was taken; when it came, where the stamp is none that Foxglove can hold."""
    from foxglove.messages import Timestamp

    return Timestamp(*_sec_nsec(sample))


def _sec_nsec(sample: Sample) -> tuple[int, int]:
    for time_ns in (sample.stamp_ns, sample.arrived_ns):
        if 0 <= time_ns <= _MOST_S * NS_PER_S:
            return divmod(time_ns, NS_PER_S)
    return 0, 0


def frames(kinds: Mapping[str, str]) -> Any:
    """Where the sensors are taken to be: all at one place, looking forward."""
    from foxglove.messages import FrameTransform, FrameTransforms, Quaternion, Vector3

    def transform(stream: str, kind: str) -> Any:
        x, y, z, w = _OPTICAL_XYZW if kind in ("camera", "depth") else _FORWARD_XYZW
        return FrameTransform(
            parent_frame_id=ROOT_FRAME,
            child_frame_id=stream,
            translation=Vector3(x=0.0, y=0.0, z=0.0),
            rotation=Quaternion(x=x, y=y, z=z, w=w),
        )

    return FrameTransforms(transforms=[transform(*item) for item in kinds.items()])


def _pose() -> Any:
    from foxglove.messages import Pose, Quaternion, Vector3

    return Pose(position=Vector3(x=0.0, y=0.0, z=0.0), orientation=Quaternion(x=0.0, y=0.0, z=0.0, w=1.0))


def result_schema(streams: Mapping[str, str]) -> dict[str, Any]:
    """The JSON schema of a result line with its truth, for a bundle of these streams."""
    trust = _object({"state": _TEXT, "health": _TEXT, "reason": _TEXT, "age_ms": _NUMBER, "rung": _TEXT})
    anything = {"type": "object"}
    expected = _object({"metric": _TEXT, **dict.fromkeys(("value", "low", "high", "n"), _NUMBER), "better": _TEXT})
    properties = {
        "t_ns": {"type": "integer"},
        **dict.fromkeys(("mode", "why"), _TEXT),
        **dict.fromkeys(("outputs", "probabilities", "labels", "truth", "matches", "attribution"), anything),
        "streams": _object(dict.fromkeys(streams, trust)),
        "expected": expected,
        "in_domain": {"type": "boolean"},
        "timing_ms": _object({"total": _NUMBER}),
        "bundle": _object({"name": _TEXT, "version": {"type": "integer"}}),
    }
    return {"title": "edgefuse.Result", **_object(properties)}


def trust_schema(streams: Mapping[str, str]) -> dict[str, Any]:
    """The JSON schema of `trust_numbers`."""
    stream = _object({"state": _NUMBER, "age_ms": _NUMBER})
    numbers = dict.fromkeys(("mode", "latency_ms", "expected"), _NUMBER)
    return {"title": "edgefuse.Trust", **_object({**numbers, "streams": _object(dict.fromkeys(streams, stream))})}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties)}


def trust_numbers(result: Result) -> dict[str, Any]:
    """A result as numbers alone, for plots; what is not known is left out.

    state: 3 fresh, 2 held, 1 imputed, 0 absent. mode: 3 full, 2 degraded, 1 abstain, 0 blind.
    """
    numbers: dict[str, Any] = {"mode": MODE_NUMBERS[result.mode], "streams": {}}
    for name, trust in result.streams.items():
        age = {} if trust.age_ms is None else {"age_ms": round(trust.age_ms, 3)}
        numbers["streams"][name] = {"state": STATE_NUMBERS[trust.state], **age}
    if "total" in result.timing_ms:
        numbers["latency_ms"] = round(result.timing_ms["total"], 4)
    if result.expected is not None:
        numbers["expected"] = result.expected.value
    return numbers
