"""Faults of a satellite receiver: places that jump, drift, wander or stand still, and accuracies that are not so."""

from __future__ import annotations

import math
from collections.abc import Mapping

from edgefuse.faults.base import Kind, Moment, graded, plain, readable
from edgefuse.geodesy import Origin, geodetic_from_enu
from edgefuse.modalities.gps import FIELDS, GPS, NO_FIX
from edgefuse.types import F64

MULTIPATH_S = 10.0  # time constant of an error that reflections make
LIE_M, CLAIM_M = 30.0, 1.0  # how far off, and how accurate it says to be
PLACE = slice(0, 3)
VARIANCES = slice(3, 6)
STATUS = FIELDS.index("status")


def moved(fix: F64, enu_m: tuple[float, float, float]) -> F64:
    """The fix, so many metres to the east, north and up of where it was."""
    changed = fix.copy()
    changed[PLACE] = geodetic_from_enu(*enu_m, Origin(*fix[PLACE]))
    return changed


def _aside(fix: F64, distance_m: float, moment: Moment) -> F64:
    """Moved along the ground, in a direction that stays the same."""
    bearing = moment.lasting().uniform(0.0, 2.0 * math.pi)
    return moved(fix, (distance_m * math.sin(bearing), distance_m * math.cos(bearing), 0.0))


def _drift(fix: F64, speed_m_s: float, moment: Moment) -> F64:
    return _aside(fix, speed_m_s * moment.into_s, moment)


def _noise(fix: F64, sd_m: float, moment: Moment) -> F64:
    return _scattered(fix, sd_m * moment.rng.standard_normal(3))


def _multipath(fix: F64, sd_m: float, moment: Moment) -> F64:
    return _scattered(fix, sd_m * _wander(moment))


def _scattered(fix: F64, by_m: F64) -> F64:
    return moved(fix, (float(by_m[0]), float(by_m[1]), float(by_m[2])))


def _wander(moment: Moment) -> F64:
    """A first-order Gauss-Markov process of unit variance, float64 [3]: x' = k x + sqrt(1 - k^2) N, k = exp(-dt / tau).

    It starts in its stationary state and remembers in the fault's memory, so that it is the same at every severity.
    """
    memory, draw = moment.memory, moment.rng.standard_normal(3)
    if memory.state is None:
        memory.state = draw
    else:
        keep = math.exp(-(moment.into_s - memory.into_s) / MULTIPATH_S)
        memory.state = keep * memory.state + math.sqrt(1.0 - keep * keep) * draw
    memory.into_s = moment.into_s
    return memory.state


def _frozen(fix: F64, moment: Moment) -> F64:
    if not readable(moment.last_good, GPS):
        return fix
    changed = fix.copy()
    changed[PLACE] = moment.last_good[PLACE]
    return changed


def _lying(fix: F64, moment: Moment) -> F64:
    changed = _aside(fix, LIE_M, moment)
    changed[VARIANCES] = CLAIM_M**2
    return changed


def _no_fix(fix: F64, _moment: Moment) -> F64:
    """Status -1; position and variances stay, as of a receiver that repeats or dead-reckons them."""
    changed = fix.copy()
    changed[STATUS] = NO_FIX
    return changed


def _flicker(fix: F64, share: float, moment: Moment) -> F64:
    return _no_fix(fix, moment) if moment.rng.random() < share else fix


# Levels: there is no common benchmark, so they lie around the gates of flight controllers (jumps 20 and 500 m, drift
# limit 0.3 m/s, accuracy 5 m), with steps between them where those name fewer than five.
GPS_KINDS: Mapping[str, Kind] = {
    "no_fix": plain(GPS, "the status says that there is no fix; the place stays in the message", _no_fix),
    "gps_frozen": plain(GPS, "the place stays where it was before the fault, all else goes on", _frozen),
    "gps_lying_variance": plain(GPS, f"the place is {LIE_M:g} m off and says that it is good to {CLAIM_M:g} m", _lying),
    "gps_jump": graded(
        GPS, "the place is so many metres off, in one direction", (20.0, 50.0, 100.0, 200.0, 500.0), _aside
    ),
    "gps_drift": graded(GPS, "the place drifts away at so many m/s", (0.15, 0.3, 0.5, 0.75, 1.0), _drift),
    "gps_noise": graded(
        GPS, "white noise of this standard deviation in m, on each axis", (2.0, 3.5, 5.0, 10.0, 15.0), _noise
    ),
    "gps_multipath": graded(
        GPS,
        f"an error that wanders with a time constant of {MULTIPATH_S:g} s and this standard deviation in m",
        (1.0, 2.5, 5.0, 7.5, 10.0),
        _multipath,
    ),
    "gps_no_fix": graded(
        GPS, "each fix is lost with this chance, so that the status flickers", (0.1, 0.2, 0.4, 0.6, 0.8), _flicker
    ),
}
