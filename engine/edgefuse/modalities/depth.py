"""Depth: uint16 [H, W] millimetres along the optical axis, 0 where nothing was measured; resized without averaging."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from edgefuse import kernels
from edgefuse.modalities.base import CommonChecks, Modality, aligned
from edgefuse.modalities.camera import MAX_SIDE, ROWS_LOOKED_AT, ImageParams, fitted
from edgefuse.schema import Fraction
from edgefuse.types import Reason

U16 = NDArray[np.uint16]

FEWEST_PAIRS = 20


class DepthChecks(CommonChecks):
    """When a depth picture shows nothing.

    min_measured     smallest share of pixels that hold a measurement
    saturated_share  share of the measured pixels that may not lie at one largest value, nor from `max_range_mm` on;
                     above 1 is off
    max_range_mm     what the sensor says for as far as it can; None where it says 0, as it should
    noisy_share      share of neighbouring pixels that may differ by more than half: surfaces hang together, noise does
                     not; 1 is off
    """

    min_measured: Fraction = 0.02
    saturated_share: Annotated[float, Meta(gt=0.0, le=2.0)] = 0.8
    max_range_mm: Annotated[int, Meta(ge=1, le=65535)] | None = None
    noisy_share: Fraction = 0.3


def _tensor(params: ImageParams) -> tuple[str, tuple[int, ...]]:
    return "uint16", (params.height, params.width)


def _preprocess(payload: U16, params: ImageParams, out: U16) -> None:
    # Averaging a hole with a wall would invent a distance that nothing has.
    kernels.depth_nearest(aligned(fitted(payload, params)), out)


def _content(payload: U16, _: None, checks: DepthChecks) -> Reason | None:
    if payload.size == 0 or max(payload.shape) > MAX_SIDE:
        return "bad_shape"
    step = max(1, payload.shape[0] // ROWS_LOOKED_AT)
    looked = len(range(0, payload.shape[0], step)) * payload.shape[1]
    measured, at_limit, pairs, torn = kernels.depth_counts(aligned(payload), step, checks.max_range_mm or 65535)
    if measured < checks.min_measured * looked:
        return "too_few_pixels"
    # Two pixels of a wall are never exactly as far: noise alone spreads them.
    if at_limit >= checks.saturated_share * measured > 0:
        return "saturated"
    return "noisy" if pairs >= FEWEST_PAIRS and torn > checks.noisy_share * pairs else None


DEPTH = Modality(
    kind="depth",
    payload="uint16 [H, W], millimetres along the optical axis, 0 = no measurement, any size",
    dtype=np.dtype(np.uint16),
    shape=(None, None),
    params=ImageParams,
    checks=DepthChecks,
    tensor=_tensor,
    preprocess=_preprocess,
    content=_content,
)
