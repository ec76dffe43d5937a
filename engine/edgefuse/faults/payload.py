"""Faults of content that any sensor can have: frozen, foreign, random or not a number, of another shape or type."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from msgspec.structs import replace

from edgefuse.faults.base import Apply, Fault, Kind, Moment, readable
from edgefuse.faults.gps import moved
from edgefuse.modalities import KINDS as MODALITIES
from edgefuse.types import Array, Sample

FLOATS = frozenset({"lidar", "gps", "vector"})
FLOATS_32 = frozenset({"lidar", "vector"})
ANOTHER_MOMENT_S = 2.0  # how much older the content of `wrong` is
ELSEWHERE_M = 100.0  # how far off a fix is where there is no older one
DENORMAL = 1e-39  # the smallest normal float32 is 1.2e-38
SENTINELS = (np.nan, np.inf, -np.inf)


def _of_payload(change: Callable[[Array, Moment], Array]) -> Apply:
    """A fault of the payload alone; `change` returns a new array and never writes into the one it is given."""

    def apply(sample: Sample, _fault: Fault, moment: Moment) -> tuple[Sample, ...]:
        return (replace(sample, payload=change(sample.payload, moment)),)

    return apply


def _wrong(payload: Array, moment: Moment) -> Array:
    """The payload of another moment, or where there is none that fits, of another place."""
    earlier = moment.earlier
    # A cloud of another moment has another number of points.
    if earlier is not None and earlier.dtype == payload.dtype and earlier.shape[1:] == payload.shape[1:]:
        return earlier
    modality = MODALITIES.get(moment.modality)
    known = modality is not None and readable(payload, modality)
    return _ELSEWHERE.get(moment.modality, _turned)(payload) if known else _turned(payload)


def _mirrored(picture: Array) -> Array:
    return np.ascontiguousarray(picture[:, ::-1])


def _left_is_right(points: Array) -> Array:
    changed: Array = points.copy()
    changed[:, 1] = -points[:, 1]
    return changed


def _turned(payload: Array) -> Array:
    values = np.atleast_1d(payload)
    return np.roll(values, max(1, len(values) // 2), axis=0)


_ELSEWHERE: Mapping[str, Callable[[Array], Array]] = {
    "camera": _mirrored,
    "depth": _mirrored,
    "lidar": _left_is_right,
    "gps": lambda fix: moved(fix, (0.0, ELSEWHERE_M, 0.0)),
}


def _garbage(payload: Array, moment: Moment) -> Array:
    integers, rng = payload.dtype.kind in "iu", moment.rng
    values = np.frombuffer(rng.bytes(payload.nbytes), payload.dtype).copy() if integers else _wild(payload.size, rng)
    with np.errstate(over="ignore"):
        return values.astype(payload.dtype).reshape(payload.shape)


def _wild(size: int, rng: np.random.Generator) -> Array:
    """Floats of any magnitude, float64 [size], and half of the times a run of NaN or infinity among them."""
    values: Array = rng.standard_normal(size) * 10.0 ** rng.uniform(-3.0, 9.0)
    if rng.integers(2):
        _burst(values, rng)
    return values


def _burst(values: Array, rng: np.random.Generator) -> None:
    """Put a run of one sort of non-finite value, up to a twentieth long, into values [size], in place."""
    size = values.size
    start, length = rng.integers(0, max(size, 1)), rng.integers(1, max(size // 20, 1) + 1)
    values[start : start + length] = rng.choice(SENTINELS)


def _nan(payload: Array, _moment: Moment) -> Array:
    return np.full(payload.shape, np.nan, _float_dtype(payload))


def _nan_burst(payload: Array, moment: Moment) -> Array:
    values: Array = payload.astype(_float_dtype(payload)).ravel()
    _burst(values, moment.rng)
    return values.reshape(payload.shape)


def _denormal(payload: Array, _moment: Moment) -> Array:
    values = payload.astype(np.float64)
    peak = np.max(np.abs(values), initial=0.0, where=np.isfinite(values))
    return (values * (DENORMAL / 2 / (peak or 1.0))).astype(_float_dtype(payload))


def _float_dtype(payload: Array) -> np.dtype[np.floating]:
    return payload.dtype if payload.dtype.kind == "f" else np.dtype(np.float32)


def _other_dtype(payload: Array, _moment: Moment) -> Array:
    return payload.astype(np.float64 if payload.dtype == np.float32 else np.float32)


def _row(change: Callable[[Array, Moment], Array], what: str, fits: frozenset[str] | None = None) -> Kind:
    return Kind(_of_payload(change), "transport", what, fits)


# `empty` keeps the other axes (a cloud of [0, 4]); `wrong_shape` leaves a batch axis in front, which no modality kind
# has, so that it is wrong whatever sizes a model accepts.
PAYLOAD: Mapping[str, Kind] = {
    "stuck": _row(lambda _, moment: moment.last_good, "the last payload from before the fault comes under new stamps"),
    "wrong": Kind(
        _of_payload(_wrong),
        "transport",
        f"the newest payload from at least {ANOTHER_MOMENT_S:g} s before; mirrored or shifted where there is none",
        looks_back_s=ANOTHER_MOMENT_S,
    ),
    "garbage": _row(_garbage, "values are random: integers over their range, floats of any size, some not finite"),
    "nan": _row(_nan, "no value is a number", FLOATS),
    "nan_burst": _row(_nan_burst, "a run of up to a twentieth of the values is NaN or infinite", FLOATS),
    "denormal": _row(
        _denormal, f"values are scaled to below {DENORMAL:g}, where arithmetic is some 200 times slower", FLOATS_32
    ),
    "empty": _row(lambda payload, _: np.atleast_1d(payload)[:0].copy(), "the payload has no rows"),
    "wrong_shape": _row(lambda payload, _: payload[np.newaxis].copy(), "the payload has an axis too many"),
    "wrong_dtype": _row(_other_dtype, "the payload has another dtype"),
}
