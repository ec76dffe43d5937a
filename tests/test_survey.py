"""What a source offers is measured as it is heard: counts, rates, gaps, clocks, shapes, problems; also a live one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefuse.doctor import describe as describe_machine
from edgefuse.doctor import examine
from edgefuse.ros import sockets
from edgefuse.sources.base import Problem, Source
from edgefuse.sources.clock import now_ns
from edgefuse.survey import Survey, TopicSurvey, describe, survey
from edgefuse.types import NS_PER_MS, NS_PER_S, Sample
from small_kitti import write_drive

START_NS = 1_700_000_000 * NS_PER_S


class Given(Source):
    """A recording of these samples."""

    def __init__(self, samples: Sequence[Sample], **topics: str) -> None:
        super().__init__()
        self.topics = dict(topics)
        self._samples = samples

    def samples(self) -> Iterator[Sample]:
        yield from self._samples
        self.report("camera", "blinked")
        self.report("camera", "blinked")


def vector(ms: float, delay_ms: float = 0.0, topic: str = "imu", length: int = 6) -> Sample:
    stamp_ns = START_NS + round(ms * NS_PER_MS)
    return Sample(topic, stamp_ns, np.zeros(length, np.float32), stamp_ns + round(delay_ms * NS_PER_MS))


def only(source: Source) -> TopicSurvey:
    (topic,) = survey(source).topics
    return topic


def test_a_topic_is_counted_and_timed() -> None:
    times_ms = [0, 100, 200, 300, 400, 700, 800]  # one gap, of three periods
    topic = only(Given([vector(ms) for ms in times_ms], imu="vector"))
    assert (topic.name, topic.kind, topic.count) == ("imu", "vector", 7)
    assert topic.rate_hz == pytest.approx(6 / 0.8)
    assert (topic.median_ms, topic.longest_ms, topic.gaps) == (100.0, 300.0, 1)
    assert topic.payload == ("float32 [6]",)


def test_a_recording_may_begin_at_zero() -> None:
    samples = [Sample("video", k * 100 * NS_PER_MS, np.zeros((2, 2, 3), np.uint8)) for k in range(5)]
    assert survey(Given(samples)).heard_s == 0.4


def test_two_and_a_half_periods_are_no_gap_yet() -> None:
    assert only(Given([vector(ms) for ms in (0, 100, 200, 450, 550, 650)])).gaps == 0
    assert only(Given([vector(ms) for ms in (0, 100, 200, 451, 551, 651)])).gaps == 1


def test_a_recording_that_tells_no_arrivals_has_no_offset() -> None:
    assert only(Given([vector(100 * k) for k in range(5)])).offset is None
    samples = [Sample("imu", START_NS + k, np.zeros(2, np.float32)) for k in range(5)]
    assert only(Given(samples)).offset is None


def test_the_offset_is_arrival_minus_stamp() -> None:
    delays_ms = [30.0, 32.0, 31.0, 90.0, 33.0]
    offset = only(Given([vector(100 * k, delay) for k, delay in enumerate(delays_ms)])).offset
    assert offset is not None
    assert (offset.least_ms, offset.median_ms, offset.max_ms) == (30.0, 32.0, 90.0)
    assert (offset.drift_ppm, offset.jumps) == (0.0, 0)


def test_a_clock_that_runs_at_another_speed_is_told_in_parts_per_million() -> None:
    offset = only(Given([vector(100 * k, 20.0 + 50e-6 * 100 * k) for k in range(600)])).offset
    assert offset is not None
    assert offset.drift_ppm == pytest.approx(50.0, abs=2.0)


def test_a_clock_that_jumps_is_told() -> None:
    offset = only(Given([vector(100 * k, 20.0 if k < 30 else 5020.0) for k in range(60)])).offset
    assert offset is not None
    assert offset.jumps == 1


def test_shapes_that_vary_are_told_from_the_least_to_the_most() -> None:
    clouds = [Sample("cloud", START_NS + k, np.zeros((50 + 7 * k, 4), np.float32)) for k in range(4)]
    odd = Sample("cloud", START_NS + 9, np.zeros((4, 4), np.uint8))
    assert only(Given(clouds)).payload == ("float32 [50-71, 4]",)
    assert only(Given([*clouds, odd])).payload == ("float32 [50-71, 4]", "uint8 [4, 4]")


def test_the_first_fix_is_kept_and_one_without_is_none() -> None:
    fixes = [
        np.array([np.nan, np.nan, np.nan, 1.0, 1.0, 1.0, -1.0]),
        np.array([49.0, 8.0, 100.0, 1.0, 1.0, 1.0, 0.0]),
        np.array([50.0, 9.0, 200.0, 1.0, 1.0, 1.0, 0.0]),
    ]
    samples = [Sample("fix", START_NS + k, fix) for k, fix in enumerate(fixes)]
    assert only(Given(samples, fix="gps")).fix == (49.0, 8.0, 100.0)
    assert only(Given(samples[:1], fix="gps")).fix is None


def test_a_topic_that_is_offered_and_never_comes_is_listed() -> None:
    topics = {topic.name: topic for topic in survey(Given([vector(0)], imu="vector", camera="camera")).topics}
    assert topics["camera"].count == 0 and topics["camera"].rate_hz is None
    assert topics["imu"].count == 1 and topics["imu"].median_ms is None


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (np.zeros((2, 2, 3), np.uint8), "camera"),
        (np.zeros((2, 2), np.uint16), "depth"),
        (np.zeros(7), "gps"),
        (np.zeros(3, np.float32), "vector"),
        (np.zeros(3, np.int64), "unknown"),
    ],
)
def test_a_topic_that_nobody_has_announced_is_known_by_its_payload(payload: Any, kind: str) -> None:
    assert only(Given([Sample("new", START_NS, payload)])).kind == kind


def test_problems_are_part_of_it() -> None:
    found = survey(Given([vector(0)]))
    assert found.problems == (Problem("camera", "blinked", 2),)
    assert "problem: camera: blinked (2 times)" in describe(found)


def test_a_recording_can_be_heard_in_part() -> None:
    samples = [vector(100 * k) for k in range(100)]
    assert only(Given(samples)).count == 100
    (topic,) = survey(Given(samples), seconds=1.0).topics
    assert topic.count == 11


def test_an_interrupt_leaves_what_was_heard_by_then() -> None:
    class Interrupted(Given):
        def samples(self) -> Iterator[Sample]:
            yield from super().samples()
            raise KeyboardInterrupt

    found = survey(Interrupted([vector(0), vector(100), vector(200)]))
    assert not found.whole and found.as_json()["whole"] is False
    assert found.topics[0].count == 3 and found.heard_s == 0.2
    assert describe(found).splitlines()[0] == "recorded for 0.2 s, stopped there, 1 topics"
    with pytest.raises(KeyboardInterrupt):
        survey(Interrupted([]))


def test_all_of_it_is_json_and_without_the_stamps() -> None:
    found = survey(Given([vector(100 * k, 20.0) for k in range(5)]))
    document = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert document["topics"][0]["offset"]["median_ms"] == 20.0
    assert "stamps_ns" not in document["topics"][0]
    assert document["heard_s"] == 0.4


def test_the_table_has_a_line_a_topic() -> None:
    found = survey(Given([vector(100 * k, 20.0) for k in range(5)], imu="vector", camera="camera"))
    head, columns, *rows = describe(found).splitlines()
    assert head == "recorded for 0.4 s, 2 topics"
    assert " ".join(columns.split()) == "topic kind count Hz median ms longest ms gaps clock payload"
    assert " ".join(rows[0].split()) == "imu vector 5 10.0 100.0 100.0 0 +20.0 ms, at most +20.0 float32 [6]"
    assert " ".join(rows[1].split()) == "camera camera 0 - - - 0 -"


def test_nothing_at_all_is_a_survey_too() -> None:
    assert survey(Given([])) == Survey(False, 0.0, (), (Problem("camera", "blinked", 2),))


class Live(Source):
    """A live source that sends every 10 ms, until it is closed."""

    live = True

    def __init__(self) -> None:
        super().__init__()
        self.topics = {"imu": "vector"}
        self.ended = threading.Event()

    def samples(self) -> Iterator[Sample]:
        while not self.ended.wait(0.01):
            yield Sample("imu", now_ns() - 5 * NS_PER_MS, np.zeros(3, np.float32), now_ns())

    def close(self) -> None:
        self.ended.set()


def test_a_live_source_is_listened_to_for_so_long_and_closed() -> None:
    source = Live()
    before_s = time.monotonic()
    found = survey(source, seconds=0.3)
    assert time.monotonic() - before_s >= 0.3
    assert source.ended.is_set()
    (topic,) = found.topics
    assert found.live and found.heard_s == 0.3
    assert topic.count > 1 and topic.offset is not None and topic.offset.least_ms >= 5.0


def doctor(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgefuse.cli", "doctor", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


def test_the_doctor_prints_a_configuration_and_beside_it_what_it_heard(tmp_path: Path) -> None:
    write_drive(tmp_path / "date" / "small_sync")
    done = doctor("--source", f"kitti:{tmp_path}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# For bundle site on ")
    for topic in ("image_02", "velodyne_points", "oxts", "depth_02"):
        assert topic in done.stderr and topic in done.stdout


def test_the_doctor_gives_all_as_json_where_asked(tmp_path: Path) -> None:
    write_drive(tmp_path / "date" / "small_sync")
    done = doctor("--source", f"kitti:{tmp_path}", "--json")
    *yaml, last = done.stdout.splitlines()
    document = json.loads(last)
    assert {topic["name"]: topic["count"] for topic in document["topics"]} == {
        "image_02": 4,
        "velodyne_points": 4,
        "oxts": 4,
        "depth_02": 4,
    }
    assert document["proposal"].splitlines() == yaml
    assert document["source"] == f"kitti:{tmp_path}"


def test_the_doctor_listens_to_a_receiver(tmp_path: Path) -> None:
    pytest.importorskip("serial", reason="the extra `nmea` is not installed")
    master, slave = os.openpty()
    ended = threading.Event()

    def speak() -> None:
        while not ended.wait(0.1):
            os.write(master, b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n")

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        done = doctor("--source", f"nmea:{os.ttyname(slave)}", "--seconds", 2, "--json")
    finally:
        ended.set()
        thread.join()
        os.close(master)
        os.close(slave)
    document = json.loads(done.stdout.splitlines()[-1])
    (topic,) = document["topics"]
    assert document["live"] is True and topic["count"] == 1  # one epoch, again and again
    assert "listening for 2 s" in done.stderr
    assert "latitude_deg: 48.1173000" in document["proposal"]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--source", "kitti:/nonexistent"], "/nonexistent: no such folder"),
        (["--source", "nowhere:"], "is not a source"),
        (["--source", "site:", "--bundle", "/nonexistent.efb"], "/nonexistent.efb"),
        (["--seconds", "3"], "go with --source"),
        (["--bundle", "x.efb"], "go with --source"),
    ],
)
def test_the_doctor_says_what_is_wrong_in_one_line(arguments: list[str], what: str) -> None:
    done = doctor(*arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert what in line
    assert done.stdout == ""


def test_the_doctor_tells_what_sockets_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "_LIMIT", tmp_path / "rmem_max")
    for limit, notes in ((212992, 1), (8 << 20, 0)):
        (tmp_path / "rmem_max").write_text(str(limit))
        facts = examine()
        assert facts["rmem_max"] == limit
        told = describe_machine(facts)
        assert told.count("note: for `ros2:`, net.core.rmem_max is 212992 bytes") == notes


def test_the_doctor_of_the_machine_is_as_it_was() -> None:
    done = doctor("--json", EDGEFUSE_KERNELS="numpy")
    assert json.loads(done.stdout.splitlines()[-1])["kernels"]["backend"] == "numpy"
