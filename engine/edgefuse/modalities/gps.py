"""GPS: one fix as float64 [7], brought to east, north, up of a local origin in double precision."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from edgefuse.geodesy import Origin, enu_from_geodetic
from edgefuse.modalities.base import CommonChecks, Modality, flush_denormals
from edgefuse.schema import Positive, Strict
from edgefuse.types import F32, F64, Reason

FIELDS = ("latitude_deg", "longitude_deg", "altitude_m", "var_east_m2", "var_north_m2", "var_up_m2", "status")
NO_FIX = -1.0


class GpsParams(Strict):
    """The origin of the local frame: the place that the model's metres are counted from."""

    latitude_deg: Annotated[float, Field(ge=-90.0, le=90.0)]
    longitude_deg: Annotated[float, Field(ge=-180.0, le=180.0)]
    altitude_m: Annotated[float, Field(ge=-1e4, le=1e5)] = 0.0


class GpsChecks(CommonChecks):
    """A fix whose horizontal standard deviation is larger than `max_sd_m` says too little about the place."""

    stuck_samples: int = 5
    max_sd_m: Positive = 25.0


def _tensor(params: GpsParams) -> tuple[str, tuple[int, ...]]:
    return "float32", (6,)


def _preprocess(payload: F64, params: GpsParams, out: F32) -> None:
    origin = Origin(params.latitude_deg, params.longitude_deg, params.altitude_m)
    out[:3] = enu_from_geodetic(payload[0], payload[1], payload[2], origin)
    out[3:] = np.sqrt(payload[3:6])
    flush_denormals(out)


def _content(payload: F64, checks: GpsChecks) -> Reason | None:
    if payload[6] == NO_FIX:  # a receiver without a fix may send NaN for the place: that is no fix, not a fault
        return "no_fix"
    if not np.isfinite(payload).all():
        return "non_finite"
    latitude, longitude = payload[:2]
    if abs(latitude) > 90.0 or abs(longitude) > 180.0 or (payload[3:6] < 0.0).any():
        return "out_of_range"
    return "poor_fix" if max(payload[3], payload[4]) > checks.max_sd_m**2 else None


GPS = Modality(
    kind="gps",
    payload="float64 [7]: " + ", ".join(FIELDS) + " (status as in NavSatStatus, -1 = no fix)",
    dtype=np.dtype(np.float64),
    shape=(7,),
    params=GpsParams,
    checks=GpsChecks,
    tensor=_tensor,
    preprocess=_preprocess,
    content=_content,
)
