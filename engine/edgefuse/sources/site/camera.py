"""Turns the hits of the camera's rays into an RGB image: light, shadows, sky, fog, rain, exposure and sensor noise."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from edgefuse.sources.site.raycast import FAR_M, GROUND, SKY, Hits, pairs
from edgefuse.sources.site.scene import Scene, Weather
from edgefuse.sources.site.surface import Surface, noise, skyline, surface
from edgefuse.types import F32, F64, U8

LAMP_REACH_M = 7.0  # where the machine's work lights have half their strength
TARGET_LUMA = 0.30  # linear; what the exposure aims at
MAX_GAIN = 9.0
SHADOW = 0.5  # light left in a shadow's core under a clear sky
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


def render(scene: Scene, hits: Hits, rng: np.random.Generator | None = None) -> U8:
    """The camera's image, uint8 [H, W, 3] RGB; without `rng` free of noise and rain drops."""
    weather, met = scene.weather, surface(hits, scene.ground)
    light = _light(weather, hits, met) * _shade(weather, hits)
    clear = np.exp(-np.minimum(hits.t, FAR_M) * np.float32(weather.fog_per_m + 0.012 * weather.rain))
    dimmed = np.float32(1 - 0.35 * weather.rain) * clear
    linear = met.colour * (light * dimmed) + _haze(weather) * (1 - clear)
    sky = hits.index == SKY
    rows = int(sky.any(1).sum())  # the sky fills whole rows from the top, but for what stands before it
    linear[:, :rows] = np.where(sky[:rows], _sky(weather, hits, rows), linear[:, :rows])
    if rng is not None and weather.rain > 0:
        linear = _rain(linear, weather.rain, rng)
    return _develop(linear, rng)


def _tint(weather: Weather) -> F32:
    return np.array([1 + 0.15 * weather.warmth, 1.0, 1 - 0.15 * weather.warmth], np.float32)[:, None, None]


def _haze(weather: Weather) -> F32:
    return (0.03 + 0.75 * weather.daylight) * _tint(weather)


def _light(weather: Weather, hits: Hits, met: Surface) -> F32:
    """Light on each hit, float32 [3, rows, cols] or broadcast: sky, sun, and the work lights when it is dark."""
    turn, up = weather.sun_rad - hits.heading_rad, weather.sun_elevation_rad
    sun = (math.cos(up) * math.cos(turn), math.cos(up) * math.sin(turn), math.sin(up))
    facing = sum(np.float32(s) * met.normal[i] for i, s in enumerate(sun))
    direct = np.clip(facing, 0, None) * np.float32(1 - 0.85 * weather.cloud)
    ambient = 0.42 + 0.12 * met.normal[2] + np.float32(0.3 * weather.cloud)
    lamp = np.float32(0.30 * max(0.0, 0.6 - weather.daylight)) / (1 + np.square(hits.t / np.float32(LAMP_REACH_M)))
    light: F32 = (ambient + direct) * np.float32(weather.daylight) * _tint(weather) + lamp
    return light


def _shade(weather: Weather, hits: Hits) -> F32:
    """Light left on the ground, float32 [rows, cols], under the shadows that the casting solids throw.

    A shadow is a strip from under the solid to where the ray past its top lands: exact for upright round things.
    """
    solids, left = hits.solids, np.ones(hits.index.shape, np.float32)
    cast = list(solids.shadows)
    extent, centre = solids.extent[cast], solids.centre[cast]
    dark = np.float32(1 - (1 - SHADOW) * (1 - 0.6 * weather.cloud) * min(1.0, 0.3 + weather.daylight))
    ground_z = -hits.view.mount_m[2]
    per_metre = 1 / math.tan(weather.sun_elevation_rad)
    start = np.maximum(centre[:, 2] - extent[:, 2] - ground_z, 0) * per_metre
    length = 2 * extent[:, 2] * per_metre
    away = weather.sun_rad - hits.heading_rad + math.pi
    direction = np.array([math.cos(away), math.sin(away)])
    middle = centre[:, :2] + (start + length / 2)[:, None] * direction
    width = extent[:, :2].mean(1)
    strip, ray = pairs(hits.view, _strips(middle, length / 2 + width, width, direction, ground_z))
    at = hits.points[:2].reshape(2, -1)[:, ray] - middle.T.astype(np.float32)[:, strip]
    u, v = at.T @ direction.astype(np.float32), at.T @ np.array([-direction[1], direction[0]], np.float32)
    beyond, wide = np.maximum(np.abs(u) - (length / 2).astype(np.float32)[strip], 0), width.astype(np.float32)[strip]
    under = (beyond * beyond + v * v < wide * wide) & (hits.index.reshape(-1)[ray] == GROUND)
    left.reshape(-1)[ray[under]] = dark
    return left


def _strips(middle: F64, half: F64, width: F64, direction: F64, ground_z: float) -> F64:
    """Corners float64 [n, 8, 3] of boxes about strips on the ground, of half length and half width in m."""
    aside = np.array([-direction[1], direction[0]])
    corners = [
        np.column_stack([middle + a * half[:, None] * direction + b * width[:, None] * aside, np.full(len(middle), z)])
        for a in (-1, 1)
        for b in (-1, 1)
        for z in (ground_z - 0.5, ground_z + 0.5)
    ]
    return np.stack(corners, axis=1)


def _sky(weather: Weather, hits: Hits, rows: int) -> F32:
    """The sky and the wooded skyline behind everything, float32 [3, rows, cols]; fog hides the wood; the upper rows."""
    rays = hits.view.rays[:, :rows]
    slope = rays[2] / np.hypot(rays[0], rays[1])
    bearing = hits.view.bearing + np.float32(hits.heading_rad)
    height = np.clip(slope * 2.2, 0, 1)
    blue = np.array([0.22, 0.42, 0.85], np.float32)[:, None, None]
    pale = np.array([0.72, 0.80, 0.92], np.float32)[:, None, None]
    clouds = noise(np.broadcast_to(bearing * 7, slope.shape), slope * 22)
    grey = np.clip(np.float32(weather.cloud * 1.6 - 0.5) + clouds * np.float32(weather.cloud * 1.2), 0, 1)
    sky = (pale + (blue - pale) * height) * (1 - grey) + np.float32(0.68) * grey
    wood = np.array([0.07, 0.13, 0.06], np.float32)[:, None, None] * np.exp(-np.float32(40 * weather.fog_per_m))
    wood = wood + np.float32(0.5) * (1 - np.exp(-np.float32(40 * weather.fog_per_m)))
    colour = np.where(slope < skyline(bearing), wood, sky)
    shown: F32 = colour * np.float32(0.02 + weather.daylight) * _tint(weather)
    return shown


def _rain(linear: F32, rain: float, rng: np.random.Generator) -> F32:
    """Streaks, and drops on the lens that smear what lies behind them."""
    rows, cols = linear.shape[1:]
    out: F32 = linear.copy()
    for row, col in zip(rng.integers(0, rows, int(60 * rain)), rng.integers(0, cols, int(60 * rain)), strict=True):
        out[:, row : row + 5, col] += np.float32(0.12) * (out[:, row : row + 5, col].mean() + np.float32(0.05))
    for row, col in zip(rng.integers(0, rows, int(9 * rain)), rng.integers(0, cols, int(9 * rain)), strict=True):
        drop = out[:, max(row - 4, 0) : row + 4, max(col - 4, 0) : col + 4]
        drop += np.float32(0.7) * (drop.mean((1, 2), keepdims=True) - drop)
    return out


def _develop(linear: F32, rng: np.random.Generator | None) -> U8:
    """Exposure, photon and read noise (which the gain lifts), gamma 2.2, eight bits."""
    luma = float((_LUMA @ linear.reshape(3, -1)).mean())
    gain = min(TARGET_LUMA / max(luma, 1e-6), MAX_GAIN)
    exposed = linear * np.float32(gain)
    if rng is not None:
        spread = np.sqrt(np.float32(2e-4 * gain) * np.clip(exposed, 0, 1) + np.float32((0.004 * gain) ** 2))
        exposed = exposed + spread * rng.standard_normal(linear.shape, np.float32)
    coded: U8 = _gamma()[(np.clip(exposed, 0, 1) * np.float32(4095)).astype(np.int16)]
    return np.ascontiguousarray(np.moveaxis(coded, 0, 2))


@lru_cache(maxsize=1)
def _gamma() -> U8:
    """uint8 [4096]: the code of each linear level."""
    return np.rint(255 * np.linspace(0, 1, 4096) ** (1 / 2.2)).astype(np.uint8)
