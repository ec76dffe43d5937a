"""Geodesy against pymap3d over the whole globe, the poles and the date line included."""

from __future__ import annotations

import math

import numpy as np
import pymap3d
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgefuse.geodesy import Origin, enu_from_geodetic, geodetic_from_enu

TOLERANCE_M = 1e-6

latitudes = st.one_of(st.floats(-90.0, 90.0), st.sampled_from([-90.0, 0.0, 90.0, 89.999999]))
longitudes = st.one_of(st.floats(-180.0, 180.0), st.sampled_from([-180.0, 0.0, 180.0, 179.999999]))
altitudes = st.floats(-500.0, 9000.0)
origins = st.builds(Origin, latitudes, longitudes, altitudes)
offsets = st.tuples(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5), st.floats(-500.0, 9000.0))


def pymap3d_position(offset: tuple[float, float, float], origin: Origin) -> tuple[float, float, float]:
    lat, lon, alt = pymap3d.enu2geodetic(*offset, origin.latitude_deg, origin.longitude_deg, origin.altitude_m)
    return float(lat), float(lon), float(alt)


@given(origins, offsets)
@example(Origin(90.0, 0.0, 0.0), (1e5, 1e5, 0.0))
@example(Origin(-90.0, 45.0, 0.0), (-1e5, 10.0, 0.0))
@example(Origin(0.0, 180.0, 0.0), (5e4, 0.0, 0.0))
@example(Origin(0.0, -180.0, 0.0), (-5e4, 0.0, 0.0))
def test_enu_agrees_with_pymap3d_to_a_micrometre(origin: Origin, offset: tuple[float, float, float]) -> None:
    position = pymap3d_position(offset, origin)
    expected = pymap3d.geodetic2enu(*position, origin.latitude_deg, origin.longitude_deg, origin.altitude_m)
    assert enu_from_geodetic(*position, origin) == pytest.approx(expected, rel=0.0, abs=TOLERANCE_M)


@given(origins, offsets)
def test_the_inverse_returns_to_the_same_point(origin: Origin, offset: tuple[float, float, float]) -> None:
    lat_deg, lon_deg, alt_m = geodetic_from_enu(*offset, origin)
    assert enu_from_geodetic(lat_deg, lon_deg, alt_m, origin) == pytest.approx(offset, rel=0.0, abs=TOLERANCE_M)


@given(origins, offsets)
def test_the_inverse_finds_the_point_that_pymap3d_puts_back_in_place(
    origin: Origin, offset: tuple[float, float, float]
) -> None:
    position = map(float, geodetic_from_enu(*offset, origin))
    back = pymap3d.geodetic2enu(*position, origin.latitude_deg, origin.longitude_deg, origin.altitude_m)
    assert back == pytest.approx(offset, rel=0.0, abs=TOLERANCE_M)


def test_the_origin_is_zero_and_its_axes_point_east_north_and_up() -> None:
    origin = Origin(49.0, 8.4, 115.0)
    assert enu_from_geodetic(49.0, 8.4, 115.0, origin) == (0.0, 0.0, 0.0)
    east_m, north_m, up_m = enu_from_geodetic(49.001, 8.401, 125.0, origin)
    assert 70 < east_m < 76, "a thousandth of a degree of longitude at 49 degrees"
    assert 111 < north_m < 112, "a thousandth of a degree of latitude"
    assert up_m == pytest.approx(10.0, abs=0.01)


def test_a_degree_along_the_equator_is_a_chord_of_the_equatorial_circle() -> None:
    east_m, _, up_m = enu_from_geodetic(0.0, 1.0, 0.0, Origin(0.0, 0.0, 0.0))
    assert east_m == pytest.approx(6_378_137.0 * np.sin(np.pi / 180), abs=TOLERANCE_M)
    assert up_m == pytest.approx(6_378_137.0 * (np.cos(np.pi / 180) - 1.0), abs=TOLERANCE_M)


def test_the_date_line_is_not_a_jump() -> None:
    across = enu_from_geodetic(10.0, -179.9999, 0.0, Origin(10.0, 179.9999, 0.0))
    same = enu_from_geodetic(10.0, 20.0002, 0.0, Origin(10.0, 20.0, 0.0))
    assert across == pytest.approx(same, rel=0.0, abs=TOLERANCE_M)


def test_at_a_pole_every_longitude_is_the_same_point() -> None:
    for longitude_deg in (-180.0, -77.0, 0.0, 123.0):
        point = enu_from_geodetic(90.0, longitude_deg, 3.0, Origin(90.0, 10.0, 1.0))
        assert point == pytest.approx((0.0, 0.0, 2.0), rel=0.0, abs=TOLERANCE_M)


def test_arrays_give_the_same_numbers_as_scalars_element_by_element() -> None:
    rng = np.random.default_rng(5)
    origin = Origin(-33.9, 151.2, 20.0)
    lat_deg = origin.latitude_deg + rng.uniform(-1, 1, (3, 4))
    lon_deg = origin.longitude_deg + rng.uniform(-1, 1, (3, 4))
    alt_m = rng.uniform(-100, 100, (3, 4))
    east_m, north_m, up_m = enu_from_geodetic(lat_deg, lon_deg, alt_m, origin)
    assert east_m.shape == (3, 4)
    assert east_m.dtype == np.float64
    for i in np.ndindex(3, 4):
        one = enu_from_geodetic(float(lat_deg[i]), float(lon_deg[i]), float(alt_m[i]), origin)
        assert (east_m[i], north_m[i], up_m[i]) == pytest.approx(one, rel=0.0, abs=TOLERANCE_M)


def test_a_missing_latitude_stays_missing() -> None:
    assert np.isnan(enu_from_geodetic(float("nan"), 8.0, 0.0, Origin(49.0, 8.0, 0.0))).all()


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("nowhere", [math.nan, math.inf])
def test_around_an_origin_that_is_nowhere_everything_is_nowhere(nowhere: float) -> None:
    for origin in (Origin(nowhere, 8.0), Origin(47.0, nowhere)):
        assert not any(map(math.isfinite, enu_from_geodetic(47.0, 8.0, 400.0, origin)))
        assert not all(map(math.isfinite, geodetic_from_enu(1.0, 2.0, 3.0, origin)))
