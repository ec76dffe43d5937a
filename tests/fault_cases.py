"""Readings like those of real sensors, a fault applied to one of them by itself, and how much it changed it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from edgefuse.faults import KINDS, SEVERITIES, Fault, Memory, Moment
from edgefuse.geodesy import Origin, enu_from_geodetic
from edgefuse.types import Array, Sample

STAMP_NS = 1_000_000_000_000
HERE = (50.45, 3.95, 60.0)


def picture(rows: int = 96, cols: int = 128) -> Array:
    """A street of sorts: sky, ground, walls with edges, some texture; uint8 [rows, cols, 3]."""
    y, x = np.mgrid[0:rows, 0:cols] / np.array([rows, cols])[:, None, None]
    rgb = np.stack([0.35 + 0.4 * (y < 0.4), 0.4 + 0.2 * x, 0.3 + 0.5 * (1 - y)], axis=2)
    rgb[(x > 0.2) & (x < 0.45) & (y > 0.25) & (y < 0.8)] = (0.7, 0.2, 0.15)
    rgb[(x > 0.6) & (x < 0.65) & (y > 0.1)] = (0.1, 0.15, 0.1)
    texture = 0.06 * np.random.default_rng(1).standard_normal((rows, cols, 1))
    return np.clip((rgb + texture) * 255, 1, 254).astype(np.uint8)


def distances(rows: int = 60, cols: int = 80) -> Array:
    """A floor that recedes to 12 m, a box on it, 2 % holes; uint16 [rows, cols] in mm."""
    y, x = np.mgrid[0:rows, 0:cols] / np.array([rows, cols])[:, None, None]
    mm = 800 + 11_000 * (1 - y) + 300 * x
    mm[(x > 0.3) & (x < 0.5) & (y > 0.4)] = 2_500
    mm[np.random.default_rng(2).random((rows, cols)) < 0.02] = 0
    return mm.astype(np.uint16)


def cloud(beams: int = 32, azimuths: int = 180) -> Array:
    """A scan of walls 5 to 60 m away by that many beams; float32 [beams * azimuths, 4]."""
    elevation, azimuth = np.meshgrid(
        np.radians(np.linspace(-24, 4, beams)), np.linspace(-np.pi, np.pi, azimuths, False), indexing="ij"
    )
    range_m = 32 + 27 * np.sin(3 * azimuth) * np.cos(elevation * 5)
    flat = range_m * np.cos(elevation)
    xyz = [flat * np.cos(azimuth), flat * np.sin(azimuth), range_m * np.sin(elevation)]
    reflectance = np.random.default_rng(3).random(range_m.shape)
    return np.stack([*xyz, reflectance], axis=2).reshape(-1, 4).astype(np.float32)


def fix() -> Array:
    return np.array([*HERE, 4.0, 4.0, 9.0, 0.0])


PAYLOADS: Mapping[str, Callable[[], Array]] = {
    "camera": picture,
    "depth": distances,
    "lidar": cloud,
    "gps": fix,
    "vector": lambda: np.random.default_rng(4).standard_normal((50, 6)).astype(np.float32),
}


def at(*values: float) -> list[tuple[int, float]]:
    """Severities, the mildest first, with what each should stand for."""
    return list(zip(SEVERITIES[: len(values)], values, strict=True))


def applied(
    kind: str,
    payload: Array,
    severity: int = 3,
    *,
    seed: int = 0,
    into_s: float = 5.0,
    memory: Memory | None = None,
    modality: str = "",
    **fields: float,
) -> Array:
    """The payload after one fault, alone."""
    moment = Moment(
        rng=np.random.default_rng(seed),
        seed=(seed, 1),
        modality=modality,
        last_good=payload,
        earlier=None,
        into_s=into_s,
        period_ns=100_000_000,
        memory=memory or Memory(),
    )
    fault = Fault("s", kind, 0.0, 10.0, severity=severity, **fields)
    (sample,) = KINDS[kind].apply(Sample("s", STAMP_NS, payload), fault, moment)
    return sample.payload


def enu(changed: Array) -> Array:
    """How far a fix has gone from `HERE`, float64 [..., 3] east, north, up in m."""
    where = np.asarray(changed)
    return np.stack(enu_from_geodetic(where[..., 0], where[..., 1], where[..., 2], Origin(*HERE)), axis=-1)


def change(kind: str, payload: Array, severity: int) -> float:
    """How much a severity changes a reading, the mean over some seeds: see `_change`; of fog, how much it hides."""
    measure = _hidden if kind == "fog" else _change
    seeds = range(40 if payload.shape == (7,) else 8)  # of a fix all is chance, and it costs little
    return float(np.mean([measure(payload, applied(kind, payload, severity, seed=seed)) for seed in seeds]))


def _hidden(clean: Array, faulty: Array) -> float:
    return 1.0 - float(np.corrcoef(clean.ravel(), faulty.ravel())[0, 1])


def _change(clean: Array, faulty: Array) -> float:
    """The share of lost points, metres and lost fixes, or the mean difference of values."""
    if clean.shape != faulty.shape:
        return 1.0 - len(faulty) / len(clean)
    if clean.shape == (7,):
        return float(np.linalg.norm(enu(faulty))) + float(faulty[6] != clean[6])
    return float(np.abs(clean.astype(np.float64) - faulty.astype(np.float64)).mean())
