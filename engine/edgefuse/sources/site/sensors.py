"""The four sensors on the machine: where they sit, what they measure of a scene, and how they err."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edgefuse.geodesy import Origin, geodetic_from_enu
from edgefuse.sources.site.camera import render
from edgefuse.sources.site.raycast import GROUND, SKY, Hits, View, cast, view
from edgefuse.sources.site.scene import ANCHOR, CAMERA_MOUNT_M, Scene, Weather
from edgefuse.sources.site.solids import Pack
from edgefuse.sources.site.surface import Surface, surface
from edgefuse.types import F32, F64, U8

CAMERA_WIDTH, CAMERA_HEIGHT = 128, 96
DEPTH_WIDTH, DEPTH_HEIGHT = 80, 60
FIELD_RAD = math.radians(80.0)  # horizontal field of camera and depth
HORIZON = 0.30  # share of the rows above the principal point: a shifted lens, so that posts stay upright
DEPTH_RANGE_M = 12.0
LIDAR_BEAMS, LIDAR_AZIMUTHS = 16, 180
LIDAR_LOW_RAD, LIDAR_HIGH_RAD = math.radians(-25.0), math.radians(10.0)
LIDAR_MOUNT_M = (0.45, 0.42, 2.6)
LIDAR_NEAR_M, LIDAR_RANGE_M = 0.8, 40.0  # the far one for a reflectance of 0.3 in clear air
ANTENNA_M = (-0.5, 0.0, 2.4)


def pinhole(width: int, height: int) -> F32:
    """Rays float32 [3, height, width] of a level pinhole camera, x = 1: so t is the distance along the optical axis."""
    focal = width / 2 / math.tan(FIELD_RAD / 2)
    across = (width / 2 - 0.5 - np.arange(width)) / focal
    up = (HORIZON * height - 0.5 - np.arange(height)) / focal
    y, z = np.broadcast_to(across, (height, width)), np.broadcast_to(up[:, None], (height, width))
    return np.stack([np.ones((height, width)), y, z]).astype(np.float32)


def spinning() -> F32:
    """Rays float32 [3, beams, azimuths] of unit length, beams from low to high, azimuths from -pi anticlockwise."""
    up = np.linspace(LIDAR_LOW_RAD, LIDAR_HIGH_RAD, LIDAR_BEAMS)[:, None]
    turn = (np.arange(LIDAR_AZIMUTHS) + 0.5) * (2 * math.pi / LIDAR_AZIMUTHS) - math.pi
    rise = np.broadcast_to(np.sin(up), (LIDAR_BEAMS, LIDAR_AZIMUTHS))
    return np.stack([np.cos(up) * np.cos(turn), np.cos(up) * np.sin(turn), rise]).astype(np.float32)


@lru_cache(maxsize=1)
def camera_view() -> View:
    """The camera's rays, made once."""
    return view(CAMERA_MOUNT_M, pinhole(CAMERA_WIDTH, CAMERA_HEIGHT))


@lru_cache(maxsize=1)
def depth_view() -> View:
    """The depth sensor's rays, made once: the camera's place and field, fewer pixels."""
    return view(CAMERA_MOUNT_M, pinhole(DEPTH_WIDTH, DEPTH_HEIGHT))


@lru_cache(maxsize=1)
def lidar_view() -> View:
    """The lidar's rays, made once."""
    return view(LIDAR_MOUNT_M, spinning())


def camera_image(scene: Scene, solids: Pack, rng: np.random.Generator | None = None) -> U8:
    """uint8 [96, 128, 3] RGB; without `rng` an ideal sensor."""
    return render(scene, cast(scene, solids, camera_view()), rng)


def depth_image(scene: Scene, solids: Pack, rng: np.random.Generator | None = None) -> NDArray[np.uint16]:
    """uint16 [60, 80]: millimetres along the optical axis, 0 where nothing was measured; without `rng` ideal.

    A real one loses dark, wet and glancing surfaces in blotches, and everything beyond DEPTH_RANGE_M; its error grows
    with the square of the distance, as that of a stereo pair does.
    """
    hits = cast(scene, solids, depth_view())
    t = np.where(hits.t <= DEPTH_RANGE_M, hits.t, np.float32(0))
    if rng is not None:
        spread = np.float32(0.004) + np.float32(0.0025) * t * t
        t = np.where(t > 0, t + spread * rng.standard_normal(t.shape, np.float32), 0)
        t = np.where(_depth_lost(scene.weather, hits, rng), 0, t)
    millimetres: NDArray[np.uint16] = np.rint(np.clip(t, 0, 65.0) * 1000).astype(np.uint16)
    return millimetres


def _depth_lost(weather: Weather, hits: Hits, rng: np.random.Generator) -> NDArray[np.bool_]:
    dark = hits.index >= 0
    albedo = np.zeros(hits.t.shape, np.float32)
    albedo[dark] = hits.solids.colour[hits.index[dark]].mean(1)
    risk = np.float32(0.04 + 0.12 * weather.rain + 2.0 * weather.fog_per_m) + dark * np.clip(0.45 - 3 * albedo, 0, 0.45)
    risk = risk + np.where(hits.index == GROUND, np.float32(0.02 + 0.04 * weather.rain) * np.minimum(hits.t, 12), 0)
    rows, cols = hits.t.shape
    blotches = np.kron(rng.random((rows // 4, cols // 4), np.float32), np.ones((4, 4), np.float32))
    lost: NDArray[np.bool_] = 0.7 * blotches + 0.3 * rng.random((rows, cols), np.float32) < risk
    return lost


def lidar_scan(scene: Scene, solids: Pack, rng: np.random.Generator | None = None) -> F32:
    """float32 [n, 4]: x, y, z in metres in the lidar's frame, reflectance in [0, 1]; without `rng` ideal."""
    hits = cast(scene, solids, lidar_view())
    met = surface(hits, scene.ground)
    reach, reflect = hits.t, met.reflect
    echo = _echo(scene.weather, hits, met)
    if rng is not None:
        reach, reflect, echo = _lidar_errors(scene.weather, reach, reflect, echo, rng)
    points = hits.view.rays[:, echo] * reach[echo]
    return np.ascontiguousarray(np.concatenate([points, reflect[echo][None]]).T.astype(np.float32))


def _echo(weather: Weather, hits: Hits, met: Surface) -> NDArray[np.bool_]:
    """Where enough light comes back: the range falls with the root of the reflectance, and with fog."""
    limit = LIDAR_RANGE_M * np.sqrt(met.reflect / np.float32(0.3)) / np.float32(1 + 8 * weather.fog_per_m)
    echo: NDArray[np.bool_] = (hits.index != SKY) & (hits.t > LIDAR_NEAR_M) & (hits.t < limit)
    return echo


def _lidar_errors(
    weather: Weather, reach: F32, reflect: F32, echo: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[F32, F32, NDArray[np.bool_]]:
    """Range noise of 2 cm, dropouts, wet surfaces that return less, and echoes from rain drops."""
    shape = reach.shape
    wet = 1 - np.float32(0.5 * min(1.0, 2 * weather.rain))
    reach = np.where(echo, reach, 1) + np.float32(0.02) * rng.standard_normal(shape, np.float32)
    reflect = np.clip(reflect * wet + np.float32(0.05) * rng.standard_normal(shape, np.float32), 0, 1)
    drop = rng.random(shape, np.float32) < np.float32(0.02 * weather.rain)
    kept = echo & (rng.random(shape, np.float32) > np.float32(0.03 + 0.25 * weather.rain + weather.fog_per_m))
    reach = np.where(drop, LIDAR_NEAR_M + 5 * rng.random(shape, np.float32), reach)
    return reach, np.where(drop, np.float32(0.05), reflect), kept | drop


def gps_sigma(rng: np.random.Generator) -> tuple[float, int]:
    """A receiver's horizontal standard deviation in metres and its fix status (0 fix, 1 SBAS, 2 RTK)."""
    kind = int(rng.choice(4, p=(0.15, 0.35, 0.40, 0.10)))
    low, high, status = ((0.15, 0.4, 2), (0.6, 1.1, 1), (0.9, 1.7, 0), (2.5, 4.5, 0))[kind]
    return float(rng.uniform(low, high)), status


def gps_fix(scene: Scene, error: F64, sigma_m: float, status: int) -> F64:
    """float64 [7]: latitude_deg, longitude_deg, altitude_m, var_east_m2, var_north_m2, var_up_m2, status.

    error: float64 [3] east, north, up, in standard deviations; the vertical one is 1.6 times sigma_m.
    """
    sigma = np.array([sigma_m, sigma_m, 1.6 * sigma_m])
    enu = scene.above_ground(*ANTENNA_M) + sigma * error
    position = geodetic_from_enu(float(enu[0]), float(enu[1]), float(enu[2]), Origin(*ANCHOR))
    return np.array([*position, *sigma**2, status], np.float64)
