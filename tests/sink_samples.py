"""What the tests of the sinks that show a run put into them: streams of every kind, a sample of each, and results."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgefuse.types import NS_PER_MS, NS_PER_S, Expected, Result, Sample, Trust

KINDS = {"front": "camera", "depth": "depth", "lidar": "lidar", "gps": "gps", "imu": "vector"}
STAMP_NS, ARRIVED_NS = 1_700_000_000 * NS_PER_S, 1_700_000_000 * NS_PER_S + 40 * NS_PER_MS


def payloads(seed: int = 0) -> dict[str, Any]:
    """One good payload a stream."""
    rng = np.random.default_rng(seed)
    smooth = np.linspace(0.0, 1.0, 48 * 64).reshape(48, 64, 1) * np.array(
        [240.0, 120.0, 40.0]
    )  # no channel like another
    return {
        "front": smooth.astype(np.uint8),
        "depth": rng.integers(1, 20_000, (24, 32), dtype=np.uint16),
        "lidar": rng.normal(0.0, 10.0, (200, 4)).astype(np.float32),
        "gps": np.array([50.4712, 4.0285, 46.0, 1.0, 2.0, 3.0, 0.0]),
        "imu": rng.normal(0.0, 1.0, 6).astype(np.float32),
    }


def sample(stream: str, payload: Any, stamp_ns: int = STAMP_NS, arrived_ns: int | None = ARRIVED_NS) -> Sample:
    """As a source gives it: named by its topic, which is not the stream's name."""
    return Sample(f"/topic/of/{stream}", stamp_ns, payload, arrived_ns)


def samples() -> dict[str, Sample]:
    """One good sample a stream."""
    return {stream: sample(stream, payload) for stream, payload in payloads().items()}


def result(t_ns: int = ARRIVED_NS + 10 * NS_PER_MS, **changes: Any) -> Result:
    """An answer from some of the streams, each in another state."""
    streams = {
        "front": Trust("fresh", "ok", age_ms=50.0),
        "depth": Trust("held", "error", "stuck", 312.5, "hold"),
        "lidar": Trust("imputed", "error", "beams_lost", 60.0, "impute"),
        "gps": Trust("absent", "stale", "no_data", rung="mask"),
        "imu": Trust("fresh", "ok", age_ms=5.0),
    }
    fields: dict[str, Any] = {
        "t_ns": t_ns,
        "mode": "degraded",
        "outputs": {"danger": np.array([0.25, -1.5, 2.0], np.float32)},
        "labels": {"danger": "near"},
        "streams": streams,
        "expected": Expected("accuracy", 0.75, 0.7, 0.8, 400),
        "in_domain": True,
        "timing_ms": {"encode": 1.5, "total": 2.25},
        "bundle": ("site", 3),
        "probabilities": {"danger": np.array([0.1, 0.2, 0.7], np.float32)},
    }
    return Result(**{**fields, **changes})
