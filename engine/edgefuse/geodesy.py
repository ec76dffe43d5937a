"""WGS-84 geodesy in closed form: latitude, longitude and altitude to local east, north, up at an origin, and back."""

from __future__ import annotations

import functools
import math
from typing import Any, overload

import numpy as np
from msgspec import Struct

from edgefuse.types import F64

# WGS-84 (NIMA TR8350.2, 2000): the two defining constants; all else follows from them.
SEMI_MAJOR_M = 6_378_137.0
FLATTENING = 1.0 / 298.257_223_563
SEMI_MINOR_M = SEMI_MAJOR_M * (1.0 - FLATTENING)
ECCENTRICITY_2 = FLATTENING * (2.0 - FLATTENING)
SECOND_ECCENTRICITY_2 = ECCENTRICITY_2 / (1.0 - ECCENTRICITY_2)


class Origin(Struct, frozen=True):
    """Where a local east-north-up frame touches the ground: degrees, and metres above the WGS-84 ellipsoid."""

    latitude_deg: float
    longitude_deg: float
    altitude_m: float = 0.0


@overload
def enu_from_geodetic(
    lat_deg: float, lon_deg: float, alt_m: float, origin: Origin
) -> tuple[np.float64, np.float64, np.float64]: ...
@overload
def enu_from_geodetic(lat_deg: F64, lon_deg: F64, alt_m: F64, origin: Origin) -> tuple[F64, F64, F64]: ...
def enu_from_geodetic(lat_deg: Any, lon_deg: Any, alt_m: Any, origin: Origin) -> Any:
    """East, north, up of a geodetic position in metres, in the plane that touches the ellipsoid at `origin`.

    Scalars or float64 arrays of one shape; every longitude is as good as itself plus 360. Non-finite in, non-finite
    out. Within a few nanometres of exact arithmetic: the float64 resolution of an earth-centred coordinate.
    """
    x_m, y_m, z_m = _ecef_from_geodetic(lat_deg, lon_deg, alt_m)
    (x0_m, y0_m, z0_m), (sin_lat, cos_lat, sin_lon, cos_lon) = _frame(origin)
    dx_m, dy_m, dz_m = x_m - x0_m, y_m - y0_m, z_m - z0_m
    outward_m = cos_lon * dx_m + sin_lon * dy_m
    east_m = cos_lon * dy_m - sin_lon * dx_m
    return east_m, cos_lat * dz_m - sin_lat * outward_m, cos_lat * outward_m + sin_lat * dz_m


@overload
def geodetic_from_enu(
    east_m: float, north_m: float, up_m: float, origin: Origin
) -> tuple[np.float64, np.float64, np.float64]: ...
@overload
def geodetic_from_enu(east_m: F64, north_m: F64, up_m: F64, origin: Origin) -> tuple[F64, F64, F64]: ...
def geodetic_from_enu(east_m: Any, north_m: Any, up_m: Any, origin: Origin) -> Any:
    """Latitude, longitude (degrees, longitude in [-180, 180]) and altitude (m): the inverse of `enu_from_geodetic`.

    Good to a micrometre from 10 km below the ellipsoid to 1000 km above it; see `_geodetic_from_ecef`.
    """
    (x0_m, y0_m, z0_m), (sin_lat, cos_lat, sin_lon, cos_lon) = _frame(origin)
    outward_m = cos_lat * up_m - sin_lat * north_m
    x_m = x0_m + cos_lon * outward_m - sin_lon * east_m
    y_m = y0_m + sin_lon * outward_m + cos_lon * east_m
    return _geodetic_from_ecef(x_m, y_m, z0_m + cos_lat * north_m + sin_lat * up_m)


@functools.lru_cache(maxsize=64)
def _frame(origin: Origin) -> tuple[tuple[float, float, float], tuple[float, float, float, float]]:
    """Its place, earth-centred, and the sines and cosines of its angles."""
    of = _functions(origin.latitude_deg, origin.longitude_deg)
    lat, lon = of.radians(origin.latitude_deg), of.radians(origin.longitude_deg)
    place_m = _ecef_from_geodetic(origin.latitude_deg, origin.longitude_deg, origin.altitude_m)
    return place_m, (of.sin(lat), of.cos(lat), of.sin(lon), of.cos(lon))


def _functions(lat_deg: Any, lon_deg: Any) -> Any:
    """For one place NumPy takes ten times as long, and differs in the last bit; math refuses what is not finite."""
    return math if isinstance(lat_deg, float) and math.isfinite(lat_deg + lon_deg) else np


def _ecef_from_geodetic(lat_deg: Any, lon_deg: Any, alt_m: Any) -> tuple[Any, Any, Any]:
    """Earth-centred, earth-fixed x, y, z in metres."""
    of = _functions(lat_deg, lon_deg)
    lat, lon = of.radians(lat_deg), of.radians(lon_deg)
    sin_lat = of.sin(lat)
    normal_m = SEMI_MAJOR_M / of.sqrt(1.0 - ECCENTRICITY_2 * sin_lat * sin_lat)
    from_axis_m = (normal_m + alt_m) * of.cos(lat)
    z_m = (normal_m * (1.0 - ECCENTRICITY_2) + alt_m) * sin_lat
    return from_axis_m * of.cos(lon), from_axis_m * of.sin(lon), z_m


def _geodetic_from_ecef(x_m: Any, y_m: Any, z_m: Any) -> tuple[Any, Any, Any]:
    """Bowring (1976), "Transformation from spatial to geographical coordinates", used twice.

    One use does for the ground; the second covers 1000 km of altitude to a few nanometres.
    The altitude is Bowring's form of 1985, which has no division by a cosine that vanishes at the poles.
    """
    from_axis_m = np.hypot(x_m, y_m)
    reduced = np.arctan2(z_m, (1.0 - FLATTENING) * from_axis_m)
    for _ in range(2):
        lat = np.arctan2(
            z_m + SECOND_ECCENTRICITY_2 * SEMI_MINOR_M * np.sin(reduced) ** 3,
            from_axis_m - ECCENTRICITY_2 * SEMI_MAJOR_M * np.cos(reduced) ** 3,
        )
        reduced = np.arctan2((1.0 - FLATTENING) * np.sin(lat), np.cos(lat))
    ground_m = SEMI_MAJOR_M * np.sqrt(1.0 - ECCENTRICITY_2 * np.sin(lat) ** 2)
    alt_m = from_axis_m * np.cos(lat) + z_m * np.sin(lat) - ground_m
    return np.degrees(lat), np.degrees(np.arctan2(y_m, x_m)), alt_m
