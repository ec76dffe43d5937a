"""Results on disk are whole or visibly not: no partial file passes for a finished one, and nothing whole is lost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgefuse.errors import SinkError
from edgefuse.sinks.jsonl import JsonlSink
from edgefuse.types import Result, Sample
from full_disk import run_on_a_full_disk


def result(t_ns: int = 5) -> Result:
    return Result(t_ns, "blind", {"x": np.array([0.1], dtype=np.float32)}, {}, {}, None, None, {"total": 0.5}, ("b", 1))


def write_and_raise(target: Path, error: BaseException) -> None:
    with JsonlSink(target) as sink:
        sink.write(result())
        raise error


def test_the_file_appears_at_the_end_and_whole(tmp_path: Path) -> None:
    target = tmp_path / "r.jsonl"
    with JsonlSink(target) as sink:
        sink.write(result(), {"x": "left"})
        assert not target.exists()
    (line,) = target.read_text().splitlines()
    document = json.loads(line)
    assert document["t_ns"] == 5
    assert document["truth"] == {"x": "left"}
    assert np.float32(document["outputs"]["x"][0]) == np.float32(0.1)
    assert list(tmp_path.iterdir()) == [target]


def test_an_interrupted_run_leaves_only_a_partial_file(tmp_path: Path) -> None:
    target = tmp_path / "r.jsonl"
    with pytest.raises(KeyboardInterrupt):
        write_and_raise(target, KeyboardInterrupt())
    assert not target.exists()
    assert len((tmp_path / "r.jsonl.part").read_text().splitlines()) == 1


def test_an_older_result_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "r.jsonl"
    target.write_text("old\n")
    with pytest.raises(ValueError, match="stop"):
        write_and_raise(target, ValueError("stop"))
    assert target.read_text() == "old\n"


def test_a_full_device_is_one_clear_error() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(SinkError, match=r"/dev/full: cannot be written: No space left"), JsonlSink("/dev/full") as sink:
        sink.write(result())


WRITE = """
from test_jsonl import result
from edgefuse.errors import SinkError
from edgefuse.sinks.jsonl import JsonlSink
try:
    with JsonlSink("r.jsonl") as sink:
        for i in range(100):
            sink.write(result(i))
except SinkError as error:
    print(error)
"""


def test_what_was_whole_before_the_disk_filled_is_kept(tmp_path: Path) -> None:
    told = run_on_a_full_disk(WRITE, 1000, tmp_path)
    lines = (tmp_path / "r.jsonl.part").read_text().splitlines()
    assert f"r.jsonl: cannot be written: File too large; the {len(lines)} whole results so far are in" in told
    assert [json.loads(line)["t_ns"] for line in lines] == list(range(len(lines)))
    assert len(lines) > 2
    assert not (tmp_path / "r.jsonl").exists()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(SinkError, match=r"gone/r\.jsonl: cannot be opened for writing"),
        JsonlSink(tmp_path / "gone" / "r.jsonl"),
    ):
        pass


def test_a_line_says_where_the_receiver_was_by_then_and_leaves_out_what_is_no_place(tmp_path: Path) -> None:
    def fix(latitude: float, status: float) -> Sample:
        return Sample("gps", 0, np.array([latitude, 8.4, 100.0, 1.0, 1.0, 1.0, status]))

    with JsonlSink(tmp_path / "r.jsonl", {"gps": "gps", "imu": "vector"}) as sink:
        sink.write(result(0))
        sink.sample("gps", fix(49.0123456789, 0.0))
        sink.sample("imu", Sample("imu", 0, np.zeros(7)))
        sink.write(result(1))
        for bad in (fix(np.nan, 0.0), fix(50.0, -1.0), Sample("gps", 0, np.zeros(3)), Sample("gps", 0, None)):  # type: ignore[arg-type]
            sink.sample("gps", bad)
        sink.write(result(2))
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [line.get("fixes") for line in lines] == [None, {"gps": [49.01234568, 8.4]}, {"gps": [49.01234568, 8.4]}]
