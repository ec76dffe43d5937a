"""The KITTI source on the real drive 0013, sample by sample against its files and its description."""

from __future__ import annotations

import calendar
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edgefuse.sources.kitti import KittiSource
from edgefuse.sources.kitti_files import read_projection
from edgefuse.sources.projection import project
from edgefuse.types import F32, F64, Sample

REAL = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "kitti_raw_0013"
REAL_DATE = REAL / "2011_09_26"
REAL_DRIVE = REAL_DATE / "2011_09_26_drive_0013_sync"
CONTRACT = {
    "image_02": ((375, 1242, 3), np.uint8),
    "velodyne_points": ((4,), np.float32),
    "depth_02": ((94, 311), np.uint16),
    "oxts": ((7,), np.float64),
}
real = pytest.mark.skipif(not REAL_DRIVE.is_dir(), reason="the KITTI recording is not on this machine")


def stream(recording: list[Sample], name: str) -> list[Sample]:
    return [sample for sample in recording if sample.stream == name]


@pytest.fixture(scope="module")
def recording() -> list[Sample]:
    return list(KittiSource(REAL).samples())


@real
def test_the_real_drive_gives_every_sample_of_every_sensor(recording: list[Sample]) -> None:
    source = KittiSource(REAL)
    assert source.topics == {"image_02": "camera", "velodyne_points": "lidar", "depth_02": "depth", "oxts": "gps"}
    assert Counter(s.stream for s in recording) == {"image_02": 30, "velodyne_points": 30, "depth_02": 30, "oxts": 144}
    assert source.problems == []
    assert source.domain == "kitti"


@real
def test_the_drive_is_found_from_each_folder_above_it() -> None:
    assert {KittiSource(folder).drive for folder in (REAL, REAL_DATE, REAL_DRIVE)} == {REAL_DRIVE.resolve()}


@real
def test_samples_come_in_order_of_arrival_which_is_their_stamp(recording: list[Sample]) -> None:
    arrivals = [s.arrived_ns for s in recording]
    assert arrivals == sorted(arrivals)
    assert all(s.arrival_ns is None for s in recording)


@real
@pytest.mark.parametrize(("topic", "first"), [("image_02", 84), ("velodyne_points", 84), ("oxts", 0)])
def test_stamps_are_those_of_the_files_line_to_the_nanosecond(recording: list[Sample], topic: str, first: int) -> None:
    stamps = [s.stamp_ns for s in recording if s.stream == topic]
    lines = (REAL_DRIVE / topic / "timestamps.txt").read_text().splitlines()[first : first + len(stamps)]
    for line, stamp_ns in zip(lines, stamps, strict=True):
        seconds = calendar.timegm(time.strptime(line[:19], "%Y-%m-%d %H:%M:%S"))
        assert stamp_ns == seconds * 10**9 + int(line[20:])


@real
def test_payloads_keep_the_contract_of_their_kind(recording: list[Sample]) -> None:
    for sample in recording:
        payload, shape, dtype = sample.payload, *CONTRACT[sample.stream]
        assert payload.flags.c_contiguous
        assert payload.dtype == dtype
        assert payload.shape[-len(shape) :] == shape
    for sweep in (s.payload for s in recording if s.stream == "velodyne_points"):
        assert 120_000 < len(sweep) < 125_000
        assert 0.0 <= sweep[:, 3].min() <= sweep[:, 3].max() <= 1.0


@real
def test_the_outage_of_samples_98_to_112_has_no_fix(recording: list[Sample]) -> None:
    status = [int(s.payload[6]) for s in stream(recording, "oxts")]
    assert status == [1] * 93 + [2] * 5 + [-1] * 15 + [1] * 31


@real
def test_a_fix_is_the_files_position_with_half_the_squared_accuracy_for_each_axis(recording: list[Sample]) -> None:
    fixes = [s.payload for s in recording if s.stream == "oxts"]
    for number, fix in enumerate(fixes):
        fields = (REAL_DRIVE / f"oxts/data/{number:010d}.txt").read_text().split()
        assert fix[:3].tolist() == [float(text) for text in fields[:3]]
        assert np.hypot(np.sqrt(fix[3]), np.sqrt(fix[4])) == pytest.approx(float(fields[23]), rel=1e-12)
        assert fix[5] == 4 * fix[3] == 4 * fix[4]


def real_matrices() -> tuple[F64, F64, F64]:
    """P_rect_02 [3, 4], R_rect_00 and the lidar's pose in camera 00, both [4, 4], by a parser of its own."""
    numbers = {}
    for name in ("calib_cam_to_cam.txt", "calib_velo_to_cam.txt"):
        for line in (REAL_DATE / name).read_text().splitlines():
            key, *words = line.split()
            if not key.startswith("calib_time"):
                numbers[key] = np.array([float(word) for word in words])
    rectify, pose = np.eye(4), np.eye(4)
    rectify[:3, :3] = numbers["R_rect_00:"].reshape(3, 3)
    pose[:3, :3], pose[:3, 3] = numbers["R:"].reshape(3, 3), numbers["T:"]
    return numbers["P_rect_02:"].reshape(3, 4), rectify, pose


@real
def test_frame_98_projects_as_a_loop_over_its_points_says(recording: list[Sample]) -> None:
    sweep = stream(recording, "velodyne_points")[14].payload
    intrinsic, rectify, pose = real_matrices()
    seen = []
    for x, y, z, _ in sweep[::5].tolist():
        a, b, depth = intrinsic @ (rectify @ (pose @ np.array([x, y, z, 1.0])))
        if depth > 0 and 0 <= a / depth < 1242 and 0 <= b / depth < 375:
            seen.append((a / depth, b / depth, depth))
    projected = np.column_stack(project(sweep[::5], read_projection(REAL_DATE)))
    assert len(seen) > 3000
    np.testing.assert_allclose(projected, seen, rtol=1e-9)


@real
def test_frame_98_lands_as_many_points_in_the_picture_as_were_counted_independently(recording: list[Sample]) -> None:
    sweep = stream(recording, "velodyne_points")[14].payload
    count = project(sweep, read_projection(REAL_DATE))[0].size
    # The recording's description counts 19 644 without saying which border pixels belong to the picture.
    assert count == 19_656
    assert abs(count - 19_644) <= 0.001 * 19_644


@real
def test_depth_and_lidar_of_one_sweep_share_a_stamp_and_the_lidar_comes_first(recording: list[Sample]) -> None:
    order = [(s.stream, s.stamp_ns) for s in recording if s.stream in ("velodyne_points", "depth_02")]
    assert [name for name, _ in order] == ["velodyne_points", "depth_02"] * 30
    assert all(a[1] == b[1] for a, b in zip(order[::2], order[1::2], strict=True))


@real
def test_the_depth_ahead_is_that_of_the_lidar_points_ahead(recording: list[Sample]) -> None:
    sweep, depth = (next(s.payload for s in recording if s.stream == name) for name in ("velodyne_points", "depth_02"))
    assert int(depth[depth > 0].min()) == pytest.approx(1000 * nearest_ahead_m(sweep), abs=1)


def nearest_ahead_m(sweep: F32) -> float:
    intrinsic, rectify, pose = real_matrices()
    homogeneous = np.column_stack((sweep[:, :3].astype(np.float64), np.ones(len(sweep))))
    a, b, depth = intrinsic @ rectify @ pose @ homogeneous.T
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = (depth > 0) & (a / depth >= 0) & (a / depth < 1242) & (b / depth >= 0) & (b / depth < 375)
    return float(depth[inside].min())
