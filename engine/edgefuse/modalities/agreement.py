"""Agreement of a depth picture with a lidar: points projected to pixels must lie about where the pixels say."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from edgefuse.reference_looks import spread
from edgefuse.schema import Finite, Name, Positive, Strict
from edgefuse.types import F32, F64

POINTS = 1021  # looked at, at most; a prime, see `spread`
NEAREST_M = 0.1  # in front of the depth camera; what is nearer has no sound projection

Row = tuple[Finite, Finite, Finite, Finite]


class Agreement(Strict):
    """Which lidar a depth stream must agree with, and how the two are mounted.

    stream              name of the lidar's stream
    focal_px            focal length of the depth picture, in its pixels, a rectified pinhole with square ones
    centre_px           (column, row) of its principal point; whole numbers are middles of pixels
    T_depth_lidar       [3, 4]: metres in the lidar's frame to metres in the depth camera's (x right, y down, z forward)
    within_ms           greatest distance in time of two samples that are compared
    max_relative_error  greatest median of |depth - lidar| / lidar
    min_points          fewest points that fall on measured pixels for a verdict
    """

    stream: Name
    focal_px: Positive
    centre_px: tuple[Finite, Finite]
    T_depth_lidar: tuple[Row, Row, Row]
    within_ms: Positive = 100.0
    max_relative_error: Positive = 0.25
    min_points: Annotated[int, Meta(ge=1, le=POINTS)] = 30

    def __post_init__(self) -> None:
        turn = np.array(self.T_depth_lidar)[:, :3]
        if not np.allclose(turn @ turn.T, np.eye(3), atol=1e-2) or np.linalg.det(turn) < 0.0:
            raise ValueError("T_depth_lidar does not turn and shift, it distorts or mirrors")


def disagrees(depth_mm: NDArray[np.uint16], points: F32, agreement: Agreement) -> bool:
    """Is the typical measured depth too far from what the lidar measured in the same direction?

    depth_mm: uint16 [H, W], millimetres along the optical axis, 0 = no measurement; points: float32 [n, 4], finite,
    x, y, z in metres in the lidar's frame. The median does not mind the few points that one sensor sees past an edge
    and the other does not. Too few points to compare is no disagreement.
    """
    error = relative_error(depth_mm, points, agreement)
    return error is not None and error > agreement.max_relative_error


def relative_error(depth_mm: NDArray[np.uint16], points: F32, agreement: Agreement) -> float | None:
    """Median of |depth - lidar| / lidar over points that fall on measured pixels; None where they are too few."""
    column, row, lidar_m = _projected(spread(points, POINTS), agreement)
    inside = (column >= 0) & (column < depth_mm.shape[1]) & (row >= 0) & (row < depth_mm.shape[0])
    lidar_m = lidar_m[inside]
    depth_m = depth_mm[row[inside].astype(np.intp), column[inside].astype(np.intp)] / 1000.0
    measured = depth_m > 0.0
    if np.count_nonzero(measured) < agreement.min_points:
        return None
    return float(np.median(np.abs(depth_m[measured] - lidar_m[measured]) / lidar_m[measured]))


def _projected(points: F32, agreement: Agreement) -> tuple[F64, F64, F64]:
    """Column and row (whole pixels, float64 [m] each) and depth (m, float64 [m]) of the points before the camera."""
    transform = np.array(agreement.T_depth_lidar)
    seen = points[:, :3].astype(np.float64) @ transform[:, :3].T + transform[:, 3]
    seen = seen[seen[:, 2] > NEAREST_M]
    pixels = np.rint(agreement.focal_px * seen[:, :2] / seen[:, 2:] + np.array(agreement.centre_px))
    return pixels[:, 0], pixels[:, 1], seen[:, 2]
