"""Faults of a lidar, on float32 [n, 4]: lost beams, points and fields, ghosts, noise, fog, a bent mount."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgefuse.faults.base import Kind, Moment, graded, some_of
from edgefuse.modalities.lidar import LIDAR
from edgefuse.types import F32, F64, Array

BEAMS = 64  # that the vertical field is divided into
GHOST_M = 3.0  # standard deviation of crosstalk
JITTER = 0.1  # of points, as a share of the scan's shift
BLOB = 0.02  # share of the points in one cut-out
FOG_ECHO = 0.1  # share of the lost points that come back from a droplet
FOG_REFLECTANCE = 0.02
WEAK = 0.5  # share of the points that count as weak echoes
PLACE = slice(0, 3)


def _range_m(points: F32) -> F32:
    return np.asarray(np.linalg.norm(points[:, PLACE], axis=1), np.float32)


def _with_places(points: F32, places_m: Array) -> F32:
    changed = points.copy()
    changed[:, PLACE] = places_m
    return changed


def beam_of(points: F32) -> Array:
    """Which beam a point is of, int [n] from 0: bands of elevation, counted among those that hold any point."""
    x, y, z = points[:, :3].T
    elevation = np.nan_to_num(np.arctan2(z, np.hypot(x, y)))
    lowest, highest = elevation.min(), elevation.max()
    band = (elevation - lowest) * ((BEAMS - 1) / max(float(highest - lowest), 1e-6))
    return np.asarray(np.unique(np.rint(band), return_inverse=True)[1]).ravel()


def _beams_missing(points: F32, share: float, moment: Moment) -> F32:
    beam = beam_of(points)
    return points[~some_of(int(beam.max()) + 1, share, moment.lasting())[beam]]


def _points_missing(points: F32, share: float, moment: Moment) -> F32:
    return points[~some_of(len(points), share, moment.rng)]


def _crosstalk(points: F32, share: float, moment: Moment) -> F32:
    hit = some_of(len(points), share, moment.rng)
    ghosts = points + np.float32(GHOST_M) * moment.rng.standard_normal(points.shape, np.float32)
    ghosts[:, 3] = np.clip(ghosts[:, 3], 0.0, 1.0)
    return np.where(hit[:, np.newaxis], ghosts, points)


def _incomplete_echo(points: F32, share: float, moment: Moment) -> F32:
    strength = points[:, 3] / np.maximum(_range_m(points), 1.0) ** 2
    weakest = np.argsort(strength, kind="stable")[: max(1, round(WEAK * len(points)))]
    lost = np.zeros(len(points), np.bool_)
    lost[weakest[some_of(len(weakest), share, moment.rng)]] = True
    return points[~lost]


def _motion_blur(points: F32, sd_m: float, moment: Moment) -> F32:
    shift, jitter = moment.rng.standard_normal(3), moment.rng.standard_normal((len(points), 3), np.float32)
    return _with_places(points, points[:, PLACE] + sd_m * (shift + JITTER * jitter))


def _noise(points: F32, sd_m: float, moment: Moment) -> F32:
    return _with_places(points, points[:, PLACE] + sd_m * moment.rng.standard_normal((len(points), 3), np.float32))


def _cutout(points: F32, blobs: int, moment: Moment) -> F32:
    lost, size = np.zeros(len(points), np.bool_), max(1, round(BLOB * len(points)))
    for centre in moment.rng.integers(0, len(points), blobs):
        distance_2 = np.square(points[:, PLACE] - points[centre, PLACE]).sum(axis=1)
        lost[np.argpartition(distance_2, size - 1)[:size]] = True
    return points[~lost]


def _field_lost(points: F32, kept_deg: float, _moment: Moment) -> F32:
    seen: F32 = points[np.abs(np.arctan2(points[:, 1], points[:, 0])) <= np.radians(kept_deg)]
    return seen


def _fog(points: F32, extinction_per_m: float, moment: Moment) -> F32:
    """Beer-Lambert there and back: light reaches its first droplet after Exp(1 / 2a) m, a point if that is beyond it.

    A point that is reached is dimmer by exp(-2 a r); of the others some come back from their droplet.
    """
    range_m, rng = _range_m(points), moment.rng
    droplet_m = rng.exponential(1.0, len(points)) / (2.0 * extinction_per_m)
    echo = rng.random(len(points)) < FOG_ECHO
    clear = droplet_m >= range_m
    nearer = np.where(clear, 1.0, droplet_m / np.maximum(range_m, 1e-6))
    changed = _with_places(points, points[:, PLACE] * nearer[:, np.newaxis])
    dimmed = points[:, 3] * np.exp(-2.0 * extinction_per_m * range_m)
    changed[:, 3] = np.where(clear, dimmed, np.minimum(points[:, 3], FOG_REFLECTANCE))
    kept: F32 = changed[clear | echo]
    return kept


def _misaligned(points: F32, level: tuple[float, float], moment: Moment) -> F32:
    angle_deg, shift_m = level
    axis, direction = moment.lasting().standard_normal((2, 3))
    turned = points[:, PLACE] @ _rotation(axis / np.linalg.norm(axis), np.radians(angle_deg)).T.astype(np.float32)
    return _with_places(points, turned + shift_m * direction / np.linalg.norm(direction))


def _rotation(axis: F64, angle: float) -> F64:
    """Rodrigues: the rotation by an angle about a unit axis, float64 [3, 3]."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    rotation: F64 = np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross)
    return rotation


# Levels: Robo3D, MultiCorrupt and 3D Corruptions name three or five. Beams are Robo3D's three (16, 32 and 48 of 64)
# with the middles; points, echoes and fog end with the source's three, the milder ones carry the row on; blur merges
# the threes of two sources; a misaligned sensor turns as in MultiCorrupt and shifts as in 3D Corruptions.
LIDAR_KINDS: Mapping[str, Kind] = {
    "beams_missing": graded(
        LIDAR,
        "this share of the beams is dead, the same ones for as long as it lasts",
        (0.25, 0.375, 0.5, 0.625, 0.75),
        _beams_missing,
    ),
    "points_missing": graded(LIDAR, "this share of the points is lost", (0.5, 0.6, 0.7, 0.8, 0.9), _points_missing),
    "crosstalk": graded(
        LIDAR,
        f"this share of the points is thrown about by {GHOST_M:g} m on each axis",
        (0.004, 0.008, 0.012, 0.016, 0.02),
        _crosstalk,
    ),
    "incomplete_echo": graded(
        LIDAR,
        "of the half of the points with the weakest echo, far or dark, this share is lost",
        (0.55, 0.65, 0.75, 0.85, 0.95),
        _incomplete_echo,
    ),
    "lidar_motion_blur": graded(
        LIDAR,
        f"the scan is shifted by this standard deviation in m, each point by {JITTER:g} of it",
        (0.04, 0.06, 0.08, 0.1, 0.13),
        _motion_blur,
    ),
    "lidar_noise": graded(
        LIDAR, "points are off by this standard deviation in m, on each axis", (0.02, 0.04, 0.06, 0.08, 0.1), _noise
    ),
    "cutout": graded(LIDAR, f"so many blobs, each of {BLOB:.0%} of the points, are lost", (2, 3, 5, 7, 10), _cutout),
    "field_lost": graded(
        LIDAR, "only so many degrees to either side are seen", (105.0, 90.0, 75.0, 60.0, 45.0), _field_lost
    ),
    "lidar_fog": graded(
        LIDAR,
        "fog of this extinction per m: far points are lost or dimmed, some come back from the fog",
        (0.01, 0.015, 0.02, 0.03, 0.06),
        _fog,
    ),
    "misaligned": graded(
        LIDAR,
        "the mount is bent: turned by so many degrees, shifted by so many m",
        ((1.0, 0.04), (1.5, 0.08), (2.0, 0.12), (2.5, 0.16), (3.0, 0.2)),
        _misaligned,
    ),
}
