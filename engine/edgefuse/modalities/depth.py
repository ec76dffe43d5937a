"""Depth: uint16 [H, W] millimetres along the optical axis, 0 where nothing was measured; resized without averaging."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgefuse.modalities.base import CommonChecks, Modality
from edgefuse.modalities.camera import MAX_SIDE, ImageParams, resize_into
from edgefuse.schema import Fraction
from edgefuse.types import Reason

U16 = NDArray[np.uint16]


class DepthChecks(CommonChecks):
    """`min_measured`: smallest share of pixels that hold a measurement."""

    min_measured: Fraction = 0.02


def _tensor(params: ImageParams) -> tuple[str, tuple[int, ...]]:
    return "uint16", (params.height, params.width)


def _preprocess(payload: U16, params: ImageParams, out: U16) -> None:
    # Averaging a hole with a wall would invent a distance that nothing has.
    resize_into(payload, params, out, smooth=False)


def _content(payload: U16, checks: DepthChecks) -> Reason | None:
    if payload.size == 0 or max(payload.shape) > MAX_SIDE:
        return "bad_shape"
    measured = np.count_nonzero(payload) / payload.size
    return "too_few_pixels" if measured < checks.min_measured else None


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
