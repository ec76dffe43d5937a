"""The source `site:`: a simulated episode as four live sensors would tell it, and single moments to train on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from edgefuse.sources.base import Source
from edgefuse.sources.clock import ClockMap
from edgefuse.sources.site.bodies import scene_solids
from edgefuse.sources.site.episode import draw_episode, draw_moment
from edgefuse.sources.site.scene import LABELS, OUTPUT_NAME, Scene
from edgefuse.sources.site.sensors import camera_image, depth_image, gps_fix, gps_sigma, lidar_scan
from edgefuse.sources.site.solids import pack
from edgefuse.types import F64, NS_PER_MS, NS_PER_S, Array, Sample

START_NS = 10 * NS_PER_S
GPS_MEMORY_S = 15.0  # in which a receiver's error wanders off
_SNAPSHOTS, _EPISODES = 1, 2  # apart, so that no episode is a moment that was trained on


@dataclass(frozen=True, slots=True)
class Timing:
    """When a sensor measures and how its samples travel; its clock is `offset_s` ahead and runs `drift_ppm` fast.

    jitter_ms is the standard deviation of the capture time (never beyond three), latency_ms the least time from capture
    to arrival, queue_ms the mean of what comes on top (exponential).
    """

    rate_hz: float
    phase_ms: float
    jitter_ms: float
    latency_ms: float
    queue_ms: float
    offset_s: float
    drift_ppm: float


TIMING: Mapping[str, Timing] = {
    "camera": Timing(10.0, 13.0, 0.8, 30.0, 3.0, 37.25, 18.0),
    "depth": Timing(10.0, 41.0, 1.2, 35.0, 4.0, -4.5, -30.0),
    "lidar": Timing(5.0, 72.0, 0.5, 60.0, 5.0, 612.0, 45.0),
    "gps": Timing(5.0, 105.0, 2.0, 80.0, 8.0, -118.125, 2.0),
}


@dataclass(frozen=True, slots=True)
class Capture:
    """One measurement before it is made: its true time, its stamp on the sensor's clock, and its arrival, in ns."""

    topic: str
    true_ns: int
    stamp_ns: int
    arrival_ns: int


@dataclass(frozen=True)
class Snapshot:
    """One moment: topic -> payload as the sensors give it, and the index of its label in LABELS."""

    payloads: dict[str, Array]
    label: int


def snapshot(seed: int) -> Snapshot:
    """An independent site and moment for each seed >= 0; the four labels are equally likely. The training set."""
    rng = np.random.default_rng((_SNAPSHOTS, seed))
    wanted = int(rng.integers(len(LABELS)))
    scene = draw_moment(rng, wanted)
    solids = pack(scene_solids(scene))
    sigma, status = gps_sigma(rng)
    payloads: dict[str, Array] = {
        "camera": camera_image(scene, solids, rng),
        "depth": depth_image(scene, solids, rng),
        "lidar": lidar_scan(scene, solids, rng),
        "gps": gps_fix(scene, rng.standard_normal(3), sigma, status),
    }
    return Snapshot(payloads, wanted)


class SiteSource(Source):
    """A live episode of `duration_s` on the site drawn by `seed`, with the truth beside it; bit-identical each time.

    Samples are rendered as they are asked for. Stamps are the sensors' own, mapped to the engine clock by a `ClockMap`
    per topic; the first come within 0.3 s of start_ns.
    """

    domain = "site"

    def __init__(self, seed: int = 0, duration_s: float = 20.0, start_ns: int = START_NS) -> None:
        super().__init__()
        self.topics = {topic: topic for topic in TIMING}
        self.seed, self.duration_s, self.start_ns = seed, duration_s, start_ns
        self.episode = draw_episode(np.random.default_rng((_EPISODES, seed)), duration_s)

    @property
    def length_s(self) -> float:
        return self.duration_s

    def samples(self) -> Iterator[Sample]:
        clocks = {topic: ClockMap(timing.latency_ms) for topic, timing in TIMING.items()}
        measure = self._instruments()
        for capture in self.captures():
            stamp = clocks[capture.topic].map(capture.stamp_ns, capture.arrival_ns)
            scene = self.episode.scene((capture.true_ns - self.start_ns) / NS_PER_S)
            yield Sample(capture.topic, stamp, measure[capture.topic](scene), capture.arrival_ns)

    def truth(self, t_ns: int) -> Mapping[str, str] | None:
        """The label at t_ns; None outside the episode."""
        at_s = (t_ns - self.start_ns) / NS_PER_S
        if not 0 <= at_s <= self.duration_s:
            return None
        return {OUTPUT_NAME: LABELS[self.episode.label(at_s)]}

    def captures(self) -> list[Capture]:
        """When each sample of the episode is taken, stamped and delivered, in order of arrival."""
        shaken = {topic: np.random.default_rng((3, self.seed, k)) for k, topic in enumerate(TIMING)}
        found = [capture for topic, rng in shaken.items() for capture in self._captures(topic, rng)]
        return sorted(found, key=lambda c: (c.arrival_ns, c.topic))

    def _captures(self, topic: str, rng: np.random.Generator) -> list[Capture]:
        timing = TIMING[topic]
        count = int(max(0.0, self.duration_s - timing.phase_ms / 1e3) * timing.rate_hz)
        shake = np.clip(rng.standard_normal(count), -3, 3) * timing.jitter_ms
        true_ms = timing.phase_ms + np.arange(count) * 1e3 / timing.rate_hz + shake
        true = self.start_ns + np.rint(true_ms * NS_PER_MS).astype(np.int64)
        late = np.rint((timing.latency_ms + rng.exponential(timing.queue_ms, count)) * NS_PER_MS).astype(np.int64)
        arrival = np.maximum.accumulate(true + late)  # a line of samples: none overtakes
        drifted = np.rint((true - self.start_ns) * (timing.drift_ppm * 1e-6)).astype(np.int64)
        stamp = true + round(timing.offset_s * NS_PER_S) + drifted
        rows = zip(true.tolist(), stamp.tolist(), arrival.tolist(), strict=True)
        return [Capture(topic, *row) for row in rows]

    def _instruments(self) -> dict[str, Callable[[Scene], Array]]:
        """topic -> what measures a scene; each with its own noise, so that none depends on the order of the others."""
        noise = {topic: np.random.default_rng((4, self.seed, k)) for k, topic in enumerate(TIMING)}
        receiver = _Receiver(noise["gps"])
        return {
            "camera": lambda scene: camera_image(scene, pack(scene_solids(scene)), noise["camera"]),
            "depth": lambda scene: depth_image(scene, pack(scene_solids(scene)), noise["depth"]),
            "lidar": lambda scene: lidar_scan(scene, pack(scene_solids(scene)), noise["lidar"]),
            "gps": receiver.measure,
        }


class _Receiver:
    """A GPS receiver whose error wanders: each fix keeps part of the last one's (first-order Gauss-Markov)."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._sigma, self._status = gps_sigma(rng)
        self._error: F64 = rng.standard_normal(3)
        self._keep = float(np.exp(-1 / (TIMING["gps"].rate_hz * GPS_MEMORY_S)))

    def measure(self, scene: Scene) -> Array:
        keep = self._keep
        self._error = keep * self._error + np.sqrt(1 - keep * keep) * self._rng.standard_normal(3)
        return gps_fix(scene, self._error, self._sigma, self._status)
