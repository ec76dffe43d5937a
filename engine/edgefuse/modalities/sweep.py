"""Shape of a lidar's sweep: how many points there are, and how they spread over azimuth and elevation."""

from __future__ import annotations

import math

import numpy as np

from edgefuse.modalities.base import spread
from edgefuse.types import F32, F64

POINTS = 8191  # looked at, at most
AZIMUTHS = 72  # sectors of 5 degrees
ELEVATIONS = 256  # rows of equal rise per metre: 0.36 degrees at the horizon
STEEPEST = 0.8  # rise per metre of the outermost rows: 39 degrees up and down
LEAST = 4.0  # points that a sector or row must usually hold before its silence says anything
SPARSE = 0.25  # of the mean row; a row that usually holds less may be empty by chance of the scene
EMPTY = 0.1  # of what it usually holds: a sector or row below that is lost

SECTOR_DEG = 360.0 / AZIMUTHS


def shape_of(points: F32) -> F64:
    """Points that hit something, then their sample's counts per sector and per row, float64 [1 + 72 + 256].

    points: float32 [n, 4], finite. Points at the sensor itself do not count: some drivers send those for no echo.
    """
    sample = spread(points, POINTS)
    level_m = np.hypot(sample[:, 0], sample[:, 1])
    hit = np.flatnonzero(level_m > 0.0)
    x_m, y_m, z_m, level_m = sample[hit, 0], sample[hit, 1], sample[hit, 2], level_m[hit]
    sectors = ((np.arctan2(y_m, x_m) / np.float32(2 * math.pi) + np.float32(0.5)) * AZIMUTHS).astype(np.intp) % AZIMUTHS
    with np.errstate(over="ignore"):
        rise = z_m / level_m
    rows = (np.clip(rise / (2 * STEEPEST) + 0.5, 0.0, 1.0 - 1e-6) * ELEVATIONS).astype(np.intp)
    counts = np.bincount(sectors, minlength=AZIMUTHS), np.bincount(rows, minlength=ELEVATIONS)
    total = len(points) * len(hit) / max(len(sample), 1)
    return np.concatenate([[total], *counts]).astype(np.float64)


def points_left(shown: F64, usual: F64) -> float:
    """Points of a sweep over the points of a usual one."""
    return float(shown[0] / max(usual[0], 1.0))


def sector_lost_deg(shown: F64, usual: F64) -> float:
    """Degrees of the widest sector that usually holds points and now holds none.

    A gap in what the sensor can ever see neither counts nor ends a sector.
    """
    before, now = usual[1 : 1 + AZIMUTHS], shown[1 : 1 + AZIMUTHS]
    known = before >= LEAST
    lost = (now <= EMPTY * before)[known]
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
    lost = int(np.count_nonzero((now <= EMPTY * before) & known))
    return lost / max(int(np.count_nonzero(known)), 1)
