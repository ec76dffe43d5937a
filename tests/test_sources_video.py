"""A video plays at its frames' own times; a camera that goes away is told, opened again, and the run goes on."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgefuse.errors import SourceError
from edgefuse.modalities import KINDS
from edgefuse.modalities.camera import CameraChecks
from edgefuse.sources import open_source
from edgefuse.sources.clock import now_ns
from edgefuse.sources.video import DeviceSource, VideoSource
from edgefuse.types import NS_PER_MS
from listener import Listener, until

FRAMES, HZ = 20, 12.5
RED_BGR = (20, 40, 220)


def scene(k: int) -> Any:
    """A red picture with a bright bar that moves, BGR as OpenCV writes it."""
    frame = np.full((48, 64, 3), RED_BGR, np.uint8)
    frame[:, 3 * k : 3 * k + 4] = 250
    return frame


def write_video(path: Path, frames: int = FRAMES, size: tuple[int, int] = (64, 48)) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), HZ, size)
    assert writer.isOpened()
    for k in range(frames):
        writer.write(scene(k))
    writer.release()


def test_frames_come_at_the_times_of_the_file_and_in_red_green_blue(tmp_path: Path) -> None:
    write_video(tmp_path / "drive.avi")
    source = open_source(f"video:{tmp_path / 'drive.avi'}")
    samples = list(source.samples())
    assert [sample.stamp_ns for sample in samples] == [k * 80 * NS_PER_MS for k in range(FRAMES)]
    assert all(sample.stream == "video" and sample.arrived_ns == sample.stamp_ns for sample in samples)
    assert source.topics == {"video": "camera"}
    assert source.length_s == pytest.approx((FRAMES - 1) / HZ)
    assert not source.live and source.problems == []
    for k, sample in enumerate(samples):
        assert KINDS["camera"].refusal(sample.payload, (), CameraChecks()) is None
        difference = sample.payload.astype(int) - scene(k)[:, :, ::-1]
        assert np.abs(difference).mean() < 20  # JPEG loses a little, most of it in colour
    assert samples[0].payload[:, 40:].mean((0, 1)) == pytest.approx(RED_BGR[::-1], abs=4)


def test_a_file_that_was_cut_off_plays_as_far_as_it_goes_and_that_is_told_once(tmp_path: Path) -> None:
    write_video(tmp_path / "whole.avi")
    data = (tmp_path / "whole.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: int(len(data) * 0.8)])
    source = open_source(f"video:{tmp_path / 'cut.avi'}")
    counts = {len(list(source.samples())) for _ in range(2)}
    (count,) = counts
    assert 0 < count < FRAMES - 2
    (problem,) = source.problems
    assert (problem.place, problem.what) == (str(tmp_path / "cut.avi"), f"ends early: {count} of {FRAMES} frames")


def test_what_is_no_video_is_a_source_error(tmp_path: Path) -> None:
    write_video(tmp_path / "whole.avi")
    data = (tmp_path / "whole.avi").read_bytes()
    for name, content in (("text.avi", b"hello" * 100), ("empty.avi", b""), ("head.avi", data[:100])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError, match=f"{name}: is no video that OpenCV can open"):
            open_source(f"video:{tmp_path / name}")
    for absent in ("gone.avi", "frame_%02d.png", ""):
        with pytest.raises(SourceError, match=r"no such file"):
            open_source(f"video:{tmp_path / absent}")


@pytest.mark.parametrize("address", ["http://127.0.0.1/v.avi", "rtsp://127.0.0.1/live", "tcp://127.0.0.1:9"])
def test_nothing_is_looked_for_on_a_network(address: str) -> None:
    for scheme in ("video", "device"):
        with pytest.raises(SourceError, match=r"no such file|is no camera"):
            open_source(f"{scheme}:{address}")


class Scripted:
    """A cv2.VideoCapture that gives these frames and then nothing; None: it does not open."""

    def __init__(self, frames: Sequence[Any] | None, times_ms: Sequence[float] = (), hz: float = 10.0) -> None:
        self.frames = None if frames is None else list(frames)
        self.times_ms, self.hz, self.at = list(times_ms), hz, -1
        self.asked: dict[int, float] = {}
        self.released = False

    def isOpened(self) -> bool:
        return self.frames is not None

    def read(self) -> tuple[bool, Any]:
        assert self.frames is not None and not self.released
        self.at += 1
        return (True, self.frames[self.at]) if self.at < len(self.frames) else (False, None)

    def get(self, name: int) -> float:
        if name == cv2.CAP_PROP_POS_MSEC:
            return self.times_ms[self.at]
        return {cv2.CAP_PROP_FPS: self.hz, cv2.CAP_PROP_FRAME_COUNT: float(len(self.frames or ()))}[name]

    def set(self, name: int, value: float) -> bool:
        self.asked[name] = value
        return True

    def release(self) -> None:
        self.released = True


@pytest.mark.parametrize(
    ("times_ms", "hz", "stamps_ms"),
    [
        ([0.0, 40.0, 90.0, 100.0], 25.0, [0, 40, 90, 100]),  # of a variable rate
        ([0.0, 0.0, 0.0, 0.0], 25.0, [0, 40, 80, 120]),  # of a container without times
        ([0.0, 40.0, 30.0, 100.0], 25.0, [0, 40, 80, 100]),
        ([float("nan")] * 4, 0.0, [0, 1000 / 30, 2000 / 30, 100]),
        ([-40.0, 0.0, 40.0, 80.0], 25.0, [0, 40, 80, 120]),
    ],
)
def test_times_that_do_not_grow_are_made_up_for_and_told(
    tmp_path: Path, times_ms: list[float], hz: float, stamps_ms: list[float]
) -> None:
    (tmp_path / "v.avi").touch()
    source = VideoSource(tmp_path / "v.avi", lambda what: Scripted([scene(k) for k in range(4)], times_ms, hz))
    stamps = [sample.stamp_ns for sample in source.samples()]
    assert stamps == pytest.approx([ms * NS_PER_MS for ms in stamps_ms], abs=2)
    assert bool(source.problems) == (stamps_ms != times_ms)


def test_a_video_of_no_frame_is_an_error_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "v.avi").touch()
    with pytest.raises(SourceError, match=r"v.avi: holds no frame"):
        list(VideoSource(tmp_path / "v.avi", lambda what: Scripted([])).samples())


class Bench:
    """Hands out one camera after the other, as often as the device is opened; the last one does not open."""

    def __init__(self, *cameras: Scripted) -> None:
        self.left = list(cameras)
        self.opened: list[Scripted] = []
        self.names: list[int | str] = []

    def __call__(self, name: int | str) -> Scripted:
        self.names.append(name)
        self.opened.append(self.left.pop(0) if self.left else Scripted(None))
        return self.opened[-1]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeviceSource, "first_pause_s", 0.001)


def test_a_camera_is_live_and_stamped_as_its_pictures_are_handed_over() -> None:
    bench = Bench(Scripted([scene(k) for k in range(5)]))
    before_ns = now_ns()
    source = DeviceSource(0, {"FRAME_WIDTH": 64, "FPS": 30.0}, bench)
    assert source.live and source.topics == {"device": "camera"}
    with Listener(source) as listener:
        samples = listener.wait(5)
    stamps = [before_ns, *(sample.stamp_ns for sample in samples), now_ns()]
    assert stamps == sorted(stamps)
    assert all(sample.arrived_ns == sample.stamp_ns for sample in samples)
    assert all(np.array_equal(sample.payload, scene(k)[:, :, ::-1]) for k, sample in enumerate(samples))
    asked = {cv2.CAP_PROP_FRAME_WIDTH: 64, cv2.CAP_PROP_FPS: 30.0, cv2.CAP_PROP_BUFFERSIZE: 1}
    assert bench.opened[0].asked == asked
    assert bench.opened[0].released


def test_a_camera_that_goes_away_is_told_and_opened_again_as_often_as_it_takes() -> None:
    first, second = Scripted([scene(0), scene(1)]), Scripted([scene(2)])
    bench = Bench(first, Scripted(None), Scripted([]), second)
    source = DeviceSource("/dev/video0", {}, bench)
    with Listener(source) as listener:
        samples = listener.wait(3)
        until(lambda: len(bench.opened) > 5)
    assert [np.array_equal(sample.payload, scene(k)[:, :, ::-1]) for k, sample in enumerate(samples)] == [True] * 3
    assert all(camera.released for camera in bench.opened)
    assert set(bench.names) == {"/dev/video0"}
    (problem,) = source.problems
    assert problem.place == "device:/dev/video0" and problem.what.startswith("went away")
    assert problem.count == 3


def test_frames_of_another_form_are_no_pictures() -> None:
    grey, deep = np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.uint16)
    bench = Bench(Scripted([grey]), Scripted([deep]), Scripted([None]), Scripted([scene(0)]))
    with Listener(DeviceSource(0, {}, bench)) as listener:
        (sample,) = listener.wait(1)
    assert np.array_equal(sample.payload, scene(0)[:, :, ::-1])


def test_the_pauses_grow_while_it_stays_away_and_begin_anew_when_it_was_back(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(Scripted([scene(0)]), *[Scripted(None)] * 3, Scripted([scene(1)]), *[Scripted(None)] * 2)
    source = DeviceSource(0, {}, bench)
    pauses: list[float] = []

    def wait(pause_s: float) -> bool:
        pauses.append(pause_s)
        return len(pauses) > 7

    monkeypatch.setattr(source.ended, "wait", wait)
    assert len(list(source.samples())) == 2
    first = source.first_pause_s
    assert pauses[:7] == pytest.approx([first, 2 * first, 4 * first, 8 * first, first, 2 * first, 4 * first])


def test_a_pause_is_never_longer_than_eight_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    source = DeviceSource(0, {}, Bench(Scripted([])))
    pauses: list[float] = []
    monkeypatch.setattr(source.ended, "wait", lambda pause_s: pauses.append(pause_s) or len(pauses) > 30)
    assert list(source.samples()) == []
    assert pauses == sorted(pauses) and pauses[-1] == 8.0


def test_a_device_that_is_not_there_is_a_source_error() -> None:
    with pytest.raises(SourceError, match=r"device:7: cannot be opened: no camera"):
        DeviceSource(7, {}, Bench())
    with pytest.raises(SourceError, match=r"device:/dev/null: cannot be opened"):
        open_source("device:/dev/null")


@pytest.mark.parametrize(
    "uri", ["device:", "device:/dev/absent", "device:front", "device:0?width=-1", "device:0?width=wide", "device:0?x=1"]
)
def test_a_bad_name_or_option_is_refused(uri: str) -> None:
    with pytest.raises(SourceError, match="device:"):
        open_source(uri)


def test_the_end_can_come_while_a_camera_is_away() -> None:
    source = DeviceSource(0, {}, Bench(Scripted([scene(0)])))
    with Listener(source) as listener:
        listener.wait(1)
        until(lambda: bool(source.problems))
    assert len(listener.samples) == 1


def test_samples_that_nobody_takes_any_more_let_go_of_the_camera() -> None:
    camera = Scripted([scene(k) for k in range(10)])
    samples = DeviceSource(0, {}, Bench(camera)).samples()
    assert len(list(itertools.islice(samples, 3))) == 3
    samples.close()  # type: ignore[attr-defined]
    assert camera.released
