"""Corruptions of pictures, each against its formula written down a second time."""

from __future__ import annotations

import colorsys
import math

import cv2
import numpy as np
import pytest

from edgefuse.faults import SEVERITIES
from edgefuse.types import Array
from fault_cases import applied, at, picture

PICTURE = picture(224, 224)
GREY = np.full((200, 200, 3), 128, np.uint8)


def spread(kind: str, severity: int) -> Array:
    """What a grey picture is changed by, white being 1."""
    return (applied(kind, GREY, severity).astype(float) - 128) / 255


def test_black_shows_nothing() -> None:
    assert not applied("black", PICTURE).any()


@pytest.mark.parametrize(("severity", "sd"), at(0.08, 0.12, 0.18))
def test_gaussian_noise_has_its_standard_deviation(severity: int, sd: float) -> None:
    assert np.std(spread("gaussian_noise", severity)) == pytest.approx(sd, rel=0.02)
    assert abs(spread("gaussian_noise", severity).mean()) < 0.002


@pytest.mark.parametrize(("severity", "photons"), at(60, 25, 12))
def test_shot_noise_is_that_of_counted_photons(severity: int, photons: float) -> None:
    assert np.std(spread("shot_noise", severity)) == pytest.approx(math.sqrt(128 / 255 / photons), rel=0.03)


@pytest.mark.parametrize(("severity", "share"), at(0.03, 0.06, 0.09, 0.17, 0.27))
def test_impulse_noise_is_half_salt_half_pepper(severity: int, share: float) -> None:
    changed = applied("impulse_noise", GREY, severity)
    assert np.mean(changed == 0) == pytest.approx(share / 2, rel=0.1)
    assert np.mean(changed == 255) == pytest.approx(share / 2, rel=0.1)
    assert np.mean(changed == 128) == pytest.approx(1 - share, rel=0.01)


@pytest.mark.parametrize(("severity", "radius"), at(3, 4, 6, 8, 10))
def test_defocus_spreads_a_point_over_a_disk(severity: int, radius: float) -> None:
    point = np.zeros((224, 224, 3), np.uint8)
    point[100:103, 100:103] = 255
    rows, cols = np.nonzero(applied("defocus_blur", point, severity)[..., 0])
    distance = np.hypot(rows - 101, cols - 101)
    assert radius - 0.5 <= distance.max() <= radius + 4
    assert applied("defocus_blur", GREY, severity).tobytes() == GREY.tobytes()


@pytest.mark.parametrize("scale", [1, 2])
def test_a_blur_grows_with_the_picture(scale: int) -> None:
    step = np.zeros((224 * scale, 224 * scale, 3), np.uint8)
    step[:, 112 * scale :] = 255
    row = applied("defocus_blur", step, 5)[112 * scale, :, 0]
    assert np.count_nonzero((row > 0) & (row < 255)) == pytest.approx(20 * scale, abs=4)


def test_motion_blur_draws_a_point_into_a_line_that_fades() -> None:
    point = np.zeros((224, 224, 3), np.uint8)
    point[110:113, 110:113] = 255
    for seed in range(5):
        seen = applied("motion_blur", point, 2, seed=seed)[..., 0].astype(float)
        rows, cols = np.nonzero(seen > 1)
        weights = seen[rows, cols]
        centred = np.stack([rows - 111, cols - 111])
        values = np.linalg.eigvalsh(np.cov(centred, aweights=weights))
        assert values[1] > 5 * values[0], "longer than wide"
        assert abs(centred[1]).max() >= abs(centred[0]).max() - 2, "rather level than upright"
        assert len(rows) < 31 * 6


@pytest.mark.parametrize(("severity", "more"), at(0.1, 0.2, 0.3, 0.4, 0.5))
def test_brightness_raises_the_value_and_keeps_the_hue(severity: int, more: float) -> None:
    changed = applied("brightness", PICTURE, severity)
    for row, col in [(10, 10), (100, 60), (150, 140), (200, 200)]:
        hue, saturation, value = colorsys.rgb_to_hsv(*(PICTURE[row, col] / 255))
        expected = np.array(colorsys.hsv_to_rgb(hue, saturation, min(1.0, value + more))) * 255
        assert np.abs(changed[row, col] - expected).max() <= 0.51
    assert applied("brightness", np.zeros((4, 4, 3), np.uint8), severity).max() == round(255 * more)


@pytest.mark.parametrize(("severity", "scale"), at(0.6, 0.5, 0.4, 0.3, 0.2))
def test_dark_is_the_squared_light_with_little_noise(severity: int, scale: float) -> None:
    x = PICTURE / 255
    noise = applied("dark", PICTURE, severity) / 255 - scale * x**2
    photons, sd = [(600, 0.008), (250, 0.012), (120, 0.018), (50, 0.026), (30, 0.038)][severity - 1]
    bright = x > 0.7
    expected = np.sqrt(np.mean(scale * x[bright] ** 2 / photons + sd**2))
    assert np.std(noise[bright]) == pytest.approx(expected, rel=0.05)
    assert abs(noise[bright].mean()) < 0.005


@pytest.mark.parametrize(("severity", "amount"), at(1.5, 2, 2.5, 2.5, 3))
def test_fog_mixes_a_mist_in_and_keeps_the_peak(severity: int, amount: float) -> None:
    m = PICTURE.max() / 255
    x, changed = PICTURE / 255, applied("fog", PICTURE, severity) / 255
    mist = (changed * (m + amount) / m - x) / amount
    # The mist is one for all channels, from 0 to 1; rounding to bytes is what is left.
    half_level = 0.5 / 255 * (m + amount) / m / amount + 1e-6
    assert np.ptp(mist, axis=2).max() <= 2 * half_level
    assert mist.min() == pytest.approx(0, abs=half_level)
    assert mist.max() == pytest.approx(1, abs=half_level)


def test_mist_of_a_slower_decay_is_rougher() -> None:
    mists = [applied("fog", GREY, severity)[..., 0].astype(float) for severity in SEVERITIES]
    rough = [np.abs(np.diff(m, axis=0)).mean() / m.std() for m in mists]
    assert rough[0] < rough[2] < rough[3] < rough[4]


@pytest.mark.parametrize(("severity", "factor"), at(0.4, 0.3, 0.2, 0.1, 0.05))
def test_contrast_shrinks_each_channel_towards_its_mean(severity: int, factor: float) -> None:
    mean = PICTURE.reshape(-1, 3).mean(axis=0)
    expected = mean + factor * (PICTURE - mean)
    assert np.abs(applied("contrast", PICTURE, severity) - expected).max() <= 0.51


@pytest.mark.parametrize(("severity", "quality"), at(25, 18, 15, 10, 7))
def test_jpeg_is_what_a_file_of_that_quality_shows(severity: int, quality: int) -> None:
    bgr = np.ascontiguousarray(PICTURE[:, :, ::-1])
    file = cv2.imencode(".jpeg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    assert np.array_equal(applied("jpeg", PICTURE, severity), cv2.imdecode(file, cv2.IMREAD_COLOR)[:, :, ::-1])


@pytest.mark.parametrize(("severity", "side"), [(3, 80), (5, 50)])
def test_pixelate_leaves_as_many_different_blocks(severity: int, side: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    changed = applied("pixelate", noise, severity)
    edges = np.any(changed[:, 1:] != changed[:, :-1], axis=(0, 2))
    assert np.count_nonzero(edges) == side - 1
    if side == 50:
        blocks = noise.reshape(50, 4, 50, 4, 3).mean(axis=(1, 3))
        assert np.abs(changed[::4, ::4] - blocks).max() <= 0.51


@pytest.mark.parametrize(("severity", "bits"), at(6, 5, 4, 3, 2))
def test_quantise_keeps_the_upper_bits(severity: int, bits: float) -> None:
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    step = 2 ** (8 - int(bits))
    assert np.array_equal(applied("quantise", every, severity), every // step * step)
