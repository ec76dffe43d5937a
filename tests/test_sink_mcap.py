"""A recording of a run plays again as the run was, and what is whole survives a kill, an error and a full disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="the extra `bag` is not installed")
pytest.importorskip("mcap", reason="the extra `bag` is not installed")

from edgefuse.doctor import shipped_bundle
from edgefuse.errors import SinkError
from edgefuse.ros.answers import RESULT_JSON_TOPIC
from edgefuse.ros.definitions import RESULT, decoded
from edgefuse.run import run
from edgefuse.sinks import Beside, Setting, open_sink
from edgefuse.sinks.mcap import CHUNK_BYTES, McapSink
from edgefuse.sources import open_source
from edgefuse.types import Sample
from full_disk import run_on_a_full_disk
from test_jsonl import result

KINDS = {"camera": "camera", "depth": "depth", "lidar": "lidar", "gps": "gps", "imu": "vector"}
MS = 1_000_000


def samples(count: int = 4, side: int = 16) -> Iterator[Sample]:
    """A few moments of each kind, in order of arrival, one millisecond after another."""
    rng = np.random.default_rng(5)
    for k in range(1, count + 1):
        payloads: dict[str, Any] = {
            "camera": rng.integers(0, 256, (side, side, 3), dtype=np.uint8),
            "depth": rng.integers(0, 9999, (side, side), dtype=np.uint16),
            "lidar": rng.normal(0, 9, (side, 4)).astype(np.float32),
            "gps": np.array([50.0, 4.0, 60.0, 1.0, 1.0, 2.0, 0.0]),
            "imu": rng.normal(0, 1, (2, 3)).astype(np.float32),
        }
        for i, (stream, payload) in enumerate(payloads.items()):
            yield Sample(stream, (100 * k + i) * MS, payload, (100 * k + 10 + i) * MS)


def record(path: Path, given: list[Sample]) -> None:
    with McapSink(path, KINDS) as sink:
        for sample in given:
            sink.sample(sample.stream, sample)
            sink.write(result(sample.stamp_ns))


def record_and_raise(path: Path, given: list[Sample]) -> None:
    with McapSink(path, KINDS) as sink:
        for sample in given:
            sink.sample(sample.stream, sample)
        raise ValueError("stop")


def played(path: Path) -> tuple[list[Sample], list[str]]:
    source = open_source(f"bag:{path}")
    return list(source.samples()), [problem.what for problem in source.problems]


def same(given: list[Sample], found: list[Sample]) -> bool:
    return len(given) == len(found) and all(
        (b.stream, b.stamp_ns, b.arrived_ns) == (f"/edgefuse/{a.stream}", a.stamp_ns, a.arrived_ns)
        and (b.payload.dtype, b.payload.shape) == (a.payload.dtype, a.payload.shape)
        and b.payload.tobytes() == a.payload.tobytes()
        for a, b in zip(given, found, strict=True)
    )


def messages(path: Path) -> Iterator[tuple[str, int, bytes]]:
    """(topic, time, bytes) by the reader of the mcap package, which checks every chunk's checksum."""
    from mcap.reader import make_reader

    with path.open("rb") as file:
        for _, channel, message in make_reader(file, validate_crcs=True).iter_messages():
            yield channel.topic, message.log_time, message.data


def json_lines(path: Path) -> list[Any]:
    lines = [
        decoded(data, "std_msgs/msg/String").data for topic, _, data in messages(path) if topic == RESULT_JSON_TOPIC
    ]
    return [json.loads(line) for line in lines]


def test_samples_play_again_as_they_came_to_the_bit(tmp_path: Path) -> None:
    given = list(samples())
    record(tmp_path / "r.mcap", given)
    found, problems = played(tmp_path / "r.mcap")
    assert same(given, found)
    assert problems == []
    assert list(tmp_path.iterdir()) == [tmp_path / "r.mcap"]


def test_readings_that_are_broken_play_again_as_broken(tmp_path: Path) -> None:
    cloud = np.ones((9, 4), np.float32)
    cloud[4] = np.nan
    broken = {"lidar": cloud, "camera": np.ones((4, 4, 3), np.float32), "depth": np.zeros((0, 9), np.uint16)}
    given = [Sample(stream, k, payload, k) for k, (stream, payload) in enumerate(broken.items(), 1)]
    # Among sound ones: a topic may hold more than one type.
    given = sorted([*samples(), *given], key=lambda s: s.arrived_ns)
    record(tmp_path / "r.mcap", given)
    found, problems = played(tmp_path / "r.mcap")
    assert same(given, found)
    assert problems == []


def test_answers_lie_beside_the_samples_typed_and_whole(tmp_path: Path) -> None:
    record(tmp_path / "r.mcap", list(samples(1)))
    told = list(messages(tmp_path / "r.mcap"))
    assert [topic for topic, _, _ in told].count("/diagnostics") == 5
    typed = [(log_ns, decoded(data, RESULT)) for topic, log_ns, data in told if topic == "/edgefuse/result"]
    assert [log_ns for log_ns, _ in typed] == [(100 + i) * MS for i in range(5)]
    assert [answer.mode for _, answer in typed] == ["blind"] * 5
    assert json_lines(tmp_path / "r.mcap")[0] == result(100 * MS).as_json()


def test_ros_can_read_every_topic_by_a_definition_in_the_file(tmp_path: Path) -> None:
    from rosbags.highlevel import AnyReader

    record(tmp_path / "r.mcap", list(samples()))
    with AnyReader([tmp_path / "r.mcap"]) as reader:
        read = {
            connection.topic: reader.deserialize(data, connection.msgtype) for connection, _, data in reader.messages()
        }
    assert set(read) == {f"/edgefuse/{name}" for name in (*KINDS, "result", "result_json")} | {"/diagnostics"}


def test_a_large_recording_is_cut_into_chunks_of_two_megabytes(tmp_path: Path) -> None:
    from mcap.reader import make_reader

    given = list(samples(12, side=700))
    record(tmp_path / "r.mcap", given)
    with (tmp_path / "r.mcap").open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    sizes = [chunk.uncompressed_size for chunk in summary.chunk_indexes]
    largest = max(sample.payload.nbytes for sample in given)
    assert len(sizes) > 5
    assert max(sizes) < CHUNK_BYTES + largest + 4096
    assert {chunk.compression for chunk in summary.chunk_indexes} == {"lz4"}
    assert same(given, played(tmp_path / "r.mcap")[0])


def answers(path: Path) -> list[Any]:
    """Every answer of a `.jsonl`, without how long it took and what only the first run could know."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("timing_ms", "truth", "in_domain")} for line in lines]


MAPPED = "".join(f"  {name}: {{topic: /edgefuse/{name}}}\n" for name in ("camera", "depth", "lidar", "gps"))
FAULTS = """\
faults:
  - {stream: lidar, kind: nan, from_s: 0.5, to_s: 1.0}
  - {stream: camera, kind: wrong_dtype, from_s: 1.0, to_s: 1.4}
  - {stream: gps, kind: no_fix, from_s: 1.2, to_s: 2.0}
  - {stream: depth, kind: empty, from_s: 1.5, to_s: 1.8}
  - {stream: camera, kind: stuck, from_s: 1.8, to_s: 2.6}
"""


@pytest.mark.parametrize("faults", ["", FAULTS], ids=["sound", "with faults"])
def test_a_run_that_is_played_again_answers_the_same_at_the_same_times(tmp_path: Path, faults: str) -> None:
    from edgefuse.engine import load

    (tmp_path / "first.yaml").write_text(f"tick_hz: 10\n{faults}")
    (tmp_path / "again.yaml").write_text(f"streams:\n{MAPPED}")
    told: list[str] = []
    for name, source, out in (
        ("first", "site:seed=3&duration_s=3", ["r.mcap", "first.jsonl"]),
        ("again", f"bag:{tmp_path / 'r.mcap'}", ["again.jsonl"]),
    ):
        engine = load(shipped_bundle(), tmp_path / f"{name}.yaml")
        run(engine, source, told.append, out=[str(tmp_path / one) for one in out])
    first = answers(tmp_path / "first.jsonl")
    assert first == answers(tmp_path / "again.jsonl")
    assert len(first) == 30
    reasons = {trust["reason"] for line in first for trust in line["streams"].values()}
    assert not faults or {"non_finite", "bad_dtype", "no_fix", "bad_shape", "stuck"} <= reasons
    whole = json_lines(tmp_path / "r.mcap")
    lines = [json.loads(line) for line in (tmp_path / "first.jsonl").read_text().splitlines()]
    assert whole == [{key: value for key, value in line.items() if key != "fixes"} for line in lines]


def test_an_older_recording_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "r.mcap"
    target.write_text("old")
    given = list(samples())
    with pytest.raises(ValueError, match="stop"):
        record_and_raise(target, given)
    assert target.read_text() == "old"
    found, problems = played(tmp_path / "r.mcap.part")
    assert same(given, found)
    assert len(problems) == 1
    assert problems[0].startswith("cut off")


def test_a_run_that_is_killed_leaves_a_recording_that_plays_to_its_last_chunk(tmp_path: Path) -> None:
    options = ["run", "--source", "site:seed=3&duration_s=600", "--realtime", "--out", str(tmp_path / "r.mcap")]
    process = subprocess.Popen([sys.executable, "-m", "edgefuse.cli", *options], stderr=subprocess.DEVNULL)
    part = tmp_path / "r.mcap.part"
    for _ in range(1200):
        if part.exists() and part.stat().st_size > 1_000_000:
            break
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    found, problems = played(part)
    assert len(problems) == 1
    assert problems[0].startswith("cut off")
    truth = [sample for sample, _ in zip(open_source("site:seed=3&duration_s=600").samples(), found, strict=False)]
    assert len(found) > 20
    assert same(truth, found)


def test_a_chunk_is_closed_and_stored_after_a_second_however_little_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("edgefuse.sinks.mcap.time.monotonic", lambda: clock[0])
    synced: list[int] = []
    monkeypatch.setattr("edgefuse.sinks.mcap.os.fsync", synced.append)
    given = list(samples(3))
    with McapSink(tmp_path / "r.mcap", KINDS) as sink:
        for k, sample in enumerate(given):
            clock[0] += 0.11
            sink.sample(sample.stream, sample)
            if k == 9:
                assert len(synced) == 1
                assert same(given[:10], played(tmp_path / "r.mcap.part")[0])


WRITE = """
from pathlib import Path
from test_sink_mcap import KINDS, samples
from edgefuse.errors import SinkError
from edgefuse.sinks.mcap import McapSink
try:
    with McapSink("r.mcap", KINDS) as sink:
        for sample in samples(40, side=400):
            sink.sample(sample.stream, sample)
except SinkError as error:
    print(error)
"""


def test_what_was_whole_before_the_disk_filled_is_kept(tmp_path: Path) -> None:
    told = run_on_a_full_disk(WRITE, 10_000_000, tmp_path)
    assert told.splitlines() == [
        "r.mcap: cannot be written: File too large; what was whole before is in r.mcap.part",
    ]
    assert not (tmp_path / "r.mcap").exists()
    found, _ = played(tmp_path / "r.mcap.part")
    assert len(found) > 20
    assert same(list(samples(40, side=400))[: len(found)], found)


def test_a_full_disk_at_the_very_end_leaves_no_recording_that_passes_for_whole(tmp_path: Path) -> None:
    code = WRITE.replace("samples(40, side=400)", "samples(2)")
    assert "cannot be written: File too large" in run_on_a_full_disk(code, 1000, tmp_path)
    assert not (tmp_path / "r.mcap").exists()


def test_a_full_device_is_one_line_and_status_2(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    (tmp_path / "full.mcap").symlink_to("/dev/full")
    options = ["run", "--source", "site:duration_s=1", "--out", "full.mcap"]
    command = [sys.executable, "-m", "edgefuse.cli", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "edgefuse: full.mcap: cannot be written: No space left on device"
    assert "Traceback" not in done.stderr


def test_a_pipe_gets_the_whole_recording(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mcap")
    with subprocess.Popen(["cat", str(tmp_path / "pipe.mcap")], stdout=subprocess.PIPE) as reader:
        record(tmp_path / "pipe.mcap", list(samples()))
        assert reader.stdout is not None
        (tmp_path / "copy.mcap").write_bytes(reader.stdout.read())
    assert same(list(samples()), played(tmp_path / "copy.mcap")[0])


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(SinkError, match=r"gone/r\.mcap: cannot be opened for writing"),
        McapSink(tmp_path / "gone" / "r.mcap", KINDS),
    ):
        pass


def test_the_ending_of_a_path_chooses_it_and_it_works_beside_the_run(tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / "r.MCAP"), Setting(KINDS))
    assert isinstance(sink, Beside)
    with sink:
        for sample in samples():
            sink.sample(sample.stream, sample)
    assert (tmp_path / "r.MCAP").exists()


@pytest.mark.parametrize("module", ["mcap", "rosbags"])
def test_what_must_be_installed_is_told(tmp_path: Path, module: str) -> None:
    code = f"import sys; sys.modules[{module!r}] = None; from edgefuse.cli import main; sys.exit(main())"
    options = ["run", "--source", "site:duration_s=1", "--out", "r.mcap"]
    done = subprocess.run(
        [sys.executable, "-c", code, *options], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("pip install 'edgefuse[bag]'")
    assert "Traceback" not in done.stderr
