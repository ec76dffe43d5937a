"""Damaged KITTI drives: each damage is one problem with a place, and the rest still plays."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefuse.errors import SourceError
from edgefuse.sources.kitti import KittiSource
from edgefuse.sources.kitti_files import parse_stamp, read_fix
from small_kitti import ALL, CAM, FIRST, FRAMES, OXTS, STAMPS, write, write_drive


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "2011_09_26" / "2011_09_26_drive_0001_sync"
    write_drive(folder)
    return folder


def played(drive: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """How many samples each topic gave, and the problems as (path within the date's folder, what)."""
    source = KittiSource(drive)
    counts = Counter(sample.stream for sample in source.samples())
    return dict(counts), [(Path(p.place).relative_to(drive.parent).as_posix(), p.what) for p in source.problems]


def test_a_whole_drive_plays_without_problems(drive: Path) -> None:
    assert played(drive) == (ALL, [])


def test_file_n_has_the_stamp_of_line_n(drive: Path) -> None:
    stamps = [s.stamp_ns for s in KittiSource(drive).samples() if s.stream == "oxts"]
    assert stamps == [1317042651_000_000_000 + 100_000_007 * n for n in range(FIRST, FIRST + FRAMES)]


def test_pixels_points_depth_and_fix_are_what_was_written(drive: Path) -> None:
    first = {sample.stream: sample.payload for sample in reversed(list(KittiSource(drive).samples()))}
    assert first["image_02"].shape == (8, 12, 3)
    assert np.unique(first["image_02"].reshape(-1, 3), axis=0).tolist() == [[200, 0, 10 * FIRST]]
    assert first["velodyne_points"].tolist() == [[5, 0, 0, 0.5]]
    assert first["depth_02"].tolist() == [[0, 0, 0], [0, 5000, 0]]
    assert first["oxts"].tolist() == [49.0, 8.4, 115.0, 0.125, 0.125, 0.5, 1.0]


Damage = Callable[[Path], object]
PNG = "image_02/data/0000000003.png"
BIN = "velodyne_points/data/0000000003.bin"
TXT = "oxts/data/0000000003.txt"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def replace_by(data: bytes) -> Damage:
    return lambda path: path.write_bytes(data)


def in_line_3(stamp: bytes) -> Damage:
    lines = [text.encode() for text in STAMPS]
    return replace_by(b"\n".join([*lines[:3], stamp, *lines[4:]]))


@pytest.mark.parametrize(
    ("damaged", "damage", "place", "what"),
    [
        (PNG, Path.unlink, PNG, "missing"),
        (PNG, cut, PNG, "not a PNG"),
        (PNG, replace_by(b""), PNG, "not a PNG"),
        (PNG, replace_by(b"\xff\xd8\xff\xe0 a JPEG"), PNG, "not a PNG"),
        (PNG, flip_middle, PNG, "does not decode"),
        (BIN, Path.unlink, BIN, "missing"),
        (BIN, cut, BIN, "9 bytes, not a multiple of 16"),
        (TXT, Path.unlink, TXT, "missing"),
        (TXT, replace_by(b""), TXT, "0 fields, not 30"),
        (TXT, replace_by(b"49.0 8.4 115.0"), TXT, "3 fields, not 30"),
        (TXT, replace_by(b"x " * 30), TXT, "could not convert"),
        (TXT, replace_by(b"0 " * 27 + b"nan 0 0"), TXT, "invalid literal"),
        (TXT, replace_by(b"\xff\xfe0 " * 30), TXT, "ascii"),
        ("image_02/timestamps.txt", in_line_3(b"yesterday"), PNG, "time stamp in line 4"),
        ("image_02/timestamps.txt", in_line_3(b""), PNG, "time stamp in line 4"),
        ("image_02/timestamps.txt", in_line_3(b"2011-02-30 13:10:51.000000000"), PNG, "time stamp in line 4"),
        ("image_02/timestamps.txt", in_line_3(b"\xff\xfe" + STAMPS[3].encode()), PNG, "time stamp in line 4"),
        ("oxts/timestamps.txt", in_line_3(b"9999-01-01 00:00:00.000000000"), TXT, "time stamp in line 4"),
    ],
)
def test_one_damaged_file_costs_one_sample_and_is_one_problem(
    drive: Path, damaged: str, damage: Damage, place: str, what: str
) -> None:
    damage(drive / damaged)
    counts, problems = played(drive)
    lost = {"image_02"} if "image" in place else {"oxts"} if "oxts" in place else {"velodyne_points", "depth_02"}
    assert counts == {name: n - (name in lost) for name, n in ALL.items()}
    assert [p for p, _ in problems] == [f"{drive.name}/{place}"]
    assert what in problems[0][1]


def test_an_empty_sweep_is_a_cloud_of_no_points(drive: Path) -> None:
    (drive / BIN).write_bytes(b"")
    assert played(drive) == (ALL, [])
    shapes = [s.payload.shape for s in KittiSource(drive).samples() if s.stream == "velodyne_points"]
    assert shapes == [(1, 4), (0, 4), (1, 4), (1, 4)]


def test_frames_beyond_the_last_time_stamp_are_one_problem_each(drive: Path) -> None:
    path = drive / "oxts/timestamps.txt"
    path.write_text("\n".join(STAMPS[:-2]))
    write(drive / "oxts/data/9999999999.txt", b"far beyond any time stamp")
    counts, problems = played(drive)
    assert counts == {**ALL, "oxts": FRAMES - 2}
    assert [Path(place).name for place, _ in problems] == ["0000000004.txt", "0000000005.txt", "9999999999.txt"]


@pytest.mark.parametrize("gone", ["image_02", "oxts", "velodyne_points"])
@pytest.mark.parametrize("what", ["timestamps.txt", "data", "."])
def test_a_sensor_without_stamps_or_data_is_no_topic_and_the_others_play(drive: Path, gone: str, what: str) -> None:
    (drive / gone / what).rename(drive.parent / "elsewhere")
    counts, problems = played(drive)
    lost = {gone, "depth_02"} if gone == "velodyne_points" else {gone}
    assert counts == {name: n for name, n in ALL.items() if name not in lost}
    assert set(KittiSource(drive).topics) == set(ALL) - lost
    assert len(problems) == 1
    assert gone in problems[0][0]


@pytest.mark.parametrize("name", ["calib_cam_to_cam.txt", "calib_velo_to_cam.txt"])
@pytest.mark.parametrize("data", [None, b"", b"R: 1 2 3", b"\xff\xfe", b"P_rect_02: nan\nR: x\n", b"S_rect_02: 0 0\n"])
def test_without_calibration_there_is_no_depth_and_one_problem_says_so(
    drive: Path, name: str, data: bytes | None
) -> None:
    path = drive.parent / name
    path.unlink() if data is None else path.write_bytes(data)
    counts, problems = played(drive)
    assert counts == {topic: n for topic, n in ALL.items() if topic != "depth_02"}
    assert "depth_02" not in KittiSource(drive).topics
    assert len(problems) == 1
    assert "no depth_02" in problems[0][1]
    assert name in problems[0][1]


def test_a_calibration_for_an_image_of_no_size_is_refused(drive: Path) -> None:
    path = drive.parent / "calib_cam_to_cam.txt"
    path.write_text(CAM.replace("12 8", "1e9 8"))
    assert "S_rect_02 is 1000000000 x 8" in played(drive)[1][0][1]


def test_playing_twice_gives_the_same_samples_and_no_problem_twice(drive: Path) -> None:
    cut(drive / BIN)
    source = KittiSource(drive)
    runs = [[(s.stream, s.stamp_ns, s.payload.tobytes()) for s in source.samples()] for _ in range(2)]
    assert runs[0] == runs[1]
    assert len(source.problems) == 1


def test_problems_grow_while_samples_are_read_and_payloads_are_read_late(drive: Path) -> None:
    cut(drive / BIN)
    source = KittiSource(drive)
    assert source.problems == []
    list(source.samples())
    assert len(source.problems) == 1


def test_a_drive_of_nothing_but_damage_is_an_error_that_counts_it(drive: Path) -> None:
    for path in drive.glob("*/data/*"):
        path.write_bytes(b"damaged")
    with pytest.raises(SourceError, match=r"drive_0001_sync: nothing usable in it, 12 problems; first: .*: "):
        list(KittiSource(drive).samples())


def test_a_drive_without_any_stamped_file_is_an_error_before_it_plays(drive: Path) -> None:
    for path in drive.glob("*/timestamps.txt"):
        path.unlink()
    with pytest.raises(SourceError, match="nothing usable"):
        KittiSource(drive)


def test_folders_without_a_drive_or_with_two_are_refused_with_what_was_found(drive: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such folder"):
        KittiSource(tmp_path / "nowhere")
    with pytest.raises(SourceError, match=r"looked for \*_sync, \*/\*_sync; found data, timestamps.txt"):
        KittiSource(drive / "oxts")
    (drive.parent / "2011_09_26_drive_0002_sync").mkdir()
    for folder in (tmp_path, drive.parent):
        with pytest.raises(SourceError, match=r"2 KITTI drives, .*drive_0001_sync, .*drive_0002_sync"):
            KittiSource(folder)
    assert KittiSource(drive).drive == drive.resolve()


def test_the_drive_may_be_the_working_folder(drive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(drive)
    assert KittiSource(Path()).drive == drive.resolve()


@pytest.mark.parametrize(
    ("posmode", "status"),
    [(0, -1), (1, -1), (2, -1), (3, 0), (4, 1), (5, 2), (6, 2), (7, 1), (10, -1), (11, -1), (99, -1), (-1, -1)],
)
def test_a_position_mode_is_a_fix_only_where_it_gives_a_position(tmp_path: Path, posmode: int, status: int) -> None:
    path = tmp_path / "fix.txt"
    path.write_text(" ".join(map(str, [*OXTS[:27], posmode, *OXTS[28:]])))
    assert read_fix(path)[6] == status


@given(st.integers(0, 9_223_372_035), st.integers(0, 999_999_999))
def test_a_stamp_is_exact_to_the_nanosecond(seconds: int, nanoseconds: int) -> None:
    line = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(seconds))}.{nanoseconds:09d}".encode()
    assert parse_stamp(line) == parse_stamp(line + b"\r\n") == seconds * 10**9 + nanoseconds


@given(st.binary(max_size=40))
def test_other_bytes_are_no_stamp(line: bytes) -> None:
    assert parse_stamp(line) is None
