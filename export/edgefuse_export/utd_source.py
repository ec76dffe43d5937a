"""The clips of UTD-MHAD one after another as a source: each sensor sends, at its own rate, the clip until now.

A clip lasts as long as its inertial unit says, at 50 Hz; the depth camera's frames, of which the recordings have every
second, and the skeletons are spread evenly over that, because together they came slower than the 30 Hz they are named
for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgefuse.sources import Source
from edgefuse.types import NS_PER_S, Sample
from edgefuse_export.tasks.utd_mhad import HIP, LABELS, SHAPES, STEPS, depth_window, read_clip, resampled

INERTIAL_HZ = 50.0
KNOWN_FOR_NS = NS_PER_S // 20  # at the end of a clip: what is done can be told when it has been done


@dataclass(frozen=True, slots=True)
class Clip:
    """Which clip of the recordings, and when it begins and ends, in seconds."""

    action: int
    person: int
    trial: int
    from_s: float
    to_s: float


class UtdClips(Source):
    """The clips of some people, in an order drawn from a seed. ExportError as of `read_clip`.

    The truth is known in the last 50 ms of each clip: at one tick of 20 per second.
    """

    domain = "utd-mhad"

    def __init__(self, folder: Path, names: Sequence[tuple[int, int, int]], seed: int = 0) -> None:
        super().__init__()
        self.topics = dict.fromkeys(SHAPES, "vector")
        self._folder = folder
        order = np.random.default_rng(seed).permutation(len(names))
        self.clips = tuple(self._laid([names[i] for i in order]))
        self._ends_ns = [round(clip.to_s * NS_PER_S) for clip in self.clips]

    def _laid(self, names: Sequence[tuple[int, int, int]]) -> Iterator[Clip]:
        at_s = 0.0
        for name in names:
            length_s = len(read_clip(self._folder, *name)[2]) / INERTIAL_HZ
            yield Clip(*name, at_s, at_s + length_s)
            at_s += length_s

    @property
    def length_s(self) -> float:
        """Of all clips."""
        return self.clips[-1].to_s

    def samples(self) -> Iterator[Sample]:
        """Clip by clip."""
        for clip in self.clips:
            yield from sorted(self._of(clip), key=lambda sample: sample.stamp_ns)

    def truth(self, t_ns: int) -> Mapping[str, str] | None:
        """The action of the clip that ends now."""
        k = bisect_left(self._ends_ns, t_ns)
        if k == len(self.clips) or self._ends_ns[k] - t_ns >= KNOWN_FOR_NS:
            return None
        return {"action": LABELS[self.clips[k].action - 1]}

    def _of(self, clip: Clip) -> Iterator[Sample]:
        depth, skeleton, inertial = read_clip(self._folder, clip.action, clip.person, clip.trial)
        joints = np.moveaxis(skeleton, 2, 0) - skeleton[HIP, :, 0]
        rows = joints.reshape(len(joints), -1)
        for n, t_ns in _stamps(clip, depth.shape[2]):
            yield Sample("depth", t_ns, depth_window(depth[:, :, :n]))
        for n, t_ns in _stamps(clip, len(rows)):
            yield Sample("skeleton", t_ns, resampled(rows[:n], STEPS))
        for n, t_ns in _stamps(clip, len(inertial)):
            unit = resampled(inertial[:n], STEPS)
            yield Sample("accelerometer", t_ns, np.ascontiguousarray(unit[:, :3]))
            yield Sample("gyroscope", t_ns, np.ascontiguousarray(unit[:, 3:]))


def _stamps(clip: Clip, count: int) -> Iterator[tuple[int, int]]:
    """How many of a clip's rows there are by when, in ns."""
    for n in range(1, count + 1):
        yield n, round((clip.from_s + (clip.to_s - clip.from_s) * n / count) * NS_PER_S)
