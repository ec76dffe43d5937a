"""What a sensor says is judged beside what it has shown: faults are caught at once, a lasting change locks none out."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgefuse.modalities import KINDS
from edgefuse.modalities.grain import LEAST_SIDE, Grain, noise_level
from edgefuse.modalities.sweep import AZIMUTHS, anything_lost, rows_lost, sector_lost_deg
from edgefuse.reference_looks import ELEVATIONS
from edgefuse.types import F32, F64, U8, Array
from watched import RECOVER, S, Watched, defocus, gaussian_noise, in_motion, lit, salt_and_pepper, without_sector

RNG = np.random.default_rng(7)
TENTH = S // 10


def scenery(seed: int, rows: int = 120, cols: int = 160, roughness: float = 1.0) -> U8:
    """A picture with detail at every scale, as outdoors; the rougher, the more fine detail."""
    rng = np.random.default_rng(seed)
    total = np.zeros((rows, cols, 3), np.float32)
    for octave in range(7):
        small = rng.normal(size=(max(2, rows >> octave), max(2, cols >> octave), 3)).astype(np.float32)
        total += 2.0 ** ((octave - 6) / max(roughness, 0.1)) * cv2.resize(small, (cols, rows))
    return np.clip(120 + 40 * total / total.std(), 0, 255).astype(np.uint8)


def sweep(seed: int, beams: int = 16, field_deg: float = 360.0, reach_m: float = 20.0) -> F32:
    """A spinning lidar over level ground and a wall around it, column by column, with 5 % of the echoes lost."""
    rng = np.random.default_rng(seed)
    turn = np.radians(np.linspace(-field_deg / 2, field_deg / 2, 360, endpoint=False))
    rise = np.tan(np.radians(np.linspace(-25.0, 10.0, beams)))
    level = np.where(rise < 0, np.minimum(reach_m, -2.0 / np.minimum(rise, -1e-3)), reach_m)
    level = level + rng.normal(0, 0.02, (turn.size, beams))
    cloud = np.stack([level * np.cos(turn)[:, None], level * np.sin(turn)[:, None], level * rise, level * 0 + 0.3], -1)
    points: F32 = cloud.reshape(-1, 4).astype(np.float32)
    return points[rng.random(len(points)) > 0.05]


def fix(east_m: float = 0.0, north_m: float = 0.0, sd_m: float = 0.5, latitude: float = 50.0, turn: float = 4.0) -> F64:
    """A fix so far from a place, on a sphere: good to a few parts in a thousand."""
    metre = 1.0 / 111_200
    place = [latitude + north_m * metre, turn + east_m * metre / np.cos(np.radians(latitude)), 100.0]
    return np.array([*place, sd_m**2, sd_m**2, 4 * sd_m**2, 1.0])


def warm(kind: str, make: Callable[[int], Array], samples: int = 12, **checks: object) -> Watched:
    """A stream that has been trusted for a second; its next sample is due at `samples` tenths."""
    stream = Watched(kind, **checks)
    assert stream.sees_all((i * TENTH, make(i)) for i in range(samples)) == [None] * samples
    return stream


NOW = 12 * TENTH


# Camera


def test_a_lens_out_of_focus_is_noticed_at_the_first_picture() -> None:
    camera = warm("camera", scenery)
    assert camera.sees(defocus(scenery(99)), NOW) == "blurred"
    assert camera.sees(scenery(98), NOW + TENTH) is None


@pytest.mark.parametrize("angle_deg", [0.0, 30.0, 45.0, 90.0, 120.0])
def test_a_picture_smeared_along_any_direction_is_blurred(angle_deg: float) -> None:
    assert warm("camera", scenery).sees(in_motion(scenery(99), angle_deg), NOW) == "blurred"


@pytest.mark.parametrize("size", [(96, 128), (375, 1242), (480, 640), (720, 1280)])
def test_a_blur_is_noticed_at_every_size_of_picture(size: tuple[int, int]) -> None:
    camera = warm("camera", lambda i: scenery(i, *size), samples=6)
    assert camera.sees(scenery(99, *size), NOW) is None
    assert camera.sees(defocus(scenery(98, *size), 8.0), NOW) == "blurred"


def test_nothing_is_called_blurred_before_five_pictures_have_been_trusted() -> None:
    camera = warm("camera", scenery, samples=4)
    assert camera.glances(defocus(scenery(9)), NOW) is None
    camera.sees(scenery(4), NOW)
    assert camera.glances(defocus(scenery(9)), NOW + 1) == "blurred"


@pytest.mark.parametrize("gain", [0.8, 1.2])
def test_a_fifth_more_or_less_light_is_no_fault(gain: float) -> None:
    assert warm("camera", scenery).sees(lit(scenery(99), gain), NOW) is None


def test_a_plain_wall_is_not_blurred_and_teaches_nothing() -> None:
    camera = warm("camera", scenery)
    wall = np.full((120, 160, 3), 140, np.uint8)
    assert camera.sees_all((NOW + i * TENTH, wall + np.uint8(i)) for i in range(30)) == [None] * 30
    assert camera.glances(scenery(98), NOW + 3 * S) is None
    assert camera.glances(defocus(scenery(98)), NOW + 3 * S) == "blurred"


@pytest.mark.parametrize("sigma", [0.18, 0.26, 0.38])
def test_a_picture_of_strong_noise_is_noticed_without_any_memory(sigma: float) -> None:
    assert Watched("camera").sees(gaussian_noise(scenery(1), sigma, RNG), 0) == "noisy"


@pytest.mark.parametrize("share", [0.09, 0.17, 0.27])
def test_salt_and_pepper_is_noise(share: float) -> None:
    assert Watched("camera").sees(salt_and_pepper(scenery(1), share, RNG), 0) == "noisy"


@pytest.mark.parametrize("sigma", [2.0, 8.0, 20.0])
def test_the_level_of_noise_is_measured_within_a_tenth(sigma: float) -> None:
    shade = np.broadcast_to(np.linspace(60, 180, 640)[None, :, None], (480, 640, 3))
    noisy = np.rint(np.clip(shade + RNG.normal(0, sigma, shade.shape), 0, 255)).astype(np.uint8)
    assert noise_level(Grain.of(noisy)) == pytest.approx(sigma, rel=0.1)


def test_random_bytes_are_no_picture() -> None:
    assert Watched("camera").sees(RNG.integers(0, 256, (96, 128, 3), dtype=np.uint8), 0) == "noisy"


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (LEAST_SIDE - 1, 80), (LEAST_SIDE, LEAST_SIDE), (25, 3000)])
def test_a_picture_of_any_size_is_looked_at_without_complaint(size: tuple[int, int]) -> None:
    picture = RNG.integers(100, 110, (*size, 3), dtype=np.uint8)
    assert Watched("camera").sees_all([(i, picture) for i in range(9)]) == [None] * 9


def test_the_verdict_does_not_depend_on_the_layout_in_memory() -> None:
    camera, picture = warm("camera", scenery), defocus(scenery(99), 4.0)
    noise = noise_level(Grain.of(picture))
    for layout in (np.asfortranarray(picture), np.ascontiguousarray(picture[..., ::-1])[..., ::-1]):
        assert noise_level(Grain.of(layout)) == noise
        assert camera.glances(layout, NOW) == camera.glances(picture, NOW)


# Lidar


def test_an_empty_sector_is_noticed_wherever_it_lies() -> None:
    lidar = warm("lidar", sweep)
    for middle in np.arange(-180.0, 180.0, 7.0):
        assert lidar.glances(without_sector(sweep(99), middle, 60.0), NOW) == "sector_lost"
        assert lidar.glances(without_sector(sweep(99), middle, 40.0), NOW) is None


def test_a_sensor_that_never_looks_back_has_lost_nothing_there() -> None:
    lidar = warm("lidar", lambda i: sweep(i, field_deg=140.0))
    assert lidar.sees(sweep(99, field_deg=140.0), NOW) is None
    for middle in (-40.0, 0.0, 40.0):
        assert lidar.glances(without_sector(sweep(99, field_deg=140.0), middle, 60.0), NOW) == "sector_lost"


@pytest.mark.parametrize("beams", [16, 24, 32, 40, 64])
def test_every_second_beam_lost_is_noticed(beams: int) -> None:
    lidar = warm("lidar", lambda i: sweep(i, beams))
    every, ground = sweep(99, beams), np.tan(np.radians(np.linspace(-25.0, 10.0, beams)))
    rise = every[:, 2] / np.hypot(every[:, 0], every[:, 1])
    beam = np.argmin(np.abs(rise[:, None] - ground), axis=1)
    assert lidar.sees(every, NOW) is None
    assert lidar.glances(every[beam % 2 == 0], NOW) == "beams_lost"


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 999), usual=st.floats(1.0, 60.0), gone=st.floats(0.0, 0.3))
def test_where_nothing_is_lost_no_sector_and_no_row_is(seed: int, usual: float, gone: float) -> None:
    rng = np.random.default_rng(seed)
    before = rng.uniform(0.0, usual, 1 + AZIMUTHS + ELEVATIONS)
    now = before * (rng.random(before.size) >= gone * (rng.random() < 0.5))
    lost = sector_lost_deg(now, before) > 0.0 or rows_lost(now, before) > 0.0
    assert anything_lost(now, before) or not lost


def test_a_quarter_of_few_beams_lost_is_noticed_though_most_points_are_left() -> None:
    lidar, every = warm("lidar", sweep), sweep(99)
    row = np.round((np.degrees(np.arctan2(every[:, 2], np.hypot(every[:, 0], every[:, 1]))) + 25) * 15 / 35)
    assert lidar.glances(every[~np.isin(row, [2, 6, 7, 11])], NOW) == "beams_lost"


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_a_cloud_thinned_at_random_is_noticed(share: float) -> None:
    every = sweep(99)
    assert warm("lidar", sweep).glances(every[RNG.random(len(every)) < share], NOW) == "beams_lost"


def test_points_at_the_sensor_itself_are_no_points() -> None:
    lidar, gone = warm("lidar", sweep), sweep(99).copy()
    gone[np.abs(gone[:, 1]) < np.abs(gone[:, 0])] = 0.0
    assert lidar.sees(gone, NOW) == "sector_lost"


@pytest.mark.parametrize("scale", [1e30, 1e-20])
def test_points_of_any_magnitude_are_looked_at_without_complaint(scale: float) -> None:
    lidar = warm("lidar", sweep)
    lidar.glances((sweep(99) * np.float32(scale)).astype(np.float32), NOW)
    upright = np.zeros((100, 4), np.float32)
    upright[:, 0], upright[:, 2] = 1e-38, 1e30
    lidar.glances(upright, NOW)


# Place


@pytest.mark.parametrize("metres", [20.0, 100.0, 1e4, 1e6])
def test_a_jump_at_ten_hertz_is_noticed(metres: float) -> None:
    gps = warm("gps", lambda i: fix(1.2 * i))
    assert gps.sees(fix(14.4 + metres / 2**0.5, metres / 2**0.5), NOW) == "position_jump"


def test_the_other_side_of_the_earth_is_far_away() -> None:
    assert warm("gps", fix).sees(fix(latitude=-50.0, turn=-176.0), NOW) == "position_jump"


def test_the_date_line_is_no_jump() -> None:
    gps = warm("gps", lambda i: fix(i - 12.0, turn=180.0))
    assert gps.sees(fix(0.5, turn=-180.0), NOW) is None


@given(speed=st.floats(0, 69), rate_hz=st.sampled_from([1, 5, 10, 100]), sd_m=st.floats(0.01, 24.0))
def test_no_motion_within_the_limit_is_a_jump(speed: float, rate_hz: int, sd_m: float) -> None:
    gps = Watched("gps")
    fixes = ((i * S // rate_hz, fix(speed * i / rate_hz, sd_m=sd_m)) for i in range(30))
    assert gps.sees_all(fixes) == [None] * 30


def test_a_fix_that_is_uncertain_may_jump_by_its_own_uncertainty() -> None:
    assert warm("gps", lambda i: fix(sd_m=10.0)).glances(fix(40.0, sd_m=10.0), NOW) is None
    assert warm("gps", lambda i: fix(sd_m=1.0)).glances(fix(40.0, sd_m=1.0), NOW) == "position_jump"


@given(distance_m=st.floats(30, 1e7))
def test_a_place_that_stays_is_believed_as_soon_as_it_can_be_reached(distance_m: float) -> None:
    gps = warm("gps", fix)
    there = fix(0.0, min(distance_m, 4e6))
    back = next(i for i in range(200) if gps.sees(there, NOW + i * TENTH) is None)
    assert back <= min(max(distance_m - 10, 0) / 70.0, 10.0) * 10 + 3


# Numbers


@pytest.mark.parametrize(
    ("kind", "good"), [("lidar", sweep(1)), ("vector", RNG.normal(size=(50, 6)).astype(np.float32))]
)
def test_values_too_small_to_compute_with_are_noticed(kind: str, good: F32) -> None:
    sensor, tiny = Watched(kind), good.copy()
    assert sensor.sees(good, 0) is None
    tiny.reshape(-1)[RNG.random(tiny.size) < 0.6] = 1e-39
    assert sensor.sees(tiny, 1) == "denormal"
    anywhere = {"outside_share": 1.0} if kind == "lidar" else {}
    assert Watched(kind, denormal_share=0.7, **anywhere).sees(tiny, 1) is None


def test_zeros_are_not_denormal() -> None:
    assert Watched("vector").sees(np.zeros((50, 6), np.float32), 0) is None


# Depth


def test_a_depth_picture_at_its_end_is_saturated() -> None:
    wall = RNG.integers(2000, 2100, (60, 80)).astype(np.uint16)
    assert Watched("depth").sees(wall, 0) is None
    for rail in (4000, 12_000, 65_535):
        full = np.where(RNG.random(wall.shape) < 0.95, rail, wall).astype(np.uint16)
        assert Watched("depth").sees(full, 0) == "saturated"
        full[RNG.random(wall.shape) < 0.5] = 0  # the share is that of the measured pixels
        assert Watched("depth").sees(full, 0) == "saturated"


def test_a_declared_range_makes_everything_beyond_it_saturated() -> None:
    far = RNG.integers(9_990, 10_020, (60, 80)).astype(np.uint16)
    assert Watched("depth").sees(far, 0) is None
    assert Watched("depth", max_range_mm=9_990).sees(far, 0) == "saturated"


# Memory


def scene_of(kind: str, seed: int, wild: float) -> Array:
    """One lasting content of a kind, as different from another one as it may be while it is sane by itself."""
    if kind == "camera":
        return defocus(scenery(seed), 12 * wild) if wild > 0.3 else scenery(seed, roughness=1 + wild)
    points = sweep(seed, beams=(8, 16, 32)[seed % 3], reach_m=5 + 60 * wild)
    return without_sector(points, 360 * wild - 180, 300 * wild)


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(["camera", "lidar"]),
    before=st.tuples(st.integers(0, 99), st.floats(0, 1)),
    after=st.tuples(st.integers(0, 99), st.floats(0, 1)),
    rate_hz=st.sampled_from([1, 5, 10]),
)
def test_no_lasting_change_locks_a_stream_out(
    kind: str, before: tuple[int, float], after: tuple[int, float], rate_hz: int
) -> None:
    stream, step = Watched(kind), S // rate_hz
    old, new = scene_of(kind, *before), scene_of(kind, *after)
    stream.sees_all((i * step, old) for i in range(8))
    needed = 10 * rate_hz + RECOVER
    for i in range(8, 8 + needed):
        stream.sees(new, i * step)
    assert stream.trusted
    assert stream.sees_all((i * step, new) for i in range(8 + needed, 30 + needed)) == [None] * 22


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [("camera", scenery(1), defocus(scenery(1))), ("lidar", sweep(1), without_sector(sweep(1), 0.0, 90.0))],
)
def test_a_fault_is_not_learned_while_it_lasts(kind: str, good: Array, bad: Array) -> None:
    stream = warm(kind, lambda i: good)
    reasons = stream.sees_all((NOW + i * TENTH, bad) for i in range(95))
    assert None not in reasons
    stream = warm(kind, lambda i: good)
    stream.sees_all((NOW + i * TENTH, bad) for i in range(80))
    assert stream.sees_all((NOW + 8 * S + i * TENTH, good) for i in range(6)) == [None] * 6
    assert stream.sees(bad, NOW + 9 * S) == reasons[0]


@pytest.mark.parametrize("kind", ["camera", "lidar", "gps"])
def test_looking_alone_teaches_nothing(kind: str) -> None:
    def make(i: int) -> Array:
        return scenery(i) if kind == "camera" else sweep(i) if kind == "lidar" else fix(i)

    odd = {"camera": defocus(scenery(7)), "lidar": sweep(7)[:900], "gps": fix(5000.0)}[kind]
    plain, shown = warm(kind, make), warm(kind, make)
    for i in range(30):
        shown.glances(odd, NOW + i)
    for i, payload in enumerate([make(12), odd, make(13)]):
        assert plain.glances(payload, NOW + 40 + i) == shown.glances(payload, NOW + 40 + i)


def test_a_scene_that_changes_slowly_is_followed_all_the_way() -> None:
    camera = Watched("camera")
    slow = (defocus(scenery(i % 5), max(0.1, i / 30)) for i in range(300))
    assert camera.sees_all((i * TENTH, picture) for i, picture in enumerate(slow)) == [None] * 300


def test_a_clock_set_back_begins_anew() -> None:
    camera = warm("camera", scenery)
    assert camera.sees(defocus(scenery(1)), -3600 * S) is None


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("camera", "blurred_share", 1.0),
        ("camera", "blurred_share", -0.1),
        ("camera", "noisy_level", 0.0),
        ("camera", "warm_samples", 0),
        ("camera", "adapt_s", 0.0),
        ("camera", "forget_s", float("inf")),
        ("lidar", "sector_deg", 0.0),
        ("lidar", "beams_lost_share", float("nan")),
        ("lidar", "points_share", 1.0),
        ("lidar", "denormal_share", 1.5),
        ("vector", "denormal_share", -1.0),
        ("vector", "forget_s", 1.0),
        ("depth", "saturated_share", 0.0),
        ("depth", "max_range_mm", 0),
        ("depth", "max_range_mm", 1.5),
        ("gps", "max_speed_mps", 0.0),
        ("gps", "jump_slack_m", -1.0),
        ("gps", "jump_sigmas", float("inf")),
        ("gps", "forget_s", 0.0),
    ],
)
def test_a_threshold_that_means_nothing_is_refused(kind: str, name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        KINDS[kind].checks(**{name: value})


def test_depth_that_hangs_together_nowhere_is_noise() -> None:
    rng = np.random.default_rng(0)
    garbage = rng.integers(0, 65536, (60, 80)).astype(np.uint16)
    assert Watched("depth").sees(garbage, 0) == "noisy"
    assert Watched("depth", noisy_share=1.0).sees(garbage, 0) is None
    sparse = np.where(rng.random((60, 80)) < 0.3, np.linspace(2e3, 9e3, 60)[:, None], 0).astype(np.uint16)
    assert Watched("depth").sees(sparse, 0) is None


@pytest.mark.parametrize("scale", [1e-3, 1e-2, 1e4, 1e9])
def test_points_where_no_scanner_measures_are_out_of_range(scale: float) -> None:
    points = np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32)
    assert Watched("lidar").sees(points * np.float32(8.0), 0) is None
    assert Watched("lidar").sees(points * np.float32(scale), 0) == "out_of_range"


def test_points_at_exactly_zero_are_what_scanners_say_of_nothing() -> None:
    points = 8.0 * np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32)
    points[::2, :3] = 0.0
    assert Watched("lidar").sees(points.astype(np.float32), 0) is None
