"""A folder of pictures and arrays plays by its table of stamps; what does not fit is told with file and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgefuse.errors import SourceError
from edgefuse.sources import open_source
from edgefuse.sources.base import Source
from edgefuse.sources.stamped_files import from_nanoseconds, from_seconds


def colour(k: int) -> Any:
    return np.random.default_rng(k).integers(0, 256, (12, 16, 3), np.uint8)


def write_folder(folder: Path) -> None:
    """A camera as PNG, depth of 16 bits, clouds, fixes and an IMU as arrays, in their sub-folders."""
    for name in ("front", "deep", "cloud", "fix", "imu"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for k in range(3):
        assert cv2.imwrite(str(folder / f"front/{k}.png"), colour(k)[:, :, ::-1])
        assert cv2.imwrite(str(folder / f"deep/{k}.png"), np.full((12, 16), 1000 + k, np.uint16))
        np.save(folder / f"cloud/{k}.npy", rng.random((50 + k, 4), np.float32))
        np.save(folder / f"fix/{k}.npy", np.array([49.0, 8.4, 110.0, 1.0, 1.0, 4.0, 0.0]))
        np.save(folder / f"imu/{k}.npy", rng.random(6, np.float32))


def rows(*topics: str) -> list[str]:
    suffix = {"front": "png", "deep": "png"}
    return [
        f"{topic}/{k}.{suffix.get(topic, 'npy')},{1000 + k}.{i}" for k in range(3) for i, topic in enumerate(topics)
    ]


def write_table(folder: Path, lines: list[str], columns: str = "file,stamp_s") -> None:
    (folder / "stamps.csv").write_text("\n".join([columns, *lines]) + "\n")


def told(source: Source) -> dict[str, str]:
    return {Path(problem.place).name: problem.what for problem in source.problems}


ALL = ("front", "deep", "cloud", "fix", "imu")
KIND_OF = {"front": "camera", "deep": "depth", "cloud": "lidar", "fix": "gps", "imu": "vector"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path / "drive")
    write_table(tmp_path / "drive", rows(*ALL))
    return tmp_path / "drive"


def test_every_kind_is_played_by_the_stamps_of_the_table(folder: Path) -> None:
    source = open_source(f"folder:{folder}")
    samples = list(source.samples())
    assert [sample.stream for sample in samples] == [*ALL] * 3
    assert [sample.stamp_ns for sample in samples] == [
        (1000 + k) * 10**9 + i * 10**8 for k in range(3) for i in range(5)
    ]
    assert all(sample.arrived_ns == sample.stamp_ns for sample in samples)
    assert source.topics == KIND_OF
    assert source.length_s == pytest.approx(2.4)
    assert told(source) == {}


def test_payloads_are_what_was_written(folder: Path) -> None:
    samples = [sample for sample in open_source(f"folder:{folder}").samples() if sample.stream == "front"]
    assert all(np.array_equal(sample.payload, colour(k)) for k, sample in enumerate(samples))
    first = {sample.stream: sample.payload for sample in list(open_source(f"folder:{folder}").samples())[:5]}
    assert (first["deep"] == 1000).all() and first["deep"].dtype == np.uint16
    for topic in ("cloud", "fix", "imu"):
        stored = np.load(folder / f"{topic}/0.npy", allow_pickle=False)
        assert np.array_equal(first[topic], stored) and first[topic].dtype == stored.dtype
        first[topic][...] = 0  # a copy: the file is not changed
        assert np.array_equal(stored, np.load(folder / f"{topic}/0.npy", allow_pickle=False))


def test_stamps_may_be_in_nanoseconds_and_rows_in_any_order(folder: Path) -> None:
    lines = [f"imu/{k}.npy,{1_700_000_000_123_456_789 + k}" for k in (2, 0, 1)]
    write_table(folder, lines, "file,stamp_ns")
    source = open_source(f"folder:{folder}")
    assert [sample.stamp_ns for sample in source.samples()] == [1_700_000_000_123_456_789 + k for k in range(3)]


def test_a_topic_may_be_named_and_other_columns_are_left_alone(folder: Path) -> None:
    lines = ["imu/0.npy,left,1.0,12 ms", "imu/1.npy,,2.0,13 ms", "imu/2.npy,right,3.0,14 ms"]
    write_table(folder, lines, "file,topic,stamp_s,exposure")
    assert [sample.stream for sample in open_source(f"folder:{folder}").samples()] == ["left", "imu", "right"]


def test_a_file_in_the_folder_itself_is_of_a_topic_called_like_it(folder: Path) -> None:
    np.save(folder / "one.npy", np.zeros(2, np.float32))
    write_table(folder, ["one.npy,1.0"])
    assert [sample.stream for sample in open_source(f"folder:{folder}").samples()] == ["drive"]


def test_what_does_not_fit_is_told_with_file_and_line_and_the_rest_is_played(folder: Path) -> None:
    (folder / "imu/new.npy").write_bytes(b"")
    lines = [
        *rows(*ALL),
        "front/gone.png,1.0",
        "front/0.png,2.0",
        "imu/0.npy,soon",
        "notes.txt,1.0",
        "../secret.png,1.0",
        "/etc/hostname,1.0",
        ",1.0",
        "imu/1.npy",
        "imu/2.npy,-1",
    ]
    write_table(folder, lines)
    source = open_source(f"folder:{folder}")
    assert len(list(source.samples())) == 15
    no_stamp = "has no stamp that is a number of its unit"
    assert told(source) == {
        "stamps.csv:17": "names front/gone.png, which is not there",
        "stamps.csv:18": "names front/0.png, as line 2 does",
        "stamps.csv:19": no_stamp,
        "stamps.csv:20": "notes.txt is of no kind that is read: .png, .jpg, .jpeg, .npy",
        "stamps.csv:21": "'../secret.png' is no file in the folder",
        "stamps.csv:22": "'/etc/hostname' is no file in the folder",
        "stamps.csv:23": "'' is no file in the folder",
        "stamps.csv:24": no_stamp,
        "stamps.csv:25": no_stamp,
        "new.npy": "has no stamp in stamps.csv",
    }


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "EOF"),
        (b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'shape': (3,", "EOF"),
        (b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f4'\n", "no header of an array"),
        (b"hello, this is no array", "magic string"),
    ],
)
def test_an_array_that_is_damaged_is_told_and_left_out(folder: Path, data: bytes, what: str) -> None:
    (folder / "imu/1.npy").write_bytes(data)
    source = open_source(f"folder:{folder}")
    assert len(list(source.samples())) == 14
    assert what in told(source)["1.npy"]


def test_a_header_that_promises_more_than_there_is_takes_no_memory(folder: Path) -> None:
    data = (folder / "imu/1.npy").read_bytes()
    (folder / "imu/1.npy").write_bytes(data.replace(b"(6,), }      ", b"(6000000000),"))
    (folder / "imu/2.npy").write_bytes(data.replace(b"(6,), }         ", b"(6000000000,), }"))
    source = open_source(f"folder:{folder}")
    assert len(list(source.samples())) == 13
    assert "larger than file" in told(source)["2.npy"] or "greater than file size" in told(source)["2.npy"]


def test_objects_and_other_numbers_are_never_loaded(folder: Path) -> None:
    np.save(folder / "imu/0.npy", np.array([{"a": 1}], object), allow_pickle=True)
    np.save(folder / "imu/1.npy", np.zeros(6, np.float64))
    np.save(folder / "imu/2.npy", np.zeros(6, ">f4"))
    source = open_source(f"folder:{folder}")
    assert len(list(source.samples())) == 12
    assert "objects" in told(source)["0.npy"]
    assert told(source)["1.npy"] == "holds float64 [6], not float32, nor float64 [7] as a fix is"
    assert told(source)["2.npy"].startswith("holds >f4 [6]")


def test_an_empty_sweep_is_a_sweep(folder: Path) -> None:
    np.save(folder / "cloud/1.npy", np.zeros((0, 4), np.float32))
    samples = [sample for sample in open_source(f"folder:{folder}").samples() if sample.stream == "cloud"]
    assert [len(sample.payload) for sample in samples] == [50, 0, 52]


def test_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"stamps.csv: cannot be read: No such file"):
        open_source(f"folder:{tmp_path}")
    for columns in ("name,stamp_s", "file", "file,stamp_s,stamp_ns", ""):
        write_table(tmp_path, [], columns)
        with pytest.raises(SourceError, match=r"stamps.csv: needs the columns file and stamp_s or stamp_ns"):
            open_source(f"folder:{tmp_path}")
    (tmp_path / "stamps.csv").write_bytes(b"file,stamp_s\n\xff\xfe,1.0\n")
    with pytest.raises(SourceError, match=r"stamps.csv: cannot be read"):
        open_source(f"folder:{tmp_path}")
    write_table(tmp_path, ["a.png,1.0"])
    with pytest.raises(SourceError, match=r"nothing usable in it, 1 problems; first: .*stamps.csv:2: names a.png"):
        open_source(f"folder:{tmp_path}")


def test_a_table_from_a_spreadsheet_is_read(folder: Path) -> None:
    (folder / "stamps.csv").write_bytes(b'\xef\xbb\xbffile,stamp_s\r\n"imu/0.npy",1.5\r\n\r\nimu/1.npy, 2.5\r\n')
    source = open_source(f"folder:{folder}")
    assert [sample.stamp_ns for sample in source.samples()] == [1_500_000_000, 2_500_000_000]


def test_seconds_and_nanoseconds_are_exact_or_refused() -> None:
    assert from_seconds("1305031790.645155") == 1_305_031_790_645_155_000
    assert from_seconds("0") == 0
    assert from_seconds("1.0000000019") == 1_000_000_001
    assert from_nanoseconds("9223372036854775807") == 2**63 - 1
    for bad in ("", "-1", "nan", "1e9", "0x10", "1_000", "99999999999", "1.2.3"):
        assert from_seconds(bad) is None
    for bad in ("", "-1", "1.0", "9223372036854775808"):
        assert from_nanoseconds(bad) is None
