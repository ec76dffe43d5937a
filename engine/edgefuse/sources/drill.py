"""The drill: camera, depth, lidar and GPS with tiny payloads, jitter and loss, for hours of virtual time in seconds."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

import numpy as np

from edgefuse.sources.base import Source
from edgefuse.types import NS_PER_MS, NS_PER_S, Array, Sample

PERIODS_MS = {"camera": 33, "depth": 33, "lidar": 100, "gps": 200}
JITTER = 0.2  # of a period, to either side
LOSS = 0.01  # of all samples
LATENCY_MS = 5
ROWS, COLUMNS, POINTS = 12, 16, 60
VARIANTS = 97  # different payloads of a stream, given out in turn: no two in a row are equal

Draw = Callable[[np.random.Generator], Array]


class DrillSource(Source):
    """Clean samples of four sensors at their own rates, `samples` of them together; the same seed gives the same bits.

    Payloads meet the contracts of their kinds and show a scene that hardly changes: what is tried with it is time and
    trust, not perception.
    """

    domain = "drill"

    def __init__(self, seed: int, samples: int) -> None:
        super().__init__()
        self.topics = {name: name for name in PERIODS_MS}
        self._seed, self._samples = seed, samples

    def samples(self) -> Iterator[Sample]:
        """In order of arrival, one second of virtual time after the clock's zero."""
        rng = np.random.default_rng(self._seed)
        payloads = {name: [draw(rng) for _ in range(VARIANTS)] for name, draw in _DRAW.items()}
        lanes = [_lane(name, np.random.default_rng((self._seed, i))) for i, name in enumerate(PERIODS_MS)]
        merged = heapq.merge(*lanes)
        for _, (stamp_ns, k, name) in zip(range(self._samples), merged, strict=False):
            yield Sample(name, stamp_ns, payloads[name][k % VARIANTS], stamp_ns + LATENCY_MS * NS_PER_MS)


def _lane(name: str, rng: np.random.Generator) -> Iterator[tuple[int, int, str]]:
    """(stamp in ns, which sample it is, stream), for ever."""
    period_ns, k = PERIODS_MS[name] * NS_PER_MS, 0
    while True:
        early, kept = rng.uniform(-JITTER, JITTER, 1024), rng.random(1024) >= LOSS
        for shift, keep in zip(early.tolist(), kept.tolist(), strict=True):
            k += 1
            if keep:
                yield NS_PER_S + round((k + shift) * period_ns), k, name


def _camera(rng: np.random.Generator) -> Array:
    # Smooth enough to be a picture, with a little of what every sensor adds.
    rows, columns = np.mgrid[0:ROWS, 0:COLUMNS]
    scene = 120 + 60 * np.sin(rows / 2.0) * np.cos(columns / 3.0)
    return np.asarray(scene[..., None] + rng.normal(0.0, 2.0, (ROWS, COLUMNS, 3)), dtype=np.uint8)


def _depth(rng: np.random.Generator) -> Array:
    far_mm = np.linspace(2000, 9000, ROWS)[:, None] + rng.normal(0.0, 20.0, (ROWS, COLUMNS))
    return np.asarray(far_mm, dtype=np.uint16)


def _lidar(rng: np.random.Generator) -> Array:
    azimuth = np.linspace(-np.pi, np.pi, POINTS, endpoint=False)
    range_m = 8.0 + rng.normal(0.0, 0.02, POINTS)
    height_m = np.tile([-1.0, 0.0, 1.0], POINTS // 3)
    columns = [range_m * np.cos(azimuth), range_m * np.sin(azimuth), height_m, np.full(POINTS, 0.5)]
    return np.stack(columns, axis=1).astype(np.float32)


def _gps(rng: np.random.Generator) -> Array:
    east, north = rng.normal(0.0, 1e-7, 2)
    return np.array([50.4 + north, 3.95 + east, 60.0, 0.25, 0.25, 1.0, 0.0])


_DRAW: dict[str, Draw] = {"camera": _camera, "depth": _depth, "lidar": _lidar, "gps": _gps}
