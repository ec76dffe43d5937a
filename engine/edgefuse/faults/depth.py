"""Faults of a depth camera, on uint16 [H, W] in mm: holes, steps, a wrong scale, shadows, a short range, noise."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgefuse.faults.base import Kind, Moment, graded, some_of
from edgefuse.modalities.depth import DEPTH, U16
from edgefuse.types import Array

FARTHEST_MM = 65_535
STRIPES = 20  # that the width is divided into

NOTHING = np.uint16(0)


def _measured(depth: U16, values_mm: Array) -> U16:
    """Values of any float dtype as depth; what was measured stays measured, a hole stays a hole."""
    return np.where(depth > 0, np.clip(np.rint(values_mm), 1, FARTHEST_MM), NOTHING).astype(np.uint16)


def _holes(depth: U16, share: float, moment: Moment) -> U16:
    return np.where(moment.rng.random(depth.shape, np.float32) < share, NOTHING, depth)


def _quantise(depth: U16, step_mm: float, _moment: Moment) -> U16:
    return _measured(depth, np.maximum(np.rint(depth / step_mm), 1.0) * step_mm)


def _scale(depth: U16, factor: float, _moment: Moment) -> U16:
    return _measured(depth, depth * factor)


def _stripes(depth: U16, share: float, moment: Moment) -> U16:
    stripe_of_column = np.arange(depth.shape[1]) * STRIPES // depth.shape[1]
    # Of a narrow picture only some stripes hold a column.
    stripes, stripe_of_column = np.unique(stripe_of_column, return_inverse=True)
    return np.where(some_of(len(stripes), share, moment.lasting())[stripe_of_column], NOTHING, depth)


def _saturate(depth: U16, share: float, _moment: Moment) -> U16:
    return _measured(depth, np.minimum(depth, share * depth.max()))


def _noise(depth: U16, share: float, moment: Moment) -> U16:
    return _measured(depth, depth * (1.0 + share * moment.rng.standard_normal(depth.shape, np.float32)))


# Levels: the source names three for holes (0.2, 0.5, 0.8) and scale (1.05, 1.2, 1.5), which are the first, third and
# fifth here, with the middles between them; it names none for the others.
DEPTH_KINDS: Mapping[str, Kind] = {
    "depth_holes": graded(DEPTH, "this share of the pixels holds no measurement", (0.2, 0.35, 0.5, 0.65, 0.8), _holes),
    "depth_quantise": graded(
        DEPTH, "distances come in steps of so many mm", (20.0, 50.0, 100.0, 200.0, 500.0), _quantise
    ),
    "depth_scale": graded(DEPTH, "distances are too large by this factor", (1.05, 1.125, 1.2, 1.35, 1.5), _scale),
    "depth_stripes": graded(
        DEPTH, "upright stripes, this share of the width, hold no measurement", (0.1, 0.2, 0.3, 0.4, 0.5), _stripes
    ),
    "depth_saturate": graded(
        DEPTH,
        "what is beyond this share of the farthest distance reads as if it were there",
        (0.8, 0.65, 0.5, 0.35, 0.2),
        _saturate,
    ),
    "depth_noise": graded(DEPTH, "noise of this share of the distance", (0.01, 0.02, 0.03, 0.05, 0.08), _noise),
}
