"""Small recordings for tests, written by rosbags and mcap: a picture, a cloud, a fix, transforms, a calibration."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="the extra `bag` is not installed")

from rosbags.typesys import Stores, get_typestore

STORE = get_typestore(Stores.ROS2_HUMBLE)
ROS1 = get_typestore(Stores.ROS1_NOETIC)
T = STORE.types
SECOND = 1_000_000_000
Entry = tuple[str, int, Any]  # topic, time of recording in ns, message


def header(stamp_ns: int, frame: str = "base", store: Any = STORE) -> Any:
    stamp = store.types["builtin_interfaces/msg/Time"](sec=stamp_ns // SECOND, nanosec=stamp_ns % SECOND)
    given = {"seq": 0} if store is ROS1 else {}
    return store.types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame, **given)


def image(
    pixels: Any, encoding: str, stamp_ns: int, *, step: int | None = None, big: bool = False, store: Any = STORE
) -> Any:
    data = np.ascontiguousarray(pixels)
    step = data.nbytes // data.shape[0] if step is None else step
    return store.types["sensor_msgs/msg/Image"](
        header=header(stamp_ns, "cam", store),
        height=data.shape[0],
        width=data.shape[1],
        encoding=encoding,
        is_bigendian=int(big),
        step=step,
        data=np.frombuffer(data.tobytes(), np.uint8),
    )


def compressed(data: bytes, told: str, stamp_ns: int) -> Any:
    kind = T["sensor_msgs/msg/CompressedImage"]
    return kind(header=header(stamp_ns, "cam"), format=told, data=np.frombuffer(data, np.uint8))


def cloud(table: Any, stamp_ns: int = 0, *, dense: bool = True, big: bool = False, row_step: int | None = None) -> Any:
    """A structured array [n] or [h, w] as PointCloud2, laid out as its dtype says."""
    numbers = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 8}
    field = T["sensor_msgs/msg/PointField"]
    fields = [
        field(name=name, offset=offset, datatype=numbers[dtype.str[1:]], count=1)
        for name, (dtype, offset) in ((n, f[:2]) for n, f in table.dtype.fields.items())
    ]
    rows = table.reshape(1, -1) if table.ndim == 1 else table
    step = table.dtype.itemsize
    return T["sensor_msgs/msg/PointCloud2"](
        header=header(stamp_ns, "lidar"),
        height=rows.shape[0],
        width=rows.shape[1],
        fields=fields,
        is_bigendian=big,
        point_step=step,
        row_step=step * rows.shape[1] if row_step is None else row_step,
        data=np.frombuffer(rows.tobytes(), np.uint8),
        is_dense=dense,
    )


def fix(stamp_ns: int, *, status: int = 0, covariance_type: int = 2, store: Any = STORE) -> Any:
    kind = store.types["sensor_msgs/msg/NavSatStatus"]
    return store.types["sensor_msgs/msg/NavSatFix"](
        header=header(stamp_ns, "gps", store),
        status=kind(status=status, service=1),
        latitude=49.0,
        longitude=8.4,
        altitude=115.0,
        position_covariance=np.array([1.0, 0.1, 0.0, 0.1, 2.0, 0.0, 0.0, 0.0, 9.0]),
        position_covariance_type=covariance_type,
    )


def transform(parent: str, child: str, moved: tuple[float, float, float], turned: tuple[float, ...]) -> Any:
    vector, quaternion = T["geometry_msgs/msg/Vector3"], T["geometry_msgs/msg/Quaternion"]
    x, y, z, w = turned
    inner = T["geometry_msgs/msg/Transform"](
        translation=vector(x=moved[0], y=moved[1], z=moved[2]), rotation=quaternion(x=x, y=y, z=z, w=w)
    )
    edge = T["geometry_msgs/msg/TransformStamped"](header=header(0, parent), child_frame_id=child, transform=inner)
    return T["tf2_msgs/msg/TFMessage"](transforms=[edge])


def camera_info(width: int, height: int, focal_px: float) -> Any:
    roi = T["sensor_msgs/msg/RegionOfInterest"](x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    k = np.array([focal_px, 0.0, width / 2, 0.0, focal_px, height / 2, 0.0, 0.0, 1.0])
    return T["sensor_msgs/msg/CameraInfo"](
        header=header(0, "cam"),
        height=height,
        width=width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=k,
        r=np.eye(3).reshape(-1),
        p=np.hstack([k.reshape(3, 3), np.zeros((3, 1))]).reshape(-1),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def write_bag2(folder: Path, entries: Iterable[Entry], plugin: str = "mcap", compression: str = "") -> Path:
    """A bag of ROS 2; compression: `zstd` as rosbag2 does it."""
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

    storage = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}[plugin]
    writer = Writer(folder, version=9, storage_plugin=storage)
    if compression:
        writer.set_compression(CompressionMode.MESSAGE, CompressionFormat.ZSTD)
    with writer:
        connections: dict[tuple[str, str], Any] = {}
        for topic, log_ns, message in entries:
            kind = message.__msgtype__
            if (topic, kind) not in connections:
                connections[topic, kind] = writer.add_connection(topic, kind, typestore=STORE)
            writer.write(connections[topic, kind], log_ns, STORE.serialize_cdr(message, kind))
    return folder


def write_bag1(path: Path, entries: Iterable[Entry]) -> Path:
    """A bag of ROS 1."""
    from rosbags.rosbag1 import Writer

    with Writer(path) as writer:
        connections: dict[str, Any] = {}
        for topic, log_ns, message in entries:
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=ROS1)
            writer.write(connections[topic], log_ns, ROS1.serialize_ros1(message, kind))
    return path


def write_mcap(path: Path, entries: Iterable[Entry], compression: str = "lz4", chunk_bytes: int = 20_000) -> Path:
    """A bare MCAP file with ROS 2 messages."""
    from mcap.writer import CompressionType, Writer

    with path.open("wb") as file:
        writer = Writer(file, chunk_size=chunk_bytes, compression=CompressionType[compression.upper() or "NONE"])
        writer.start("ros2", "test")
        channels: dict[tuple[str, str], int] = {}
        for topic, log_ns, message in entries:
            kind = message.__msgtype__
            if (topic, kind) not in channels:
                text = STORE.generate_msgdef(kind, ros_version=2)[0]
                schema = writer.register_schema(kind, "ros2msg", text.encode())
                channels[topic, kind] = writer.register_channel(topic, "cdr", schema)
            data = bytes(STORE.serialize_cdr(message, kind))
            writer.add_message(channels[topic, kind], log_ns, data, log_ns)
        writer.finish()
    return path
