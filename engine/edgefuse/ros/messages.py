"""Messages of ROS as payloads: one table says which types are read, and as what kind of sensor."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgefuse.pictures import compressed_picture, kind_of, raw_picture
from edgefuse.ros.clouds import points_of
from edgefuse.ros.definitions import NUMBERS, TENSOR, VECTOR
from edgefuse.types import F32, F64, NS_PER_S, Array

NO_COVARIANCE = 0  # sensor_msgs/NavSatFix.COVARIANCE_TYPE_UNKNOWN
USUAL_SD_M = 5.0  # of a stand-alone receiver; taken where a fix does not say


@dataclass(frozen=True, slots=True)
class Read:
    """A payload, and the kind of sensor that it is of."""

    kind: str
    payload: Array


def _picture(message: Any) -> Read:
    payload = raw_picture(
        message.encoding, message.height, message.width, message.step, bool(message.is_bigendian), message.data
    )
    return Read(kind_of(payload), payload)


def _compressed(message: Any) -> Read:
    payload = compressed_picture(message.format, bytes(message.data))
    return Read(kind_of(payload), payload)


def _cloud(message: Any) -> Read:
    return Read("lidar", points_of(message))


def _fix(message: Any) -> Read:
    return Read("gps", fix_of(message))


def _imu(message: Any) -> Read:
    turned, turning, pushed = message.orientation, message.angular_velocity, message.linear_acceleration
    return Read("vector", _numbers(_turn(turned), _axes(turning), _axes(pushed)))


def _odometry(message: Any) -> Read:
    pose, twist = message.pose.pose, message.twist.twist
    return Read(
        "vector", _numbers(_axes(pose.position), _turn(pose.orientation), _axes(twist.linear), _axes(twist.angular))
    )


def _vector(message: Any) -> Read:
    return Read("vector", _shaped(np.asarray(message.data, np.float32), message.shape))


def _multi_array(message: Any) -> Read:
    values = np.asarray(message.data, np.float32)[int(message.layout.data_offset) :]
    sizes = [int(axis.size) for axis in message.layout.dim]
    return Read("vector", _shaped(values, sizes) if sizes else values)


def _tensor(message: Any) -> Read:
    if not re.fullmatch(rf"[<>|=][{NUMBERS}]\d{{1,2}}", message.dtype):
        raise ValueError(f"dtype {message.dtype!r} is not one of numbers")
    data = np.ascontiguousarray(np.asarray(message.data, np.uint8))
    try:
        values = data.view(np.dtype(message.dtype))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{data.size} bytes are no values of dtype {message.dtype!r}") from error
    return Read("vector", _shaped(values, message.shape))


def _shaped(values: Array, shape: Any) -> Array:
    sizes = tuple(int(size) for size in shape)
    if math.prod(sizes) != values.size:
        raise ValueError(f"a shape of {sizes} for {values.size} values")
    return values.reshape(sizes)


# Type -> what reads it. `vector` of an Imu: orientation x, y, z, w, angular velocity (rad/s), acceleration (m/s2), 10
# numbers; of an Odometry: position (m), orientation x, y, z, w, linear (m/s) and angular velocity (rad/s), 13 numbers.
# A Tensor is a reading that was not as its kind states it, of whatever stream it came on.
READERS: Mapping[str, Callable[[Any], Read]] = {
    "sensor_msgs/msg/Image": _picture,
    "sensor_msgs/msg/CompressedImage": _compressed,
    "sensor_msgs/msg/PointCloud2": _cloud,
    "sensor_msgs/msg/NavSatFix": _fix,
    "sensor_msgs/msg/Imu": _imu,
    "nav_msgs/msg/Odometry": _odometry,
    "std_msgs/msg/Float32MultiArray": _multi_array,
    VECTOR: _vector,
    TENSOR: _tensor,
}

# The kinds that are known before a message has been read; a picture's depends on its encoding.
KINDS: Mapping[str, str] = {
    "sensor_msgs/msg/PointCloud2": "lidar",
    "sensor_msgs/msg/NavSatFix": "gps",
    "sensor_msgs/msg/Imu": "vector",
    "nav_msgs/msg/Odometry": "vector",
    "std_msgs/msg/Float32MultiArray": "vector",
    VECTOR: "vector",
    TENSOR: "vector",
}


def fix_of(message: Any) -> F64:
    """A `sensor_msgs/NavSatFix` as float64 [7]: latitude, longitude (deg), altitude (m), variances (m2), status.

    A receiver that does not know its covariance is taken to be as good as a stand-alone one: a standard deviation of
    5 m to the east and north, of twice that up.
    """
    covariance = np.asarray(message.position_covariance, np.float64)
    if message.position_covariance_type == NO_COVARIANCE:
        variances = [USUAL_SD_M**2, USUAL_SD_M**2, (2.0 * USUAL_SD_M) ** 2]
    else:
        variances = [covariance[0], covariance[4], covariance[8]]
    place = [message.latitude, message.longitude, message.altitude]
    return np.array([*place, *variances, message.status.status], np.float64)


def stamp_of(message: Any) -> int | None:
    """The stamp of a message's header in nanoseconds; None where there is none, or where nobody has set it."""
    header = getattr(message, "header", None)
    if header is None:
        return None
    return int(header.stamp.sec) * NS_PER_S + int(header.stamp.nanosec) or None


def frame_of(message: Any) -> str:
    """The coordinate frame that a message is in, without the slash that old ROS puts before it."""
    return str(message.header.frame_id).lstrip("/")


def matrix_of(transform: Any) -> F64:
    """A `geometry_msgs/Transform` as float64 [4, 4], child to parent; ValueError where its turn is none."""
    x, y, z, w = _turn(transform.rotation)
    length = math.sqrt(x * x + y * y + z * z + w * w)
    if not 0.5 < length < 2.0:
        raise ValueError(f"a rotation of length {length:g}")
    x, y, z, w = x / length, y / length, z / length, w / length
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, 3] = _axes(transform.translation)
    return matrix


def _axes(vector: Any) -> tuple[float, float, float]:
    return float(vector.x), float(vector.y), float(vector.z)


def _turn(quaternion: Any) -> tuple[float, float, float, float]:
    return float(quaternion.x), float(quaternion.y), float(quaternion.z), float(quaternion.w)


def _numbers(*parts: tuple[float, ...]) -> F32:
    return np.array([value for part in parts for value in part], np.float32)
