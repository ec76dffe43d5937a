"""Readings as messages of ROS 2: each kind of payload in the type that ROS has for it, as CDR bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgefuse.ros.definitions import NUMBERS, TENSOR, VECTOR, made, typestore
from edgefuse.types import F32, F64, NS_PER_S, U8, Array

IMAGE, CLOUD, FIX = "sensor_msgs/msg/Image", "sensor_msgs/msg/PointCloud2", "sensor_msgs/msg/NavSatFix"
TEXT = "std_msgs/msg/String"
FLOAT32, DIAGONAL_KNOWN, POINT_BYTES = 7, 2, 16
_ANSWERS = ("result", "result_json", "trust")  # topics that are not of streams
_COLUMNS = ("x", "y", "z", "intensity")
_FIRST_S, _LAST_S = -(1 << 31), (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Written:
    """A message: its type, and its bytes with CDR's four in front."""

    type: str
    data: bytes


def written(name: str, message: Any) -> Written:
    """A message of a type as bytes; its strings and arrays must be as that type has them."""
    data = bytes(typestore().serialize_cdr(message, name, little_endian=True))
    return Written(name, data)


def reading(kind: str, payload: Any, stamp_ns: int, frame: str) -> Written:
    """A payload of a modality kind as a message; read again (`edgefuse.ros.messages`) it is the same to the bit.

    What is not as its kind states it, an empty picture say, becomes a Tensor, of which that holds too, but for what is
    no array of numbers: of that the type alone is written. A stamp of 0 means `unset` in ROS, and one beyond the year
    2038 is written as the last that there is.
    """
    array = payload if isinstance(payload, np.ndarray) else np.asarray(payload, object)
    how = _WRITERS.get(kind)
    if how is None or not how.fits(array):
        how = _AS_TENSOR
    fields = how.fields(np.asarray(array, order="C"))
    return written(how.type, made(how.type, header=header_of(stamp_ns, frame), **fields))


def header_of(stamp_ns: int, frame: str) -> Any:
    """A `std_msgs/Header`."""
    seconds, ns = divmod(int(stamp_ns), NS_PER_S)
    stamp = made("builtin_interfaces/msg/Time", sec=min(max(seconds, _FIRST_S), _LAST_S), nanosec=ns)
    return made("std_msgs/msg/Header", stamp=stamp, frame_id=frame)


def topic_of(stream: str) -> str:
    """The topic that a stream's readings are written on; one called like a topic of the answers has another."""
    return f"/edgefuse/streams/{stream}" if stream in _ANSWERS else f"/edgefuse/{stream}"


@dataclass(frozen=True, slots=True)
class _Writer:
    """The type for a kind, whether a payload is one of it, and all its fields but the header from a dense array."""

    type: str
    fits: Callable[[Array], bool]
    fields: Callable[[Array], dict[str, Any]]


def _bytes(array: Array) -> U8:
    return array.reshape(-1).view(np.uint8)


def _picture(encoding: str, pixel_bytes: int) -> Callable[[Array], dict[str, Any]]:
    def fields(picture: Array) -> dict[str, Any]:
        rows, columns = picture.shape[:2]
        layout = {"height": rows, "width": columns, "step": columns * pixel_bytes, "is_bigendian": 0}
        return {**layout, "encoding": encoding, "data": _bytes(picture)}

    return fields


def _cloud(points: F32) -> dict[str, Any]:
    offsets = range(0, POINT_BYTES, 4)
    columns = [
        made("sensor_msgs/msg/PointField", name=name, offset=offset, datatype=FLOAT32, count=1)
        for name, offset in zip(_COLUMNS, offsets, strict=True)
    ]
    layout = {"height": 1, "width": len(points), "point_step": POINT_BYTES, "row_step": len(points) * POINT_BYTES}
    # Dense: rays without an echo are left out of a payload, so what is not finite in it is a fault and has to stay.
    return {**layout, "fields": columns, "is_bigendian": False, "is_dense": True, "data": _bytes(points)}


def _fix(fix: F64) -> dict[str, Any]:
    covariance = np.diag(fix[3:6]).ravel()
    return {
        "status": made("sensor_msgs/msg/NavSatStatus", status=int(fix[6]), service=0),
        **dict(zip(("latitude", "longitude", "altitude"), fix[:3].tolist(), strict=True)),
        "position_covariance": covariance,
        "position_covariance_type": DIAGONAL_KNOWN,
    }


def _fix_fits(fix: Array) -> bool:
    return fix.dtype == np.float64 and fix.shape == (7,) and -128 <= fix[6] <= 127 and float(fix[6]).is_integer()


def _vector(values: F32) -> dict[str, Any]:
    return {"shape": np.array(values.shape, np.uint32), "data": values.ravel()}


def _tensor(array: Array) -> dict[str, Any]:
    numbers = array.dtype.kind in NUMBERS
    held = _bytes(array) if numbers else np.empty(0, np.uint8)
    return {"dtype": array.dtype.str, "shape": np.array(array.shape, np.uint32), "data": held}


def _is(dtype: type[np.generic], *shape: int | None) -> Callable[[Array], bool]:
    """Whether an array is of the dtype, in this computer's byte order, and the shape; None stands for 1 and more."""

    def fits(array: Array) -> bool:
        return (
            array.dtype == dtype
            and array.ndim == len(shape)
            and all(n == want if want is not None else n > 0 for n, want in zip(array.shape, shape, strict=True))
        )

    return fits


def _is_cloud(array: Array) -> bool:
    return array.dtype == np.float32 and array.ndim == 2 and array.shape[1] == len(_COLUMNS)


_AS_TENSOR = _Writer(TENSOR, lambda array: True, _tensor)
_WRITERS: Mapping[str, _Writer] = {
    "camera": _Writer(IMAGE, _is(np.uint8, None, None, 3), _picture("rgb8", 3)),
    "depth": _Writer(IMAGE, _is(np.uint16, None, None), _picture("16UC1", 2)),
    "lidar": _Writer(CLOUD, _is_cloud, _cloud),
    "gps": _Writer(FIX, _fix_fits, _fix),
    "vector": _Writer(VECTOR, lambda array: array.dtype == np.float32 and array.ndim > 0, _vector),
}
