"""The sources `video:FILE` and `device:0`: pictures from a video file, or from a camera at this computer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgefuse.errors import SourceError
from edgefuse.sources.base import Problem, Source
from edgefuse.sources.clock import now_ns
from edgefuse.sources.live_device import LiveDevice
from edgefuse.types import NS_PER_MS, NS_PER_S, U8, Sample

USUAL_HZ = 30.0  # of a file that tells neither times nor a rate
SPARE_FRAMES = 2  # that a whole file may lack: some containers tell a length only, from which their number is guessed

Opener = Callable[[int | str], Any]  # gives what behaves as a cv2.VideoCapture


def capture(what: int | str) -> Any:
    """OpenCV's reader of a file or a camera, open or not."""
    import cv2

    return cv2.VideoCapture(what)


class VideoSource(Source):
    """A video file, as far as OpenCV decodes it: topic `video`, kind camera, uint8 [H, W, 3] RGB, turned upright.

    Stamps are the frames' times in the file, from its first frame at 0; a file says nothing of arrival, which is the
    stamp. Where a frame's time does not lie after the one before it is taken to come one period of the file's rate
    later, and that is a problem; so is a file that ends before the number of frames that it promises. SourceError where
    it does not open, or holds no frame.
    """

    def __init__(self, path: Path, opener: Opener = capture) -> None:
        super().__init__()
        if not path.is_file():  # OpenCV would look for it on the network, or count up its name
            raise SourceError("no such file", place=str(path))
        self.topics = {"video": "camera"}
        self._path, self._opener = path, opener
        video = self._opened()
        self._period_ns, self._frames = _period_ns(video), max(0, round(_property(video, "FRAME_COUNT")))
        video.release()

    @property
    def length_s(self) -> float | None:
        return (self._frames - 1) * self._period_ns / NS_PER_S if self._frames > 1 else None

    def samples(self) -> Iterator[Sample]:
        """Every frame that can be decoded."""
        video, last_ns, count = self._opened(), -self._period_ns, 0
        try:
            while (frame := _next(video)) is not None:
                stamp_ns = round(_property(video, "POS_MSEC") * NS_PER_MS)
                if stamp_ns <= last_ns or (count == 0 and stamp_ns < 0):
                    self.report(str(self._path), "a frame's time is not after the one before: one period is added")
                    stamp_ns = last_ns + self._period_ns
                last_ns, count = stamp_ns, count + 1
                yield Sample("video", stamp_ns, frame)
        finally:
            video.release()
        self._tell_end(count)

    def _tell_end(self, count: int) -> None:
        if count == 0:
            raise SourceError("holds no frame that can be decoded", place=str(self._path))
        early = Problem(str(self._path), f"ends early: {count} of {self._frames} frames")
        if count < self._frames - SPARE_FRAMES and early not in self.problems:
            self.problems.append(early)

    def _opened(self) -> Any:
        video = self._opener(str(self._path))
        if not video.isOpened():
            raise SourceError("is no video that OpenCV can open", place=str(self._path))
        return video


class DeviceSource(LiveDevice):
    """A camera that OpenCV opens by its number or its path: topic `device`, kind camera, uint8 [H, W, 3] RGB.

    asked   property -> value, as FRAME_WIDTH -> 640: what the camera is asked for; it gives what it can
    Stamp and arrival are when the picture was handed over, on the engine's live clock: its exposure lies before, by
    what the camera and its driver take. When it goes away it is opened again, see `LiveDevice`.
    """

    def __init__(self, device: int | str, asked: Mapping[str, float], opener: Opener = capture) -> None:
        self._device, self._asked, self._opener = device, asked, opener
        super().__init__(f"device:{device}")
        self.topics = {"device": "camera"}

    def _open(self) -> Any:
        import cv2

        camera = self._opener(self._device)
        if not camera.isOpened():
            camera.release()
            raise OSError("no camera that OpenCV can open")
        # One picture in the driver's queue: those that wait there would be stamped too late.
        for name, value in {"BUFFERSIZE": 1, **self._asked}.items():
            camera.set(getattr(cv2, f"CAP_PROP_{name}"), value)
        return camera

    def _read(self, handle: Any) -> Iterator[Sample]:
        while not self.ended.is_set():
            frame = _next(handle)
            if frame is None:
                return
            t_ns = now_ns()
            yield Sample("device", t_ns, frame, t_ns)

    def _shut(self, handle: Any) -> None:
        handle.release()


def _next(video: Any) -> U8 | None:
    """The next frame as uint8 [H, W, 3] RGB; None where there is none, or none of that form."""
    import cv2

    read, frame = video.read()
    if not read or frame is None or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        return None
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)


def _period_ns(video: Any) -> int:
    hz = _property(video, "FPS")
    return round(NS_PER_S / (hz if 1e-3 <= hz <= 1e4 else USUAL_HZ))


def _property(video: Any, name: str) -> float:
    """0 where it is not known."""
    import cv2

    value = float(video.get(getattr(cv2, f"CAP_PROP_{name}")))
    return value if np.isfinite(value) else 0.0
