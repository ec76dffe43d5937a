"""Shape of a lidar's sweep: how many points there are, and how they spread over azimuth and elevation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgefuse import kernels
from edgefuse.reference_looks import ELEVATIONS, SLOPES
from edgefuse.reference_looks import SECTORS as AZIMUTHS
from edgefuse.types import F32, F64

LEAST = 4.0  # points that a sector or row must usually hold before its silence says anything
SPARSE = 0.25  # of the mean row; a row that usually holds less may be empty by chance of the scene
EMPTY = 0.1  # of what it usually holds: a sector or row below that is lost

SECTOR_DEG = 360.0 / AZIMUTHS


def shape_of(points: F32) -> F64:
    """Points that hit something, then their counts per sector and per row, float64 [1 + 72 + 256].

    points: float32 [n, 4], finite, dense; see `kernels.sweep_counts`.
    """
    counts = np.empty(1 + AZIMUTHS + ELEVATIONS)
    kernels.sweep_counts(points, SLOPES, counts)
    return counts


def anything_lost(shown: F64, usual: F64) -> bool:
    """Is any sector or row, that usually holds points, empty?"""
    return bool(_lost(shown[1:], usual[1:]).any())


def points_left(shown: F64, usual: F64) -> float:
    """Points of a sweep over the points of a usual one."""
    return float(shown[0] / max(usual[0], 1.0))


def sector_lost_deg(shown: F64, usual: F64) -> float:
    """Degrees of the widest sector that usually holds points and now holds none.

    A gap in what the sensor can ever see neither counts nor ends a sector.
    """
    before, now = usual[1 : 1 + AZIMUTHS], shown[1 : 1 + AZIMUTHS]
    lost = _lost(now, before)[before >= LEAST]
    if not lost.any():
        return 0.0
    if lost.all():
        return SECTOR_DEG * lost.size
    # Turned so that it begins with one that is there, the longest run does not cross the end.
    there = np.flatnonzero(~np.roll(lost, -int(np.argmin(lost))))
    return SECTOR_DEG * float(np.diff(there, append=lost.size).max() - 1)


def rows_lost(shown: F64, usual: F64) -> float:
    """Share of the elevation rows, among those that usually hold points, that now hold none."""
    before, now = usual[1 + AZIMUTHS :], shown[1 + AZIMUTHS :]
    held = before[before > 0.0]
    known = before >= max(LEAST, SPARSE * float(held.mean()) if held.size else 0.0)
    lost = int(np.count_nonzero(_lost(now, before) & known))
    return lost / max(int(np.count_nonzero(known)), 1)


def _lost(now: F64, before: F64) -> NDArray[np.bool_]:
    """Of sectors or rows: those that usually hold points, and now hold next to none."""
    lost: NDArray[np.bool_] = (now <= EMPTY * before) & (before >= LEAST)
    return lost
