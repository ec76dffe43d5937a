"""The kernels that bring pictures to another size: exact means and nearest pixels, the same bits everywhere."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgefuse import kernels, reference_resize
from edgefuse.modalities import KINDS
from edgefuse.modalities.camera import ImageParams
from edgefuse.types import U8
from kernel_cases import ISAS, cpp

SIDES, SEEDS = st.integers(1, 40), st.integers(0, 99)


def everywhere(name: str, picture: Any, shape: tuple[int, ...]) -> Any:
    """What NumPy gives, after every instruction set has given the same."""
    want = np.full(shape, 77, picture.dtype)
    getattr(reference_resize, name)(picture, want)
    before = cpp.isa() if cpp else ""
    for isa in ISAS:
        cpp.set_isa(isa)
        out = np.full(shape, 99, picture.dtype)
        getattr(cpp, name)(picture, out)
        assert (out == want).all(), isa
    if cpp:
        cpp.set_isa(before)
    return want


def picture(rows: int, columns: int, seed: int) -> U8:
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), np.uint8)


@settings(max_examples=60, deadline=None)
@given(h=SIDES, w=SIDES, more_rows=SIDES, more_columns=SIDES, seed=SEEDS)
def test_a_smaller_picture_has_the_means_of_its_areas(
    h: int, w: int, more_rows: int, more_columns: int, seed: int
) -> None:
    image = picture(h + more_rows - 1, w + more_columns - 1, seed)
    out = everywhere("picture_area", image, (h, w, 3))
    rows, columns = image.shape[:2]
    i, j = seed % h, (7 * seed) % w
    for channel in range(3):
        total = Fraction(0)
        for r in range(rows):
            for c in range(columns):
                down = min(Fraction((i + 1) * rows, h), Fraction(r + 1)) - max(Fraction(i * rows, h), Fraction(r))
                across = min(Fraction((j + 1) * columns, w), Fraction(c + 1)) - max(
                    Fraction(j * columns, w), Fraction(c)
                )
                total += max(down, 0) * max(across, 0) * int(image[r, c, channel])
        mean = total / (Fraction(rows, h) * Fraction(columns, w))
        assert out[i, j, channel] == int(mean + Fraction(1, 2))


@pytest.mark.parametrize(
    ("rows", "columns", "h", "w"), [(480, 640, 224, 224), (96, 128, 48, 64), (720, 1280, 224, 299)]
)
def test_it_is_what_opencv_gives_but_for_halves(rows: int, columns: int, h: int, w: int) -> None:
    image = cv2.GaussianBlur(picture(rows, columns, 1), (5, 5), 2.0)
    out = everywhere("picture_area", image, (h, w, 3)).astype(int)
    theirs = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(out - theirs).max() <= 1 and (out != theirs).mean() < 0.01


@pytest.mark.parametrize("level", [0, 1, 254, 255])
def test_a_plain_picture_stays_what_it_is(level: int) -> None:
    for size in ((37, 41), (16, 16), (40, 3)):
        image = np.full((*size, 3), level, np.uint8)
        assert (everywhere("picture_area", image, (13, 3, 3)) == level).all()


def test_the_largest_picture_is_exact_too() -> None:
    image = np.full((16384, 3, 3), 255, np.uint8)
    image[::2] = 254
    assert (everywhere("picture_area", image, (1, 1, 3)) == 255).all()  # a half goes up
    image[0] = 253
    assert (everywhere("picture_area", image, (1, 1, 3)) == 254).all()


@settings(max_examples=40, deadline=None)
@given(rows=SIDES, columns=SIDES, h=SIDES, w=SIDES, seed=SEEDS)
def test_each_pixel_of_a_depth_picture_is_one_that_was_measured(
    rows: int, columns: int, h: int, w: int, seed: int
) -> None:
    depth = np.random.default_rng(seed).integers(0, 65536, (rows, columns), np.uint16)
    wide = np.zeros((2 * rows, 3 * columns), np.uint16)
    wide[::2, ::3] = depth
    for layout in (depth, np.asfortranarray(depth), wide[::2, ::3]):
        out = everywhere("depth_nearest", layout, (h, w))
        for i in range(h):
            for j in range(w):
                assert out[i, j] == depth[i * rows // h, j * columns // w]


@pytest.mark.skipif(cpp is None, reason="no C++ kernels here")
@pytest.mark.parametrize(
    ("image", "out", "words"),
    [
        (picture(4, 4, 0), np.zeros((5, 4, 3), np.uint8), "larger than the picture"),
        (picture(4, 4, 0)[:, ::2], np.zeros((2, 2, 3), np.uint8), "side by side"),
        (picture(4, 4, 0).astype(np.int8), np.zeros((2, 2, 3), np.uint8), "wrong dtype"),
        (picture(4, 4, 0), np.zeros((2, 2, 4), np.uint8), "wrong shape"),
        (picture(4, 4, 0), np.zeros((0, 2, 3), np.uint8), "must have rows"),
    ],
)
def test_what_would_lie_out_of_bounds_is_refused(image: Any, out: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        cpp.picture_area(image, out)


@pytest.mark.skipif(cpp is None, reason="no C++ kernels here")
def test_a_picture_is_not_made_smaller_into_itself() -> None:
    image = picture(8, 8, 0)
    with pytest.raises(ValueError, match="overlaps"):
        kernels.picture_area(image, image.reshape(-1)[:12].reshape(2, 2, 3))


@pytest.mark.parametrize("sensor", [(30, 40), (48, 64), (60, 80), (96, 50)])
def test_every_size_of_picture_becomes_the_encoders(sensor: tuple[int, int]) -> None:
    camera, params = KINDS["camera"], ImageParams(width=64, height=48, fit="stretch")
    image = cv2.GaussianBlur(picture(*sensor, 2), (5, 5), 2.0)
    want = cv2.resize(image, (64, 48), interpolation=cv2.INTER_AREA).astype(int)
    for layout in (image, np.asfortranarray(image), np.ascontiguousarray(image[:, ::-1])[:, ::-1]):
        assert np.abs(camera.tensor_from(layout, params).astype(int) - want).max() <= 1
