"""GPS: one fix as float64 [7], brought to east, north, up of a local origin in double precision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from msgspec import Meta

from edgefuse.geodesy import Origin, enu_from_geodetic
from edgefuse.modalities.base import SMALLEST, CommonChecks, Modality, StuckSamples
from edgefuse.schema import Bounded, NotNegative, Strict
from edgefuse.types import F32, F64, NS_PER_S, Reason

FIELDS = ("latitude_deg", "longitude_deg", "altitude_m", "var_east_m2", "var_north_m2", "var_up_m2", "status")
NO_FIX = -1.0  # and below: NavSatStatus calls -2 unknown
LOWEST_M, HIGHEST_M = -1e4, 1e5
MOST_M2 = 1e10  # a variance beyond that of a receiver that knows only on which planet it is


class GpsParams(Strict):
    """The origin of the local frame: the place that the model's metres are counted from."""

    latitude_deg: Annotated[float, Meta(ge=-90.0, le=90.0)]
    longitude_deg: Annotated[float, Meta(ge=-180.0, le=180.0)]
    altitude_m: Annotated[float, Meta(ge=-1e4, le=1e5)] = 0.0


class GpsChecks(CommonChecks):
    """When a fix says too little about the place, or a place that cannot be reached from the last trusted one.

    max_sd_m       greatest horizontal standard deviation
    max_speed_mps  what the antenna can move at; jump_slack_m what a good receiver's place may jump by between two fixes
    jump_sigmas    how many standard deviations of the two fixes' difference are chance
    forget_s       so long after the last trusted fix any place is believed again, as PX4 resets to GNSS after 7 s
    """

    stuck_samples: StuckSamples = 5
    max_sd_m: Bounded = 25.0
    max_speed_mps: Bounded = 70.0
    jump_slack_m: NotNegative = 10.0
    jump_sigmas: NotNegative = 3.0
    forget_s: Bounded = 10.0


def _tensor(params: GpsParams) -> tuple[str, tuple[int, ...]]:
    return "float32", (6,)


def _preprocess(payload: F64, params: GpsParams, out: F32) -> None:
    # Seven numbers: as plain floats they are done before NumPy has begun.
    latitude_deg, longitude_deg, altitude_m, *variances_m2, _ = payload.tolist()
    origin = Origin(params.latitude_deg, params.longitude_deg, params.altitude_m)
    place_m = enu_from_geodetic(latitude_deg, longitude_deg, altitude_m, origin)
    values = (*place_m, *map(math.sqrt, variances_m2))
    out[:] = [0.0 if abs(value) < SMALLEST else value for value in values]


def _seen(payload: F64) -> list[float]:
    values: list[float] = payload.tolist()
    return values


def _content(payload: F64, values: list[float], checks: GpsChecks) -> Reason | None:
    latitude_deg, longitude_deg, altitude_m, *variances_m2, status = values
    if status <= NO_FIX:  # a receiver without a fix may send NaN for the place: that is no fix, not a fault
        return "no_fix"
    if not all(map(math.isfinite, values)):
        return "non_finite"
    if abs(latitude_deg) > 90.0 or abs(longitude_deg) > 180.0 or not LOWEST_M <= altitude_m <= HIGHEST_M:
        return "out_of_range"
    if min(variances_m2) < 0.0 or max(variances_m2) > MOST_M2:
        return "out_of_range"
    return "poor_fix" if max(variances_m2[:2]) > checks.max_sd_m**2 else None


class _Track:
    """A watcher of the place: how far from the last trusted fix may the antenna be by now?"""

    def __init__(self) -> None:
        self._last: tuple[list[float], int] | None = None

    def look(self, payload: F64, now: list[float], stamp_ns: int, checks: GpsChecks) -> Reason | None:
        if self._last is None:
            return None
        fix, fix_ns = self._last
        age_s = abs(stamp_ns - fix_ns) / NS_PER_S
        if age_s >= checks.forget_s:
            return None
        moved_m, chance_m = _moved_m(fix, now), checks.jump_sigmas * _joint_sd_m(fix, now)
        # Two causes of one jump that do not know of each other: their squares add.
        allowed_m = checks.max_speed_mps * age_s + math.hypot(checks.jump_slack_m, chance_m)
        return "position_jump" if moved_m > allowed_m else None

    def trust(self, payload: F64, stamp_ns: int) -> None:
        self._last = payload.tolist(), stamp_ns


def _moved_m(a: Sequence[float], b: Sequence[float]) -> float:
    """Straight distance between the places of two fixes, heights left out: a receiver is poor at those."""
    return math.hypot(*enu_from_geodetic(b[0], b[1], 0.0, Origin(a[0], a[1])))


def _joint_sd_m(a: Sequence[float], b: Sequence[float]) -> float:
    """Horizontal standard deviation of the difference of two fixes, of the worse axis each."""
    return math.sqrt(max(a[3], a[4]) + max(b[3], b[4]))


def _between(a: F64, b: F64, share: float) -> F64:
    """A fix on the straight line from a to b; as uncertain as the worse of the two, with the poorer status.

    Longitudes are joined the short way, across the date line where that is shorter.
    """
    turn = np.array([0.0, 360.0 * np.round((a[1] - b[1]) / 360.0), 0.0])
    place = a[:3] + share * (b[:3] + turn - a[:3])
    place[1] -= 360.0 * np.round(place[1] / 360.0)
    return np.concatenate([place, np.maximum(a[3:6], b[3:6]), [min(a[6], b[6])]])


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
    seen=_seen,
    watcher=_Track,
    between=_between,
)
