"""Shown: what the sinks that show a run share: which samples can be drawn, and states and modes as numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from edgefuse.modalities import KINDS
from edgefuse.modalities.base import contract_reason, in_order
from edgefuse.modalities.camera import MAX_SIDE
from edgefuse.modalities.gps import NO_FIX
from edgefuse.modalities.lidar import MAX_POINTS
from edgefuse.types import U8, Array

JPEG_QUALITY = 90
MOST_NUMBERS = 64  # of a vector that is shown; more lines tell nobody anything

# The more of it, the better: what a plot and an alarm can be made of.
STATE_NUMBERS: Mapping[str, int] = {"fresh": 3, "held": 2, "imputed": 1, "absent": 0}
MODE_NUMBERS: Mapping[str, int] = {"full": 3, "degraded": 2, "abstain": 1, "blind": 0}


def shown(kind: str, payload: Array) -> Array | None:
    """The payload in C order where it is what its kind states and has something to draw, else None.

    A picture or a cloud has at least one value and no unheard-of size, a fix has a place, a vector is finite and short.
    """
    modality = KINDS[kind]
    shape = getattr(payload, "shape", ()) if modality.shape is None else modality.shape
    if contract_reason(payload, modality.dtype, shape) is not None or payload.size == 0:
        return None
    return in_order(payload) if _DRAWABLE[kind](payload) else None


_DRAWABLE: Mapping[str, Callable[[Array], bool]] = {
    "camera": lambda picture: max(picture.shape) <= MAX_SIDE,
    "depth": lambda picture: max(picture.shape) <= MAX_SIDE,
    "lidar": lambda points: len(points) <= MAX_POINTS,
    "gps": lambda fix: bool(fix[6] > NO_FIX and np.isfinite(fix[:3]).all()),
    "vector": lambda values: values.size <= MOST_NUMBERS and bool(np.isfinite(values).all()),
}


def jpeg(picture: U8) -> bytes:
    """An RGB picture, uint8 [H, W, 3], as a JPEG file."""
    import cv2

    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1].tobytes())
