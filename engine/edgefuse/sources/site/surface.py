"""What the met surfaces are like: colour, reflectance and normal of each hit, for camera, depth and lidar alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edgefuse.sources.site.raycast import GROUND, Hits
from edgefuse.sources.site.scene import BED_FOOT_M, BED_TOP_M, Ground
from edgefuse.sources.site.solids import Pack, dot
from edgefuse.types import F32

_TILE = 64
_EARTH, _DIRT = (0.36, 0.27, 0.17), (0.26, 0.19, 0.12)
_GRASS, _BALLAST, _SLEEPER = (0.15, 0.25, 0.06), (0.25, 0.24, 0.23), (0.60, 0.57, 0.52)
SLEEPER_PITCH_M, SLEEPER_WIDTH_M, SLEEPER_HALF_M = 0.6, 0.26, 1.25
_REFLECT_EARTH, _REFLECT_GRASS, _REFLECT_BALLAST, _REFLECT_SLEEPER = 0.26, 0.40, 0.12, 0.45


@dataclass(frozen=True, slots=True)
class Surface:
    """colour float32 [3, rows, cols] (linear albedo), reflect float32 [rows, cols], normal float32 [3, rows, cols].

    Normals are in the sensor frame; where the sky was met all three are 0.
    """

    colour: F32
    reflect: F32
    normal: F32


def surface(hits: Hits, ground: Ground) -> Surface:
    """The surface at each hit of a view."""
    shape, index, points = hits.index.shape, hits.index.reshape(-1), hits.points.reshape(3, -1)
    colour, normal = np.zeros((3, index.size), np.float32), np.zeros((3, index.size), np.float32)
    reflect = np.zeros(index.size, np.float32)
    on_ground, on_solid = np.flatnonzero(index == GROUND), np.flatnonzero(index >= 0)
    colour[:, on_ground], reflect[on_ground] = _earth(ground, hits, points[:, on_ground])
    normal[2, on_ground] = 1.0
    which = index[on_solid]
    unit = _unit_points(hits.solids, which, points[:, on_solid])
    colour[:, on_solid], reflect[on_solid] = _paint(hits.solids, which, unit)
    normal[:, on_solid] = _normals(hits.solids, which, unit)
    return Surface(colour.reshape(3, *shape), reflect.reshape(shape), normal.reshape(3, *shape))


def _unit_points(solids: Pack, which: NDArray[np.int16], points: F32) -> F32:
    """Points float32 [3, m] of solids `which` [m], each in its solid's unit shape."""
    to_unit = solids.to_unit.astype(np.float32)[which]
    away = points.T - solids.centre.astype(np.float32)[which]
    unit: F32 = np.einsum("mij,mj->im", to_unit, away)
    return unit


def _paint(solids: Pack, which: NDArray[np.int16], unit: F32) -> tuple[F32, F32]:
    band = solids.band[which]
    trimmed = (unit[2] >= band[:, 0]) & (unit[2] <= band[:, 1])
    colour = np.where(trimmed[:, None], solids.trim_colour[which], solids.colour[which]).T
    return colour, np.where(trimmed, solids.trim_reflect[which], solids.reflect[which])


def _normals(solids: Pack, which: NDArray[np.int16], unit: F32) -> F32:
    """Outward normals float32 [3, m]: the unit shape's, brought back by the inverse transpose of its transform."""
    size = np.abs(unit)
    box = np.where(size >= np.maximum(np.maximum(size[0], size[1]), size[2]), np.sign(unit), 0)
    on_end = size[2] > 0.999
    upright = np.array([[0], [0], [1]], np.float32)
    round_ = unit * np.where(on_end, upright, 1 - upright)
    local = np.choose(solids.kind[which], [box, round_, unit]).astype(np.float32)
    local /= solids.half.astype(np.float32)[which].T
    away = np.einsum("mij,jm->im", solids.rot.astype(np.float32)[which], local)
    normal: F32 = away / np.maximum(np.sqrt(dot(away, away)), np.float32(1e-9))
    return normal


def _earth(ground: Ground, hits: Hits, points: F32) -> tuple[F32, F32]:
    """Colour [3, m] and reflectance [m] of the ground; texture fades where a pixel would hold many grains."""
    (east, north), distance = hits.level_enu(points), np.hypot(points[0], points[1])
    along, across = ground.along_across(east, north)
    side = np.abs(across)
    patches, lumps = noise(east * 0.35, north * 0.35), noise(east * 2.3 + 7, north * 2.3)
    grains = noise(east * 9.0, north * 9.0) * np.clip(1.4 - distance * 0.07, 0.15, 1)
    green = np.clip((patches - (1 - ground.grass)) * 5 + 0.5, 0, 1) * np.clip(side - BED_FOOT_M, 0, 1)
    stone = np.clip((BED_FOOT_M + 0.15 - side) * 4 + (lumps - 0.5), 0, 1)
    sleeper = _sleepers(along, side, distance)
    colour = _mix(_mix(_rgb(_EARTH), _rgb(_DIRT), lumps), _rgb(_GRASS), green)
    colour = _mix(_mix(colour, _rgb(_BALLAST), stone), _rgb(_SLEEPER), sleeper)
    reflect = _mix1(_mix1(_REFLECT_EARTH, _REFLECT_GRASS, green), _REFLECT_BALLAST, stone)
    rough = 0.75 + np.float32(0.3) * lumps + (grains - 0.3) * (0.3 + stone * 0.3) * (1 - sleeper * np.float32(0.7))
    return (colour * np.clip(rough, 0.2, 1.6)).astype(np.float32), _mix1(reflect, _REFLECT_SLEEPER, sleeper)


def _sleepers(along: F32, side: F32, distance: F32) -> F32:
    """Where sleepers lie, in [0, 1]; far away their mean, so that they do not flicker."""
    crisp = (np.mod(along, SLEEPER_PITCH_M) < SLEEPER_WIDTH_M).astype(np.float32)
    near = np.clip((22 - distance) * np.float32(0.12), 0, 1)
    share: F32 = near * crisp + (1 - near) * np.float32(SLEEPER_WIDTH_M / SLEEPER_PITCH_M)
    return share * (side < min(SLEEPER_HALF_M, BED_TOP_M))


def noise(x: F32, y: F32) -> F32:
    """Smooth noise in [0, 1], float32, of period 64 both ways: random values at whole x, y, blended in between."""
    tile = _noise_tile()
    left, low = np.floor(x), np.floor(y)
    fx, fy = np.subtract(x, left, dtype=np.float32), np.subtract(y, low, dtype=np.float32)
    i = left.astype(np.int32) & (_TILE - 1)
    j = (low.astype(np.int32) & (_TILE - 1)) * _TILE
    i_next, j_next = (i + 1) & (_TILE - 1), (j + _TILE) & (_TILE * _TILE - 1)
    lower = tile[j + i] * (1 - fx) + tile[j + i_next] * fx
    upper = tile[j_next + i] * (1 - fx) + tile[j_next + i_next] * fx
    blended: F32 = lower * (1 - fy) + upper * fy
    return blended


@lru_cache(maxsize=1)
def _noise_tile() -> F32:
    return np.random.default_rng(20240612).random(_TILE * _TILE, np.float32)


def skyline(bearing_rad: F32) -> F32:
    """Slope (rise per metre) of the wooded horizon at bearings from east, float32."""
    turns = bearing_rad * np.float32(_TILE / (2 * math.pi))
    row = np.zeros_like(turns)
    return (0.02 + 0.06 * noise(turns, row + 3) + 0.02 * noise(turns * 4, row + 9)).astype(np.float32)


def _rgb(colour: tuple[float, float, float]) -> F32:
    return np.array(colour, np.float32)[:, None]


def _mix(a: F32, b: F32, share: F32) -> F32:
    mixed: F32 = a + (b - a) * share
    return mixed


def _mix1(a: F32 | float, b: float, share: F32) -> F32:
    mixed: F32 = a + (np.float32(b) - a) * share
    return mixed.astype(np.float32, copy=False)
