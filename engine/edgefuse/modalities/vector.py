"""Vector: any float32 array of a fixed shape, [d] or a window [T, C]: IMU, radar, audio, a text embedding."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta

from edgefuse import kernels
from edgefuse.modalities.base import CommonChecks, Modality, denormal_share, flush_denormals, in_order
from edgefuse.schema import Fraction, Strict
from edgefuse.types import F32, Reason


class VectorParams(Strict):
    """The one shape that payloads have."""

    shape: Annotated[tuple[Annotated[int, Meta(ge=1, le=1 << 20)], ...], Meta(min_length=1, max_length=4)]


class VectorChecks(CommonChecks):
    """`denormal_share`: greatest part of the nonzero values that may be too small to compute with; 1 is off."""

    denormal_share: Fraction = 0.5


def _tensor(params: VectorParams) -> tuple[str, tuple[int, ...]]:
    return "float32", params.shape


def _preprocess(payload: F32, params: VectorParams, out: F32) -> None:
    np.copyto(out, payload)
    flush_denormals(out)


def _content(payload: F32, _: None, checks: VectorChecks) -> Reason | None:
    if not kernels.all_finite(in_order(payload)):
        return "non_finite"
    return "denormal" if denormal_share(payload) > checks.denormal_share else None


def _between(a: F32, b: F32, share: float) -> F32:
    line: F32 = a + np.float32(share) * (b - a)
    return line


VECTOR = Modality(
    kind="vector",
    payload="float32 of the declared shape",
    dtype=np.dtype(np.float32),
    shape=None,
    params=VectorParams,
    checks=VectorChecks,
    tensor=_tensor,
    preprocess=_preprocess,
    content=_content,
    between=_between,
)
