"""Casts the rays of one sensor into a scene: for each ray, how far it goes and what it meets."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgefuse.sources.site.scene import Ground, Scene
from edgefuse.sources.site.solids import SHAPES, Pack, dot, entry
from edgefuse.types import F32, F64

SKY, GROUND = -1, -2  # Hits.index where no solid is met
FAR_M = 150.0


@dataclass(frozen=True, slots=True)
class View:
    """A sensor's rays and where it is mounted; constant, so it is made once.

    mount_m     position in the machine frame (x forward, y left, z up); the sensor looks forward and stands level
    rays        float32 [3, rows, cols] in the sensor frame (axes as the machine's); t = 1 is one length of the vector
    bearing     float32 [cols]: all rays of a column share it
    slope       float32 [rows, 2]: the least and the greatest rise per metre level among the rays of a row
    forward     whether no ray goes backwards
    """

    mount_m: tuple[float, float, float]
    rays: F32
    bearing: F32
    slope: F32
    forward: bool

    @property
    def shape(self) -> tuple[int, int]:
        return self.rays.shape[1], self.rays.shape[2]


def view(mount_m: tuple[float, float, float], rays: F32) -> View:
    """A view of rays float32 [3, rows, cols] whose columns each have one bearing."""
    slope = rays[2] / np.hypot(rays[0], rays[1])
    bearing = np.arctan2(rays[1, 0], rays[0, 0])
    return View(mount_m, rays, bearing, np.stack([slope.min(1), slope.max(1)], axis=1), bool(rays[0].min() > 0))


@dataclass(frozen=True, slots=True)
class Hits:
    """What the rays of one view met, in the sensor frame.

    t       float32 [rows, cols], in lengths of the ray; infinite at the sky
    index   int16 [rows, cols]: which solid of `solids`, or SKY, or GROUND
    points  float32 [3, rows, cols] in metres; the sensor itself (0) where the sky was met
    """

    view: View
    origin: F64
    heading_rad: float
    solids: Pack
    t: F32
    index: NDArray[np.int16]
    points: F32

    def level_enu(self, points: F32) -> tuple[F32, F32]:
        """East and north, float32 [m] each, of points float32 [3, m] in the sensor frame."""
        c, s = np.float32(math.cos(self.heading_rad)), np.float32(math.sin(self.heading_rad))
        east, north = c * points[0] - s * points[1], s * points[0] + c * points[1]
        return east + np.float32(self.origin[0]), north + np.float32(self.origin[1])


def cast(scene: Scene, solids: Pack, sensor: View) -> Hits:
    """Cast all rays of `sensor`, mounted on the scene's machine, at the ground and at `solids` (packed in site ENU)."""
    origin, heading = scene.above_ground(*sensor.mount_m), scene.machine.heading_rad
    seen = solids.seen_from(origin, heading)
    t = _ground_t(scene.ground, sensor.rays, origin, heading)
    index = np.where(np.isfinite(t), np.int16(GROUND), np.int16(SKY))
    which, ray = pairs(sensor, seen.corners)
    found = _entries(seen, which, sensor.rays.reshape(3, -1).take(ray, 1))
    nearer = np.flatnonzero(found < t.reshape(-1)[ray])
    order = nearer[np.argsort(-found[nearer], kind="stable")]  # the nearest is written last, and stays
    t.reshape(-1)[ray[order]] = found[order]
    index.reshape(-1)[ray[order]] = which[order]
    return Hits(sensor, origin, heading, seen, t, index, sensor.rays * np.where(np.isfinite(t), t, np.float32(0)))


def _entries(solids: Pack, which: NDArray[np.intp], d: F32) -> F32:
    """Where rays from the sensor along d float32 [3, m] enter the solids `which` [m]; infinite where they miss."""
    to_unit = solids.to_unit
    start = -np.einsum("nij,nj->in", to_unit, solids.centre).astype(np.float32)
    turn, found = np.moveaxis(to_unit, 0, 2).astype(np.float32), np.empty(len(which), np.float32)
    kinds = solids.kind[which]
    for kind, shape in enumerate(SHAPES):
        mine = np.flatnonzero(kinds == kind)
        i, ray = which[mine], d.take(mine, 1)
        local = np.stack([dot(turn[axis].take(i, 1), ray) for axis in range(3)])
        found[mine] = entry(shape, start.take(i, 1), local, solids.taper[i])
    return found


def pairs(sensor: View, corners: F64) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(thing [m], ray [m]): each convex thing, corners float64 [n, k, 3] in m, with each ray that may meet it.

    Rays are counted row by row. For each thing they fill a window of rows and columns, so that few are tried in vain.
    """
    ahead = corners[:, :, 0].max(1, initial=-1.0) > 0 if sensor.forward else np.full(len(corners), True)
    which = np.flatnonzero(ahead)
    top, height = _span(_rows(sensor, corners[which]))
    left, width = _span(_columns(sensor, corners[which]))
    size = height * width
    first = np.cumsum(size) - size
    place = np.arange(size.sum(), dtype=np.int32) - np.repeat(first.astype(np.int32), size)
    down, across = np.divmod(place, np.repeat(width.astype(np.int32), size))
    return np.repeat(which, size), np.repeat(top * sensor.shape[1] + left, size) + down * sensor.shape[1] + across


def _span(inside: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """For each row of `inside`, the place of its first True and the length up to its last; length 0 without any."""
    first = inside.argmax(1)
    last = inside.shape[1] - inside[:, ::-1].argmax(1)
    return first, np.where(inside.any(1), last - first, 0)


def _rows(sensor: View, corners: F64) -> NDArray[np.bool_]:
    """bool [n, rows]: which rows hold a ray that rises or falls as it must to meet the thing's bounding cylinder."""
    centre = corners.mean(1)
    radius = np.hypot(corners[:, :, 0] - centre[:, None, 0], corners[:, :, 1] - centre[:, None, 1]).max(1)
    level = np.hypot(centre[:, 0], centre[:, 1])
    near, far = np.maximum(level - radius, 1e-3), level + radius
    low, high = corners[:, :, 2].min(1), corners[:, :, 2].max(1)
    falls, rises = np.minimum(low / near, low / far), np.maximum(high / near, high / far)
    inside: NDArray[np.bool_] = (sensor.slope[:, 1] >= falls[:, None]) & (sensor.slope[:, 0] <= rises[:, None])
    return inside


def _columns(sensor: View, corners: F64) -> NDArray[np.bool_]:
    """bool [n, cols]: which columns look between the outermost corners; all, where the corners surround the sensor."""
    bearing = np.arctan2(corners[:, :, 1], corners[:, :, 0])
    middle = np.arctan2(corners[:, :, 1].mean(1), corners[:, :, 0].mean(1))
    aside = _wrapped(bearing - middle[:, None])
    right, left = aside.min(1, keepdims=True), aside.max(1, keepdims=True)
    looks = _wrapped(sensor.bearing[None, :] - middle[:, None])
    inside: NDArray[np.bool_] = ((looks >= right) & (looks <= left)) | (left - right >= math.pi)
    return inside


def _wrapped(angle: F64) -> F64:
    """The angle in [-pi, pi)."""
    return np.mod(angle + math.pi, 2 * math.pi) - math.pi


def _ground_t(ground: Ground, rays: F32, origin: F64, heading_rad: float) -> F32:
    """Ray parameters float32 [rows, cols] at which rays meet the ground; infinite where they do not within FAR_M.

    The surface lies between two levels, so a falling ray crosses it between its crossings of these: halving the
    interval three times and then a step of false position leave millimetres; on flat ground the result is exact.
    """
    t = np.full(rays.shape[1:], np.float32(np.inf))
    lowest, highest = (np.float32(level - origin[2]) for level in ground.bounds)
    falling = np.flatnonzero((rays[2] * np.float32(FAR_M) < lowest) & (rays[2] < 0))
    d = rays.reshape(3, -1).take(falling, 1)
    matrix, offset = ground.axes()
    c, s = math.cos(heading_rad), math.sin(heading_rad)
    start = (matrix @ origin[:2].astype(np.float32) + offset)[:, None]
    step = (matrix @ np.array([[c, -s], [s, c]], np.float32)) @ d[:2]

    def above(at: F32) -> F32:
        height: F32 = np.float32(origin[2]) + d[2] * at - ground.relief(start + step * at)
        return height

    near, far = min(highest, np.float32(0)) / d[2], lowest / d[2]
    for _ in range(3 if highest > lowest else 0):
        middle = (near + far) / 2
        over = above(middle) > 0
        near, far = np.where(over, middle, near), np.where(over, far, middle)
    t.reshape(-1)[falling] = _false_position(near, far, above(near), above(far))
    return t


def _false_position(near: F32, far: F32, over: F32, under: F32) -> F32:
    """Where the straight line from (near, over >= 0) to (far, under <= 0) crosses zero."""
    fall = over - under
    share = np.where(fall > 0, over / np.where(fall > 0, fall, 1), np.float32(1))
    crossing: F32 = near + (far - near) * np.clip(share, 0, 1)
    return crossing
