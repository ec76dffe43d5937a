"""Camera: uint8 [H, W, 3] RGB, cropped to the encoder's proportions and resized; colour is the encoder's business."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta

from edgefuse import kernels
from edgefuse.modalities.base import Modality, Watcher
from edgefuse.modalities.grain import Grain, noise_level, sharpness
from edgefuse.modalities.memory import MemoryChecks, Remembering
from edgefuse.schema import Strict
from edgefuse.types import F64, U8, Array, Reason

MAX_SIDE = 1 << 14
ROWS_LOOKED_AT = 48  # of a picture, to tell whether it shows anything
_EXTREMES: tuple[Reason, ...] = ("blackout", "overexposed")

Pixels = Annotated[int, Meta(ge=1, le=MAX_SIDE)]
Level = Annotated[float, Meta(ge=0.0, le=255.0)]


class ImageParams(Strict):
    """Size of the encoder's picture; `crop` keeps the proportions of the middle, `stretch` keeps the whole picture."""

    width: Pixels
    height: Pixels
    fit: Literal["crop", "stretch"] = "crop"


class CameraChecks(MemoryChecks):
    """Grey levels are 0 to 255.

    blackout_level, overexposed_level  a picture darker or brighter, in this `share` of its pixels, shows nothing
    noisy_level    standard deviation of the noise, in grey levels, that a picture must stay below; 255 switches it off
    blurred_share  least part of its usual fine detail that a sharp picture shows in each direction; 0 switches it off
    """

    blackout_level: Level = 4.0
    overexposed_level: Level = 250.0
    share: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.98
    noisy_level: Annotated[float, Meta(gt=0.0, le=255.0)] = 24.0
    blurred_share: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.4


def window(shape: tuple[int, ...], params: ImageParams) -> tuple[int, int, int, int]:
    """What of a picture [H, W, ...] the encoder is to see: its first row and column, and how many of each."""
    rows, cols = shape[:2]
    if params.fit != "crop":
        return 0, 0, rows, cols
    keep_cols = min(cols, max(1, round(rows * params.width / params.height)))
    keep_rows = min(rows, max(1, round(cols * params.height / params.width)))
    return (rows - keep_rows) // 2, (cols - keep_cols) // 2, keep_rows, keep_cols


def fitted(image: Array, params: ImageParams) -> Array:
    """What of image [H, W, ...] the encoder is to see (a view): with `crop` the largest middle part of its shape."""
    top, left, rows, cols = window(image.shape, params)
    return image[top : top + rows, left : left + cols]


def _tensor(params: ImageParams) -> tuple[str, tuple[int, ...]]:
    return "uint8", (params.height, params.width, 3)


def _preprocess(payload: U8, params: ImageParams, out: U8) -> None:
    part = fitted(payload, params)
    if part.shape == out.shape:
        np.copyto(out, part)
    elif part.shape[0] >= out.shape[0] and part.shape[1] >= out.shape[1]:
        dense = part.strides[1:] == (3, 1)
        kernels.picture_area(part if dense else np.ascontiguousarray(part), out)
    else:
        import cv2

        np.copyto(out, cv2.resize(part, (params.width, params.height), interpolation=cv2.INTER_AREA))


def _seen(payload: U8) -> Grain | None:
    return None if max(payload.shape) > MAX_SIDE else Grain.of(payload)


def _content(payload: U8, grain: Grain | None, checks: CameraChecks) -> Reason | None:
    if payload.size == 0 or max(payload.shape) > MAX_SIDE:
        return "bad_shape"
    step = max(1, min(payload.shape[:2]) // ROWS_LOOKED_AT)
    dark, bright = math.floor(checks.blackout_level), math.ceil(checks.overexposed_level)
    counts = kernels.picture_levels(payload, step, dark, bright)
    nearly_all = checks.share * len(range(0, payload.shape[0], step)) * len(range(0, payload.shape[1], step))
    for count, reason in zip(counts, _EXTREMES, strict=True):
        if count >= nearly_all:
            return reason
    return "noisy" if noise_level(grain) >= checks.noisy_level else None


def _blurred(shown: F64, usual: F64, checks: CameraChecks) -> Reason | None:
    return "blurred" if math.exp(float((shown - usual).min())) < checks.blurred_share else None


def _watcher() -> Watcher:
    return Remembering(sharpness, _blurred)


CAMERA = Modality(
    kind="camera",
    payload="uint8 [H, W, 3], RGB, any size",
    dtype=np.dtype(np.uint8),
    shape=(None, None, 3),
    params=ImageParams,
    checks=CameraChecks,
    tensor=_tensor,
    preprocess=_preprocess,
    content=_content,
    seen=_seen,
    watcher=_watcher,
)
