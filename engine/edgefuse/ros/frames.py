"""Frames: how the sensors of a robot are mounted, from its transforms, so that a cloud can be seen by a camera."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgefuse.ros.messages import frame_of, matrix_of
from edgefuse.types import F64


class Frames:
    """The tree of frames as `tf2_msgs/TFMessage` tells it, the newest word of each edge."""

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, F64]] = {}

    def learn(self, message: Any) -> None:
        """Take in the transforms of one message; ValueError where one is no transform."""
        for edge in message.transforms:
            child, parent = str(edge.child_frame_id).lstrip("/"), frame_of(edge)
            matrix = matrix_of(edge.transform)
            if not np.isfinite(matrix).all():
                raise ValueError(f"the transform from {child} to {parent} is not finite")
            self._parents[child] = parent, matrix

    def between(self, child: str, other: str) -> F64 | None:
        """What brings coordinates in one frame to another, float64 [4, 4]; None where nothing connects them."""
        up, over = self._to_ancestors(child), self._to_ancestors(other)
        shared = next((frame for frame in up if frame in over), None)
        return None if shared is None else np.linalg.inv(over[shared]) @ up[shared]

    def _to_ancestors(self, frame: str) -> dict[str, F64]:
        """Frame -> what brings coordinates in `frame` there, for it and everything above it."""
        found, matrix = {frame: np.eye(4)}, np.eye(4)
        while frame in self._parents:
            frame, step = self._parents[frame]
            if frame in found:
                break  # a loop is no tree
            matrix = step @ matrix
            found[frame] = matrix
        return found
