"""Verify: does this bundle, on this machine, still give the answers that the exporter recorded in it?"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from edgefuse.bundle import Bundle
from edgefuse.engine import Engine
from edgefuse.errors import BundleError
from edgefuse.manifest import GoldenSpec
from edgefuse.types import Array

TOLERANCE = 1e-4  # the bound that the export gate holds


@dataclass(frozen=True, slots=True)
class Check:
    """One golden moment: the streams that were present, and how far the outputs are from the recorded ones."""

    streams: tuple[str, ...]
    worst: float

    @property
    def passed(self) -> bool:
        return self.worst <= TOLERANCE

    def as_json(self) -> dict[str, object]:
        return {"streams": list(self.streams), "max_error": self.worst, "passed": self.passed}


def verify(engine: Engine) -> list[Check]:
    """Answer every golden moment of the engine's bundle and compare."""
    return [_check(engine, golden) for golden in engine.bundle.manifest.golden]


def golden_samples(bundle: Bundle, golden: GoldenSpec) -> dict[str, Array]:
    """The raw payloads of one golden moment, by stream."""
    return {stream: _array(bundle, file) for stream, file in golden.samples.items()}


def _check(engine: Engine, golden: GoldenSpec) -> Check:
    samples = golden_samples(engine.bundle, golden)
    outputs = engine.answer(samples).outputs
    errors = [distance(outputs[name], _array(engine.bundle, file)) for name, file in golden.outputs.items()]
    return Check(tuple(samples), max(errors))


def distance(have: Array, want: Array) -> float:
    """The largest difference of two arrays; infinite where their shapes differ or a value is not finite."""
    if have.shape != want.shape:
        return float("inf")
    # Relative above magnitude 1, where float32 itself is no better than relative.
    worst = float(np.max(np.abs(have - want) / np.maximum(1.0, np.abs(want)), initial=0.0))
    return worst if np.isfinite(worst) else float("inf")


def _array(bundle: Bundle, file: str) -> Array:
    try:
        array: Array = np.load(io.BytesIO(bundle[file]), allow_pickle=False)
    except (ValueError, OSError, EOFError, MemoryError, SyntaxError) as error:
        raise BundleError(f"is not a plain .npy array: {error}", place=bundle.place(file)) from error
    return array
