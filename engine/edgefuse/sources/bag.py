"""The source `bag:PATH`: a recording of ROS 1 or ROS 2, or an MCAP file, played as it was received."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgefuse.errors import SourceError
from edgefuse.ros.frames import Frames
from edgefuse.ros.messages import KINDS, READERS, Read, frame_of, stamp_of
from edgefuse.ros.recording import Message, Recording, open_recording
from edgefuse.sources.base import Source
from edgefuse.sources.projection import Projection, depth_image
from edgefuse.types import F64, NS_PER_S, Sample

DEPTH_REDUCTION = 4  # of a cloud's picture, as of KITTI's: a sweep of 64 beams fills half of the pixels then
_TRANSFORMS, _CAMERA = "tf2_msgs/msg/TFMessage", "sensor_msgs/msg/CameraInfo"
_MOST_SIDE_PX = 1 << 14
_CLOUD = "sensor_msgs/msg/PointCloud2"


@dataclass(frozen=True, slots=True)
class _Seen:
    """A cloud as a camera sees it: a topic of depth that nobody recorded."""

    topic: str
    cloud: str
    projection: Projection


class BagSource(Source):
    """A bag of ROS 1 or ROS 2 (sqlite3, MCAP; lz4, zstd) or a bare MCAP file.

    Topics are the recording's own, of the types in `edgefuse.ros.messages`. Where transforms connect a cloud
    with a calibrated camera there is also `NAMESPACE/depth_from/CLOUD`: the cloud as that camera sees it, at a quarter
    of its size, uint16 millimetres, stamped as the cloud. Stamps are those of the headers, and arrival is when the
    message was recorded; where no header was stamped, that is the stamp too. What cannot be read is a `Problem`, told
    once and counted; SourceError where the recording cannot be opened or holds no topic of a known type.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._recording: Recording = open_recording(path)
        self._types = {topic: kind for topic, kind in self._recording.topics.items() if kind in READERS}
        if not self._types:
            held = ", ".join(f"{t} ({k})" for t, k in self._recording.topics.items()) or "nothing"
            raise SourceError(f"holds no topic of a type that is read; it holds {held}", place=str(path))
        self.topics = {topic: KINDS.get(kind) or self._peeked(topic) for topic, kind in sorted(self._types.items())}
        self._seen = list(self._projections())
        self.topics |= {seen.topic: "depth" for seen in self._seen}
        self._report_recording()

    @property
    def length_s(self) -> float:
        return self._recording.length_ns / NS_PER_S

    def samples(self) -> Iterator[Sample]:
        """Every sample of the wanted topics as it was recorded; a cloud before what is made of it."""
        arrival_ns = 0
        clouds = {seen.cloud for seen in self._seen if self.wants(seen.topic)}
        for message in self._recording.messages({t for t in self._types if self.wants(t) or t in clouds}):
            arrival_ns = max(arrival_ns, message.log_ns)
            content = self._tried(message.topic, self._recording.decode, message)
            read = None if content is None else self._tried(message.topic, _reader(message.type), content)
            if read is not None:
                yield from self._of(message, content, read, arrival_ns)
        self._report_recording()

    def _of(self, message: Message, content: Any, read: Read, arrival_ns: int) -> Iterator[Sample]:
        stamp_ns = stamp_of(content)
        if stamp_ns is None:
            self.report(message.topic, "has no stamp: the time at which it was recorded is taken")
            stamp_ns = message.log_ns
        if self.wants(message.topic):
            yield Sample(message.topic, stamp_ns, read.payload, arrival_ns)
        for seen in self._seen:
            if seen.cloud == message.topic and read.kind == "lidar" and self.wants(seen.topic):
                yield Sample(
                    seen.topic, stamp_ns, depth_image(read.payload, seen.projection, DEPTH_REDUCTION), arrival_ns
                )

    def _peeked(self, topic: str) -> str:
        """The kind of a picture, by the first one that can be read."""
        content = next((content for _, content in self._contents(topic)), None)
        try:
            return "camera" if content is None else READERS[self._types[topic]](content).kind
        except ValueError:  # told when it is played
            return "camera"

    def _projections(self) -> Iterator[_Seen]:
        """Every cloud as every camera that it can be brought to."""
        cameras = [topic for topic, kind in self._recording.topics.items() if kind == _CAMERA]
        clouds = [topic for topic, kind in self._types.items() if kind == _CLOUD]
        if not (cameras and clouds):
            return
        frames = self._frames()
        for camera in cameras:
            for cloud in clouds:
                projection = self._projection(frames, cloud, camera)
                if projection is not None:
                    yield _Seen(f"{camera.rpartition('/')[0]}/depth_from/{cloud.lstrip('/')}", cloud, projection)

    def _projection(self, frames: Frames, cloud: str, camera: str) -> Projection | None:
        info, points = (next((c for _, c in self._contents(topic)), None) for topic in (camera, cloud))
        if info is None or points is None:
            return None
        matrix = frames.between(frame_of(points), frame_of(info))
        if matrix is None:
            self.report(cloud, f"no transform connects {frame_of(points)} with {frame_of(info)}: no depth of it")
            return None
        try:
            return projection_of(info, matrix)
        except ValueError as error:
            self.report(camera, f"no depth of {cloud}: {error}")
            return None

    def _frames(self) -> Frames:
        frames = Frames()
        for topic in (topic for topic, kind in self._recording.topics.items() if kind == _TRANSFORMS):
            for _, content in self._contents(topic):
                self._tried(topic, frames.learn, content)
        return frames

    def _contents(self, topic: str) -> Iterator[tuple[Message, Any]]:
        """The messages of one topic that can be decoded."""
        for message in self._recording.messages({topic}):
            content = self._tried(topic, self._recording.decode, message)
            if content is not None:
                yield message, content

    def _tried(self, topic: str, work: Callable[[Any], Any], given: Any) -> Any:
        """What the work gives; None, with a problem of the topic, where it cannot be done."""
        try:
            return work(given)
        except ValueError as error:
            self.report(topic, str(error))
            return None

    def _report_recording(self) -> None:
        for what in self._recording.problems:
            self.report(str(self._recording.path), what)
        self._recording.problems.clear()


def _reader(kind: str) -> Callable[[Any], Read]:
    def unknown(content: Any) -> Read:
        raise ValueError(f"is of type {kind} now, which is not read")

    return READERS.get(kind, unknown)


def projection_of(info: Any, camera_from_cloud: F64) -> Projection:
    """How a cloud falls onto the rectified image of a `sensor_msgs/CameraInfo`; ValueError where that is none.

    camera_from_cloud  float64 [4, 4], from the cloud's frame to the camera's optical frame
    """
    matrix, rectify = np.asarray(_of_either(info, "P"), np.float64).reshape(3, 4), np.eye(4)
    rectify[:3, :3] = np.asarray(_of_either(info, "R"), np.float64).reshape(3, 3)
    width_px, height_px = int(info.width), int(info.height)
    if not (1 <= width_px <= _MOST_SIDE_PX and 1 <= height_px <= _MOST_SIDE_PX):
        raise ValueError(f"a camera of {width_px} x {height_px} pixels")
    if not np.isfinite(matrix @ rectify).all() or matrix[0, 0] <= 0.0 or matrix[1, 1] <= 0.0:
        raise ValueError("a camera that is not calibrated: its projection has no focal length")
    return Projection(matrix @ rectify @ camera_from_cloud, width_px, height_px)


def _of_either(info: Any, name: str) -> Any:
    """A field that ROS 1 writes in capitals, and ROS 2 does not."""
    return getattr(info, name, None) if hasattr(info, name) else getattr(info, name.lower())
