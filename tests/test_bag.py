"""Recordings of every form play as they were received; what is wrong in them is counted, told, and left behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags", reason="the extra `bag` is not installed")

from edgefuse.errors import SourceError
from edgefuse.sources import Problem, open_source
from edgefuse.types import Sample
from small_bag import (
    ROS1,
    SECOND,
    Entry,
    T,
    camera_info,
    cloud,
    compressed,
    fix,
    image,
    transform,
    write_bag1,
    write_bag2,
    write_mcap,
)

START_NS = 1_700_000_000 * SECOND
XYZI = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4")])
AHEAD = (0.5, -0.5, 0.5, -0.5)  # lidar (forward, left, up) to an optical frame (right, down, forward)


def at(k: int) -> int:
    return START_NS + k * SECOND // 10


def picture(k: int) -> Any:
    return np.random.default_rng(k).integers(0, 256, (12, 16, 3), np.uint8)


def points(k: int) -> Any:
    rows = np.zeros(50, XYZI)
    rng = np.random.default_rng(k)
    rows["x"], rows["y"], rows["z"] = rng.uniform(5, 30, 50), rng.uniform(-3, 3, 50), rng.uniform(-2, 2, 50)
    return rows


def entries(count: int = 10) -> Iterator[Entry]:
    """A robot with a camera, a lidar and a receiver, whose messages take 5 ms to be recorded."""
    yield "/tf_static", at(0), transform("base", "lidar", (0.0, 0.0, 1.0), (0.0, 0.0, 0.0, 1.0))
    yield "/tf_static", at(0), transform("base", "cam", (0.2, 0.0, 1.0), AHEAD)
    yield "/cam/camera_info", at(0), camera_info(64, 48, 40.0)
    for k in range(count):
        log_ns = at(k) + 5_000_000
        yield "/cam/image", log_ns, image(picture(k), "rgb8", at(k))
        yield "/points", log_ns + 1, cloud(points(k), at(k))
        yield "/fix", log_ns + 2, fix(at(k))
        yield "/chatter", log_ns + 3, T["std_msgs/msg/String"](data="hello")


def played(path: Path, **wanted: Any) -> tuple[list[Sample], list[Problem]]:
    source = open_source(f"bag:{path}")
    if wanted:
        source.want(wanted["topics"])
    return list(source.samples()), source.problems


TOPICS = {"/cam/image": "camera", "/fix": "gps", "/points": "lidar", "/cam/depth_from/points": "depth"}


@pytest.mark.parametrize("form", ["mcap", "sqlite3", "mcap zstd", "sqlite3 zstd", "bare", "bare zstd", "bare lz4"])
def test_every_form_of_a_ros_2_recording_gives_the_same_samples(tmp_path: Path, form: str) -> None:
    kind, _, compression = form.partition(" ")
    if kind == "bare":
        path = write_mcap(tmp_path / "r.mcap", entries(), compression)
    else:
        path = write_bag2(tmp_path / "bag", entries(), kind, compression)
    source = open_source(f"bag:{path}")
    assert (source.topics, source.length_s) == (TOPICS, pytest.approx(0.905, abs=1e-6))
    samples, problems = played(path)
    assert problems == []
    assert [s.stream for s in samples] == ["/cam/image", "/points", "/cam/depth_from/points", "/fix"] * 10
    for k in range(10):
        shown, cloud_of, depth, place = samples[4 * k : 4 * k + 4]
        np.testing.assert_array_equal(shown.payload, picture(k))
        np.testing.assert_array_equal(cloud_of.payload[:, 0], points(k)["x"])
        assert place.payload.tolist() == [49.0, 8.4, 115.0, 1.0, 2.0, 9.0, 0.0]
        assert {s.stamp_ns for s in (shown, cloud_of, depth, place)} == {at(k)}
        assert shown.arrived_ns == at(k) + 5_000_000 <= cloud_of.arrived_ns == depth.arrived_ns <= place.arrived_ns


def test_a_ros_1_bag_is_read_with_its_own_message_forms(tmp_path: Path) -> None:
    told = [
        ("/cam", at(k) + 9, image(picture(k), "rgb8", at(k), store=ROS1))
        if k % 2
        else ("/fix", at(k) + 9, fix(at(k), store=ROS1))
        for k in range(6)
    ]
    samples, problems = played(write_bag1(tmp_path / "r.bag", told))
    assert problems == []
    assert [(s.stream, s.stamp_ns, s.arrived_ns) for s in samples] == [
        ("/cam" if k % 2 else "/fix", at(k), at(k) + 9) for k in range(6)
    ]
    np.testing.assert_array_equal(samples[1].payload, picture(1))


def test_a_cloud_is_seen_by_the_camera_where_it_was_in_the_world(tmp_path: Path) -> None:
    rows = np.zeros(60, XYZI)
    rows["x"], rows["y"], rows["z"] = 10.2, 0.9, -0.5  # in the camera's frame: 0.9 m left, 0.5 m down, 10 m ahead
    depth = next(
        s
        for s in played(write_bag2(tmp_path / "b", [*entries(0), ("/points", at(0), cloud(rows))]))[0]
        if s.payload.ndim == 2 and s.payload.dtype == np.uint16
    )
    column, row = (32 - 40 * 0.9 / 10.0) // 4, (24 + 40 * 0.5 / 10.0) // 4
    want = np.zeros((12, 16), np.uint16)
    want[int(row), int(column)] = 10_000
    np.testing.assert_array_equal(depth.payload, want)


def test_without_a_transform_there_is_no_depth_and_it_is_told(tmp_path: Path) -> None:
    path = write_bag2(tmp_path / "b", [entry for entry in entries(2) if entry[0] != "/tf_static"])
    source = open_source(f"bag:{path}")
    assert "/cam/depth_from/points" not in source.topics
    assert source.problems == [Problem("/points", "no transform connects lidar with cam: no depth of it")]


def test_a_camera_that_is_not_calibrated_gives_no_depth_and_it_is_told(tmp_path: Path) -> None:
    told = [e if e[0] != "/cam/camera_info" else (*e[:2], camera_info(64, 48, 0.0)) for e in entries(1)]
    problems = open_source(f"bag:{write_bag2(tmp_path / 'b', told)}").problems
    assert [p.place for p in problems] == ["/cam/camera_info"]
    assert "no focal length" in problems[0].what


def test_only_what_is_wanted_is_read(tmp_path: Path) -> None:
    path = write_bag2(tmp_path / "b", entries())
    assert {s.stream for s in played(path, topics=["/fix"])[0]} == {"/fix"}
    assert {s.stream for s in played(path, topics=["/cam/depth_from/points"])[0]} == {"/cam/depth_from/points"}


def test_a_file_that_was_cut_off_plays_to_its_last_whole_message_and_says_so(tmp_path: Path) -> None:
    whole = write_mcap(tmp_path / "whole.mcap", entries(), "zstd", chunk_bytes=2000)
    every = [(s.stream, s.stamp_ns) for s in played(whole)[0]]
    lengths = []
    for share in (0.2, 0.4, 0.6):
        cut = tmp_path / f"{share}.mcap"
        data = whole.read_bytes()
        cut.write_bytes(data[: int(len(data) * share)])
        samples, problems = played(cut)
        assert [(s.stream, s.stamp_ns) for s in samples] == every[: len(samples)]
        assert len(problems) == 1 and problems[0].place == str(cut)
        assert "cut off: it ends without an index; read from the front:" in problems[0].what
        lengths.append(len(samples))
    assert 0 < lengths[0] < lengths[1] < lengths[2] < len(every)


def test_a_cut_file_within_a_bag_is_read_as_well(tmp_path: Path) -> None:
    folder = write_bag2(tmp_path / "b", entries())
    file = next(folder.glob("*.mcap"))
    file.write_bytes(file.read_bytes()[:-100])
    samples, problems = played(folder)
    assert len(samples) == 40
    assert any("cut off" in problem.what for problem in problems)


@pytest.mark.parametrize("plugin", ["mcap", "sqlite3"])
@pytest.mark.parametrize(
    "text", ["", "rosbag2_bagfile_information: {version: 9}", "a: [", "rosbag2_bagfile_information: 7"]
)
def test_a_bag_whose_metadata_is_wrong_plays_by_its_file(tmp_path: Path, plugin: str, text: str) -> None:
    folder = write_bag2(tmp_path / "b", entries(3), plugin)
    (folder / "metadata.yaml").write_text(text)
    samples, problems = played(folder)
    assert len(samples) == 12
    assert [p.place for p in problems] == [str(folder / next(folder.glob("*.[md][cb]*")).name)]
    assert "metadata is not used" in problems[0].what


def test_a_bag_of_ros_1_may_lie_alone_in_its_folder_and_of_several_one_is_to_be_named(tmp_path: Path) -> None:
    own = [("/fix", at(i), fix(at(i), store=ROS1)) for i in range(3)]
    write_bag1(tmp_path / "one.bag", own)
    samples, problems = played(tmp_path)
    assert len(samples) == 3 and problems == []
    write_bag1(tmp_path / "two.bag", own)
    with pytest.raises(SourceError, match=r"holds one\.bag, two\.bag, and no metadata\.yaml .* name one"):
        played(tmp_path)


def test_one_stamp_twice_is_for_the_engine_to_judge(tmp_path: Path) -> None:
    told = [("/fix", at(0), fix(at(0))), ("/fix", at(1), fix(at(0)))]
    assert [s.stamp_ns for s in played(write_bag2(tmp_path / "b", told))[0]] == [at(0), at(0)]


def test_what_cannot_be_read_is_counted_by_topic_and_the_rest_goes_on(tmp_path: Path) -> None:
    png = bytes(cv2.imencode(".png", picture(0))[1])
    rows = points(0)
    told: list[Entry] = []
    for k in range(4):
        told += [
            ("/odd", at(k), image(picture(k), "jpeg2000", at(k))),
            ("/lies", at(k), image(picture(k), "rgb8", at(k), step=7)),
            ("/short", at(k), compressed(png[:-9] if k else png, "png", at(k))),
            ("/flat", at(k), cloud(rows[["x", "y"]].astype([("x", "<f4"), ("y", "<f4")]), at(k))),
            ("/fix", at(k), fix(at(k))),
        ]
    samples, problems = played(write_mcap(tmp_path / "r.mcap", told))
    assert [s.stream for s in samples] == ["/short", "/fix", "/fix", "/fix", "/fix"]
    counts = {problem.place: (problem.count, problem.what) for problem in problems}
    assert counts["/short"] == (3, "not a PNG or JPEG, or cut short")
    assert counts["/odd"][0] == counts["/lies"][0] == counts["/flat"][0] == 4
    assert "encoding 'jpeg2000' is not known" in counts["/odd"][1]
    assert "16 x 12 pixels of 3 bytes with a step of 7" in counts["/lies"][1]
    assert "has no field z" in counts["/flat"][1]


def test_a_topic_that_changes_its_type_midway_is_told(tmp_path: Path) -> None:
    told = [("/t", at(0), fix(at(0))), ("/t", at(1), T["std_msgs/msg/String"](data="x")), ("/t", at(2), fix(at(2)))]
    samples, problems = played(write_mcap(tmp_path / "r.mcap", told))
    assert [s.stamp_ns for s in samples] == [at(0), at(2)]
    assert problems == [Problem("/t", "is of type std_msgs/msg/String now, which is not read")]


def test_a_message_that_is_not_of_its_type_is_told(tmp_path: Path) -> None:
    from mcap.writer import Writer

    from small_bag import STORE

    path = tmp_path / "r.mcap"
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start()
        text = STORE.generate_msgdef("sensor_msgs/msg/NavSatFix", ros_version=2)[0]
        channel = writer.register_channel(
            "/fix", "cdr", writer.register_schema("sensor_msgs/msg/NavSatFix", "ros2msg", text.encode())
        )
        writer.add_message(channel, at(0), bytes(STORE.serialize_cdr(fix(at(0)), "sensor_msgs/msg/NavSatFix")), at(0))
        writer.add_message(channel, at(1), b"\0\1\0\0\1\2\3", at(1))
        writer.finish()
    samples, problems = played(path)
    assert len(samples) == 1
    assert len(problems) == 1 and "is no whole sensor_msgs/msg/NavSatFix" in problems[0].what


def test_a_header_without_a_stamp_is_given_the_time_of_recording(tmp_path: Path) -> None:
    samples, problems = played(write_bag2(tmp_path / "b", [("/fix", at(k), fix(0)) for k in range(3)]))
    assert [s.stamp_ns for s in samples] == [at(0), at(1), at(2)]
    what = "has no stamp: the time at which it was recorded is taken"
    assert problems == [Problem("/fix", what, 3)]


def test_arrivals_never_go_back(tmp_path: Path) -> None:
    told = [("/fix", at(k), fix(at(k))) for k in (0, 2, 1, 3)]
    arrivals = [s.arrived_ns for s in played(write_mcap(tmp_path / "r.mcap", told))[0]]
    assert arrivals == sorted(arrivals)


def make(path: Path, kind: str) -> Path:
    if kind == "text":
        path.write_text("hello")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "folder":
        path.mkdir()
    elif kind == "strings":
        write_mcap(path, [("/chatter", at(0), T["std_msgs/msg/String"](data="x"))])
    elif kind == "head":
        path.write_bytes(write_mcap(path.with_name("w.mcap"), entries()).read_bytes()[:40])
    return path


@pytest.mark.parametrize("suffix", [".mcap", ".bag", ".db3", ""])
@pytest.mark.parametrize("kind", ["text", "empty", "folder", "missing"])
def test_what_is_no_recording_is_one_error_that_names_it(tmp_path: Path, kind: str, suffix: str) -> None:
    path = make(tmp_path / f"r{suffix}", kind)
    with pytest.raises(SourceError) as caught:
        open_source(f"bag:{path}")
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("strings", "holds no topic of a type that is read; it holds /chatter"),
        ("head", "before its first whole message"),
    ],
)
def test_a_recording_that_nothing_can_be_made_of_says_what_it_holds(tmp_path: Path, kind: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        open_source(f"bag:{make(tmp_path / 'r.mcap', kind)}")


def test_the_command_line_runs_a_bag_and_tells_what_was_skipped(tmp_path: Path) -> None:
    path = write_mcap(
        tmp_path / "r.mcap",
        [("/odd", at(k), image(picture(k), "x", at(k))) for k in range(3)]
        + [("/fix", at(k), fix(at(k))) for k in range(3)],
    )
    (tmp_path / "c.yaml").write_text("streams: {gps: {topic: /fix}, camera: {topic: /odd}}\n")
    command = [
        sys.executable,
        "-m",
        "edgefuse.cli",
        "run",
        "--source",
        f"bag:{path}",
        "--config",
        str(tmp_path / "c.yaml"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "skipped: /odd: encoding 'x' is not known" in done.stderr and "(3 times)" in done.stderr
