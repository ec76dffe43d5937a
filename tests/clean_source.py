"""A source of five well-behaved streams for the tests of fault injection, and what they compare its samples by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from edgefuse.faults import KINDS, Fault, FaultySource
from edgefuse.sources.base import Problem, Source
from edgefuse.types import Array, Sample

START_NS = 1_700_000_000_000_000_007
PERIOD_NS = {"cam": 100_000_000, "deep": 100_000_000, "cloud": 100_000_000, "fix": 200_000_000, "imu": 50_000_000}
KIND_OF = {"cam": "camera", "deep": "depth", "cloud": "lidar", "fix": "gps", "imu": "vector"}
MAKE: Mapping[str, Callable[[np.random.Generator], Array]] = {
    "cam": lambda rng: rng.integers(1, 256, (6, 8, 3), np.uint8),
    "deep": lambda rng: rng.integers(1, 9000, (6, 8), np.uint16),
    "cloud": lambda rng: rng.random((50, 4), np.float32),
    "fix": lambda rng: np.array([49.0 + rng.random(), 8.4, 110.0, 1.0, 1.0, 4.0, 1.0]),
    "imu": lambda rng: rng.random(60, np.float32),
}
DURATION_S = 3
WINDOW = (1.0, 2.0)


class Clean(Source):
    """Five streams for three seconds; payloads are read-only, so that writing into one is an error."""

    domain = "bench"

    def __init__(self, latency_ns: int | None = None) -> None:
        super().__init__()
        self.topics = dict(KIND_OF)
        self.latency_ns = latency_ns

    def samples(self) -> Iterator[Sample]:
        stamps = [(t, s) for s in KIND_OF for t in range(0, DURATION_S * 10**9, PERIOD_NS[s])]
        for t_ns, stream in sorted(stamps):
            payload = MAKE[stream](np.random.default_rng((t_ns, len(stream))))
            payload.setflags(write=False)
            stamp_ns = START_NS + t_ns
            yield Sample(stream, stamp_ns, payload, None if self.latency_ns is None else stamp_ns + self.latency_ns)
        self.problems.append(Problem("end", "seen"))

    def truth(self, t_ns: int) -> Mapping[str, str] | None:
        return {"action": f"at {t_ns}"}


def play(*faults: Fault, seed: int = 0, latency_ns: int | None = None) -> list[Sample]:
    return list(FaultySource(Clean(latency_ns), faults, seed).samples())


def of(stream: str, samples: list[Sample]) -> list[Sample]:
    return [sample for sample in samples if sample.stream == stream]


def inside(sample: Sample, window: tuple[float, float] = WINDOW) -> bool:
    return window[0] <= (sample.stamp_ns - START_NS) / 1e9 < window[1]


def same(a: Sample, b: Sample) -> bool:
    head = (a.stream, a.stamp_ns, a.arrival_ns, a.payload.dtype, a.payload.shape)
    return head == (b.stream, b.stamp_ns, b.arrival_ns, b.payload.dtype, b.payload.shape) and (
        a.payload.tobytes() == b.payload.tobytes()
    )


def fitting(kind: str) -> list[str]:
    fits = KINDS[kind].fits
    return [stream for stream, modality in KIND_OF.items() if fits is None or modality in fits]


EVERY = [(kind, stream) for kind in KINDS for stream in fitting(kind)]
