"""ROS messages become payloads whatever their layout; clouds, fixes and transforms against plain arithmetic."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="the extra `bag` is not installed")

from edgefuse.ros.clouds import points_of
from edgefuse.ros.frames import Frames
from edgefuse.ros.messages import READERS, fix_of, matrix_of, stamp_of
from small_bag import T, cloud, fix, header, image, transform

XYZ = np.random.default_rng(0).normal(0, 20, (12, 3)).astype(np.float32)
BRIGHT = np.linspace(0, 1, 12).astype(np.float32)


def table(fields: list[tuple[str, str]], gaps: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    """The twelve points in fields of these types, with so many bytes between them."""
    names, formats = [name for name, _ in fields], [form for _, form in fields]
    sizes = [np.dtype(form).itemsize + gaps for form in formats]
    offsets = np.cumsum([0, *sizes[:-1]]).tolist()
    rows = np.zeros(
        12, np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": sum(sizes) + gaps})
    )
    for column, axis in enumerate("xyz"):
        if axis in names:
            rows[axis] = XYZ[:, column]
    return rows


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("gaps", [0, 3])
@pytest.mark.parametrize("names", ["xyz", "zyx", "yxz"])
def test_points_are_found_wherever_their_fields_lie(order: str, gaps: int, names: str) -> None:
    rows = table([(name, f"{order}f4") for name in names] + [("intensity", f"{order}f4"), ("ring", f"{order}u2")], gaps)
    rows["intensity"] = BRIGHT
    found = points_of(cloud(rows, big=order == ">"))
    assert (found.dtype, found.shape, found.dtype.isnative) == (np.float32, (12, 4), True)
    np.testing.assert_array_equal(found, np.column_stack([XYZ, BRIGHT]))


def test_doubles_are_read_too_and_a_cloud_without_reflectance_is_given_zeros() -> None:
    found = points_of(cloud(table([("x", "<f8"), ("y", "<f8"), ("z", "<f8")])))
    np.testing.assert_array_equal(found, np.column_stack([XYZ, np.zeros(12)]))


@pytest.mark.parametrize(("form", "most"), [("u1", 255), ("<u2", 65535)])
@pytest.mark.parametrize("name", ["intensity", "reflectivity", "reflectance", "i"])
def test_whole_numbers_of_reflectance_are_shares_of_the_largest(form: str, most: int, name: str) -> None:
    rows = table([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), (name, form)])
    rows[name] = [0, most] * 6
    np.testing.assert_array_equal(points_of(cloud(rows))[:, 3], [0.0, 1.0] * 6)


def test_an_organised_cloud_with_padded_rows_is_the_same_points() -> None:
    rows = table([("x", "<f4"), ("y", "<f4"), ("z", "<f4")])
    message = cloud(rows.reshape(3, 4))
    padded = np.concatenate([np.pad(row, (0, 5)) for row in message.data.reshape(3, -1)])
    message.row_step, message.data = message.row_step + 5, padded
    np.testing.assert_array_equal(points_of(message)[:, :3], XYZ)


def test_points_without_an_echo_are_left_out_only_where_the_cloud_admits_them() -> None:
    rows = table([("x", "<f4"), ("y", "<f4"), ("z", "<f4")])
    rows["y"][[2, 7]] = np.nan, np.inf
    assert len(points_of(cloud(rows, dense=False))) == 10
    assert not np.isfinite(points_of(cloud(rows, dense=True))).all()


def test_a_cloud_of_no_points_is_an_empty_payload() -> None:
    assert points_of(cloud(table([("x", "<f4"), ("y", "<f4"), ("z", "<f4")])[:0])).shape == (0, 4)


def broken(**changes: Any) -> Any:
    message = cloud(table([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4")]))
    for name, value in changes.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (cloud(table([("x", "<f4"), ("y", "<f4")])), "has no field z; there are x, y"),
        (cloud(table([("intensity", "<f4")])), "has no field x, y, z"),
        (broken(point_step=15), "field intensity at byte 12 ends after the point's 15 bytes"),
        (broken(width=13), "13 x 1 points of 16 bytes with a row_step of 192 do not lie in 192 bytes"),
        (broken(height=2), "12 x 2 points"),
        (broken(height=2, width=6, row_step=90), "with a row_step of 90"),
        (broken(data=np.zeros(0, np.uint8)), "do not lie in 0 bytes"),
    ],
)
def test_a_cloud_whose_layout_lies_is_refused(message: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        points_of(message)


@pytest.mark.parametrize(("change", "words"), [({"datatype": 9}, "type 9"), ({"count": 3}, "count 3")])
def test_a_field_of_no_known_type_is_refused(change: dict[str, int], words: str) -> None:
    message = broken()
    for name, value in change.items():
        setattr(message.fields[1], name, value)
    with pytest.raises(ValueError, match=f"field y has .*{words}"):
        points_of(message)


def test_two_fields_of_one_name_are_refused() -> None:
    message = broken()
    message.fields[1].name = "x"
    message.fields[2].name = "y"
    message.fields[3].name = "z"
    message.fields.append(SimpleNamespace(name="x", offset=0, datatype=7, count=1))
    with pytest.raises(ValueError, match="two fields of one name"):
        points_of(message)


def test_a_fix_keeps_the_diagonal_of_its_covariance() -> None:
    np.testing.assert_array_equal(fix_of(fix(0, status=2)), [49.0, 8.4, 115.0, 1.0, 2.0, 9.0, 2.0])


def test_a_fix_that_does_not_know_its_covariance_is_as_good_as_a_stand_alone_one() -> None:
    np.testing.assert_array_equal(fix_of(fix(0, covariance_type=0)), [49.0, 8.4, 115.0, 25.0, 25.0, 100.0, 0.0])


def test_an_imu_and_an_odometry_are_vectors_in_the_order_that_is_told() -> None:
    v, q = T["geometry_msgs/msg/Vector3"], T["geometry_msgs/msg/Quaternion"]
    imu = SimpleNamespace(
        orientation=q(x=1.0, y=2.0, z=3.0, w=4.0),
        angular_velocity=v(x=5.0, y=6.0, z=7.0),
        linear_acceleration=v(x=8.0, y=9.0, z=10.0),
    )
    read = READERS["sensor_msgs/msg/Imu"](imu)
    assert (read.kind, read.payload.tolist()) == ("vector", list(range(1, 11)))
    pose = SimpleNamespace(position=v(x=1.0, y=2.0, z=3.0), orientation=q(x=4.0, y=5.0, z=6.0, w=7.0))
    twist = SimpleNamespace(linear=v(x=8.0, y=9.0, z=10.0), angular=v(x=11.0, y=12.0, z=13.0))
    odometry = SimpleNamespace(pose=SimpleNamespace(pose=pose), twist=SimpleNamespace(twist=twist))
    assert READERS["nav_msgs/msg/Odometry"](odometry).payload.tolist() == list(range(1, 14))


def test_a_picture_s_kind_depends_on_its_encoding() -> None:
    read = READERS["sensor_msgs/msg/Image"]
    assert read(image(np.zeros((2, 3, 3), np.uint8), "rgb8", 0)).kind == "camera"
    assert read(image(np.zeros((2, 3), np.uint16), "16UC1", 0)).kind == "depth"


def test_a_stamp_that_nobody_has_set_is_none() -> None:
    assert stamp_of(SimpleNamespace(header=header(1_500_000_000))) == 1_500_000_000
    assert stamp_of(SimpleNamespace(header=header(0))) is None
    assert stamp_of(SimpleNamespace()) is None


QUARTER = (0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5))  # of a turn about z


def test_a_transform_turns_and_then_moves() -> None:
    matrix = matrix_of(transform("a", "b", (1.0, 2.0, 3.0), QUARTER).transforms[0].transform)
    np.testing.assert_allclose(matrix @ [1.0, 0.0, 0.0, 1.0], [1.0, 3.0, 3.0, 1.0], atol=1e-12)
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-12)


def test_a_rotation_of_no_length_is_refused() -> None:
    with pytest.raises(ValueError, match="rotation of length 0"):
        matrix_of(transform("a", "b", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)).transforms[0].transform)


def test_frames_are_connected_over_their_common_ancestor() -> None:
    frames = Frames()
    frames.learn(transform("base", "lidar", (0.0, 0.0, 2.0), (0.0, 0.0, 0.0, 1.0)))
    frames.learn(transform("/base", "/mast", (1.0, 0.0, 0.0), QUARTER))
    frames.learn(transform("mast", "cam", (0.0, 0.5, 0.0), (0.0, 0.0, 0.0, 1.0)))
    matrix = frames.between("lidar", "cam")
    assert matrix is not None
    # base: (3, 4, 5) -> mast: turned back by a quarter, (4, -2, 5) -> cam: (4, -2.5, 5)
    np.testing.assert_allclose(matrix @ [3.0, 4.0, 3.0, 1.0], [4.0, -2.5, 5.0, 1.0], atol=1e-12)
    back = frames.between("cam", "lidar")
    assert back is not None
    np.testing.assert_allclose(back @ matrix, np.eye(4), atol=1e-12)
    assert frames.between("lidar", "elsewhere") is None
    np.testing.assert_array_equal(frames.between("lidar", "lidar"), np.eye(4))  # type: ignore[arg-type]


def test_a_loop_of_frames_ends() -> None:
    frames = Frames()
    frames.learn(transform("a", "b", (1.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)))
    frames.learn(transform("b", "a", (1.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)))
    assert frames.between("a", "c") is None


def test_the_newest_word_of_a_frame_counts_and_one_that_is_not_finite_does_not() -> None:
    frames = Frames()
    frames.learn(transform("a", "b", (1.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)))
    frames.learn(transform("a", "b", (2.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)))
    with pytest.raises(ValueError, match="the transform from b to a is not finite"):
        frames.learn(transform("a", "b", (np.nan, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)))
    matrix = frames.between("b", "a")
    assert matrix is not None and matrix[0, 3] == 2.0
