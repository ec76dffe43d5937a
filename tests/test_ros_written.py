"""What is written as ROS 2 messages is what ROS 2 would write, and reads back as what it was, to the bit."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rosbags")

from edgefuse.reasons import REASONS
from edgefuse.ros.answers import RESULT_JSON_TOPIC, RESULT_TOPIC, answer, diagnostics
from edgefuse.ros.definitions import OWN, RESULT, TENSOR, VECTOR, decoded, definition, made, type_hash, typestore
from edgefuse.ros.messages import READERS, stamp_of
from edgefuse.ros.written import reading, topic_of, written
from edgefuse.sinks.foxglove_messages import TRUST
from edgefuse.types import Array, Expected, Result, Trust

RNG = np.random.default_rng(3)
PAYLOADS: Mapping[str, tuple[str, Array]] = {
    "camera": ("sensor_msgs/msg/Image", RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)),
    "depth": ("sensor_msgs/msg/Image", RNG.integers(0, 65536, (5, 7), dtype=np.uint16)),
    "lidar": ("sensor_msgs/msg/PointCloud2", RNG.normal(0.0, 9.0, (11, 4)).astype(np.float32)),
    "gps": ("sensor_msgs/msg/NavSatFix", np.array([50.4, 3.95, 60.1, 0.25, 0.5, 1.5, -1.0])),
    "vector": (VECTOR, RNG.normal(0.0, 1.0, (3, 4)).astype(np.float32)),
}
STAMP_NS = 1_700_000_000_123_456_789


def read_again(kind: str, payload: Any, stamp_ns: int = STAMP_NS) -> tuple[str, Array, int | None]:
    """(type of the message, payload, stamp) after being written and read."""
    message = reading(kind, payload, stamp_ns, "front")
    content = decoded(message.data, message.type)
    return message.type, READERS[message.type](content).payload, stamp_of(content)


def same_bits(a: Array, b: Array) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("kind", PAYLOADS)
def test_each_kind_reads_back_to_the_bit_with_its_stamp(kind: str) -> None:
    expected_type, payload = PAYLOADS[kind]
    found_type, found, stamp = read_again(kind, payload)
    assert found_type == expected_type
    assert same_bits(found, payload)
    assert stamp == STAMP_NS


def test_no_stream_shares_a_topic_with_the_answers_whatever_it_is_called() -> None:
    answers = {RESULT_TOPIC, RESULT_JSON_TOPIC, TRUST}
    called_so = [topic.rpartition("/")[2] for topic in sorted(answers)]
    topics = [topic_of(stream) for stream in (*called_so, "camera")]
    assert len({*topics, *answers}) == len(topics) + len(answers)
    assert topics[-1] == "/edgefuse/camera"


def test_a_picture_is_laid_out_as_ros_says() -> None:
    picture = PAYLOADS["camera"][1]
    data = reading("camera", picture, STAMP_NS, "abc").data
    # CDR by hand: little-endian mark; sec, nanosec; "abc\0" with its length; height, width; "rgb8\0", to a multiple of
    # four, with its length counted before; is_bigendian, to a multiple of four; step; bytes with their number.
    by_hand = (
        b"\x00\x01\x00\x00"
        + struct.pack("<iI", 1_700_000_000, 123_456_789)
        + struct.pack("<I4s", 4, b"abc\0")
        + struct.pack("<II", 5, 7)
        + struct.pack("<I5sB2x", 5, b"rgb8\0", 0)
        + struct.pack("<I", 21)
        + struct.pack("<I", 105)
        + picture.tobytes()
    )
    assert data == by_hand


def test_a_cloud_has_four_floats_a_point() -> None:
    points = PAYLOADS["lidar"][1]
    cloud = decoded(reading("lidar", points, 1, "top").data, "sensor_msgs/msg/PointCloud2")
    assert [(f.name, f.offset, f.datatype) for f in cloud.fields] == [
        ("x", 0, 7),
        ("y", 4, 7),
        ("z", 8, 7),
        ("intensity", 12, 7),
    ]
    assert (cloud.point_step, cloud.row_step, cloud.width, cloud.height) == (16, 11 * 16, 11, 1)
    assert cloud.header.frame_id == "top"
    assert bytes(cloud.data) == points.astype("<f4").tobytes()


def test_points_that_are_no_numbers_stay_for_they_are_a_fault() -> None:
    points = PAYLOADS["lidar"][1].copy()
    points[3, 1] = np.nan
    assert same_bits(read_again("lidar", points)[1], points)


def test_a_fix_has_its_variances_on_the_diagonal() -> None:
    fix = decoded(reading("gps", PAYLOADS["gps"][1], 1, "").data, "sensor_msgs/msg/NavSatFix")
    assert (fix.latitude, fix.longitude, fix.altitude) == (50.4, 3.95, 60.1)
    assert fix.position_covariance.tolist() == [0.25, 0, 0, 0, 0.5, 0, 0, 0, 1.5]
    assert fix.position_covariance_type == 2
    assert fix.status.status == -1


ODD: Mapping[str, tuple[str, Array]] = {
    "a camera's picture as float": ("camera", np.ones((2, 2, 3), np.float32)),
    "a picture without rows": ("camera", np.zeros((0, 7, 3), np.uint8)),
    "a picture with a batch axis": ("camera", np.zeros((1, 2, 2, 3), np.uint8)),
    "depth of the other byte order": ("depth", np.ones((2, 2), ">u2")),
    "a cloud of three columns": ("lidar", np.ones((3, 3), np.float32)),
    "a fix of float32": ("gps", np.ones(7, np.float32)),
    "a fix with half a status": ("gps", np.full(7, 0.5)),
    "a fix of nothing but NaN": ("gps", np.full(7, np.nan)),
    "a vector of float64": ("vector", np.ones(3)),
    "a vector without axes": ("vector", np.array(3.0, np.float32)),
    "a kind that is not known": ("smell", np.ones((2, 2), np.int16)),
}


@pytest.mark.parametrize("name", ODD)
def test_a_reading_that_is_not_as_its_kind_states_it_is_kept_as_it_is(name: str) -> None:
    kind, payload = ODD[name]
    found_type, found, _ = read_again(kind, payload)
    assert found_type == TENSOR
    assert same_bits(found, payload)


@pytest.mark.parametrize("payload", [None, "text", [1, [2, 3]], np.array([{}], object), np.array(["a"])])
def test_what_is_no_array_of_numbers_is_written_by_its_type_and_told_when_it_is_read(payload: Any) -> None:
    message = reading("camera", payload, 1, "")
    with pytest.raises(ValueError, match="is not one of numbers"):
        READERS[message.type](decoded(message.data, message.type))


def test_a_view_is_written_as_what_it_shows() -> None:
    picture = PAYLOADS["camera"][1][::2, ::-1]
    assert same_bits(read_again("camera", picture)[1], picture)


def test_a_cloud_without_points_reads_back_without_points() -> None:
    nothing = np.zeros((0, 4), np.float32)
    assert same_bits(read_again("lidar", nothing)[1], nothing)


@pytest.mark.parametrize(
    ("stamp_ns", "kept"), [(-1, -1), (1, 1), ((1 << 62), ((1 << 31) - 1) * 10**9 + (1 << 62) % 10**9), (0, None)]
)
def test_stamps_that_ros_cannot_hold_are_brought_to_its_last(stamp_ns: int, kept: int | None) -> None:
    assert read_again("gps", PAYLOADS["gps"][1], stamp_ns)[2] == kept


@pytest.mark.parametrize(
    ("dtype", "shape", "data", "told"),
    [
        ("|O", [1], b"12345678", "not one of numbers"),
        ("<f8,<f8", [1], b"1" * 16, "not one of numbers"),
        ("<f8", [2], b"1" * 8, "a shape of"),
        ("<f8", [1], b"1" * 9, "9 bytes are no values"),
        ("<f3", [1], b"1" * 3, "3 bytes are no values"),
    ],
)
def test_a_tensor_that_does_not_add_up_is_refused(dtype: str, shape: list[int], data: bytes, told: str) -> None:
    message = made(
        TENSOR, header=None, dtype=dtype, shape=np.array(shape, np.uint32), data=np.frombuffer(data, np.uint8)
    )
    with pytest.raises(ValueError, match=told):
        READERS[TENSOR](message)


def floats(sizes: list[int], values: list[float], offset: int = 0) -> Any:
    """A std_msgs/Float32MultiArray that was sent and received."""
    name = "std_msgs/msg/Float32MultiArray"
    axes = [made("std_msgs/msg/MultiArrayDimension", label="", size=size, stride=0) for size in sizes]
    layout = made("std_msgs/msg/MultiArrayLayout", dim=axes, data_offset=offset)
    message = made(name, layout=layout, data=np.array(values, np.float32))
    return decoded(written(name, message).data, name)


def test_plain_float_arrays_are_read_as_vectors_without_a_stamp() -> None:
    read = READERS["std_msgs/msg/Float32MultiArray"]
    assert read(floats([2, 2], [9, 1, 2, 3, 4], offset=1)).payload.tolist() == [[1, 2], [3, 4]]
    assert read(floats([], [1, 2, 3])).payload.tolist() == [1, 2, 3]
    assert stamp_of(floats([], [1])) is None
    with pytest.raises(ValueError, match="a shape of"):
        read(floats([3], [1, 2]))


def result(**changed: Any) -> Result:
    """An answer with one fresh, one held and one absent stream."""
    fields: dict[str, Any] = {
        "t_ns": STAMP_NS,
        "mode": "degraded",
        "outputs": {"class": np.array([1.0, -1.0], np.float32), "speed": np.array([0.5], np.float32)},
        "labels": {"class": "left"},
        "probabilities": {"class": np.array([0.75, 0.25], np.float32)},
        "streams": {
            "camera": Trust("fresh", "ok", None, 12.5),
            "lidar": Trust("held", "warn", "late", 300.0, "hold"),
            "gps": Trust("absent", "stale", "no_data", None, "mask"),
        },
        "expected": Expected("accuracy", 0.9, 0.8, 0.95, 100),
        "in_domain": None,
        "timing_ms": {"total": 1.5},
        "bundle": ("site", 3),
    }
    return Result(**{**fields, **changed})


def test_a_result_holds_the_answer_and_what_it_was_made_from() -> None:
    found = decoded(answer(result()).data, RESULT)
    assert (found.header.stamp.sec, found.header.stamp.nanosec) == (1_700_000_000, 123_456_789)
    assert (found.mode, found.why, found.bundle, found.bundle_version, found.total_ms) == (
        "degraded",
        "",
        "site",
        3,
        1.5,
    )
    assert found.streams == ["camera", "lidar", "gps"]
    assert found.states == ["fresh", "held", "absent"]
    assert found.reasons == ["", "late", "no_data"]
    assert found.ages_ms[:2].tolist() == [12.5, 300.0]
    assert math.isnan(found.ages_ms[2])
    assert found.outputs == ["class", "speed"]
    assert found.labels == ["left", ""]
    assert found.sizes.tolist() == [2, 1]
    assert found.values.tolist() == [1.0, -1.0, 0.5]
    assert found.probabilities[:2].tolist() == [0.75, 0.25]
    assert np.isnan(found.probabilities[2])
    assert (found.metric, found.expected, found.expected_low, found.expected_high) == ("accuracy", 0.9, 0.8, 0.95)


def test_a_result_without_an_expectation_or_streams_can_be_written() -> None:
    found = decoded(answer(result(expected=None, streams={}, outputs={}, mode="blind")).data, RESULT)
    assert found.metric == ""
    assert math.isnan(found.expected)
    assert found.streams == []
    assert found.values.size == 0


def test_of_similarities_the_nearest_entry_is_written_and_not_thousands_of_values() -> None:
    many = result(
        outputs={"place": np.zeros(5000, np.float32)}, labels={"place": "yard"}, matches={"place": [("yard", 0.9)]}
    )
    found = decoded(answer(many).data, RESULT)
    assert (found.labels, found.sizes.tolist(), found.values.size) == (["yard"], [0], 0)


def status(of: Result) -> dict[str, Any]:
    """Name -> status of the diagnostics of a result."""
    array = decoded(diagnostics(of).data, "diagnostic_msgs/msg/DiagnosticArray")
    return {status.name: status for status in array.status}


@pytest.mark.parametrize(("mode", "level"), [("full", 0), ("degraded", 1), ("abstain", 2), ("blind", 2)])
def test_the_engine_is_never_stale_to_those_it_speaks_to(mode: str, level: int) -> None:
    found = status(result(mode=mode, why="too little" if mode == "abstain" else None))["edgefuse"]
    assert found.level == level
    assert found.message == ("abstain: too little" if mode == "abstain" else mode)
    assert found.hardware_id == "site 3"


TRUSTS: Mapping[str, tuple[Trust, int]] = {
    "fresh": (Trust("fresh", "ok", None, 1.0), 0),
    "fresh but slow": (Trust("fresh", "warn", "low_rate", 1.0), 1),
    "held": (Trust("held", "ok", None, 1.0, "hold"), 1),
    "imputed": (Trust("imputed", "stale", "too_old", 1.0, "impute"), 1),
    "absent": (Trust("absent", "error", "blackout", 1.0, "mask"), 2),
    "not asked": (Trust("absent", "ok", "not_asked", 1.0, "mask"), 0),
}


@pytest.mark.parametrize("name", TRUSTS)
def test_a_stream_has_the_level_of_what_became_of_it(name: str) -> None:
    trust, level = TRUSTS[name]
    found = status(result(streams={"camera": trust}))["edgefuse: camera"]
    assert found.level == level
    assert found.message == (trust.state if trust.reason is None else f"{trust.reason}: {REASONS[trust.reason][1]}")
    values = {pair.key: pair.value for pair in found.values}
    assert values == {"state": trust.state, "health": trust.health, "age_ms": "1.0", "rung": trust.rung or "none"}


def test_the_hash_of_a_type_is_the_one_that_ros_gives_it() -> None:
    # As `ros2 topic info -v` of ROS 2 Jazzy prints them.
    image = "RIHS01_d31d41a9a4c4bc8eae9be757b0beed306564f7526c88ea6a4588fb9582527d47"
    cloud = "RIHS01_9198cabf7da3796ae6fe19c4cb3bdd3525492988c70522628af5daa124bae2b5"
    assert (type_hash("sensor_msgs/msg/Image"), type_hash("sensor_msgs/msg/PointCloud2")) == (image, cloud)


@pytest.mark.parametrize("name", OWN)
def test_our_own_types_can_be_read_from_the_definition_that_travels_with_them(name: str) -> None:
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg(definition(name), name))
    assert store.hash_rihs01(name) == type_hash(name)
    assert store.fielddefs[name] == typestore().fielddefs[name]


def test_another_implementation_of_cdr_reads_the_same() -> None:
    pytest.importorskip("cyclonedds")
    from dds_types import DiagnosticArray_, NavSatFix_

    fix = NavSatFix_.deserialize(reading("gps", PAYLOADS["gps"][1], STAMP_NS, "gps").data)
    assert (fix.latitude, fix.longitude, fix.altitude) == (50.4, 3.95, 60.1)
    assert (fix.header.stamp.sec, fix.header.stamp.nanosec, fix.header.frame_id) == (1_700_000_000, 123_456_789, "gps")
    assert list(fix.position_covariance) == [0.25, 0, 0, 0, 0.5, 0, 0, 0, 1.5]
    told = DiagnosticArray_.deserialize(diagnostics(result()).data)
    assert [(s.name, s.level) for s in told.status] == [
        ("edgefuse", 1),
        ("edgefuse: camera", 0),
        ("edgefuse: lidar", 1),
        ("edgefuse: gps", 2),
    ]
    assert told.status[2].message == f"late: {REASONS['late'][1]}"
