"""Pictures come out as RGB or as millimetres, whatever their encoding; what does not fit its bytes is refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgefuse.pictures import compressed_picture, decoded, kind_of, millimetres, raw_picture

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (6, 8, 3), np.uint8)
GREY = RNG.integers(0, 256, (6, 8), np.uint8)
MM = RNG.integers(0, 65536, (6, 8), np.uint16)


def raw(encoding: str, pixels: np.ndarray, big_endian: bool = False) -> np.ndarray:  # type: ignore[type-arg]
    rows, columns = pixels.shape[:2]
    return raw_picture(encoding, rows, columns, pixels.nbytes // rows, big_endian, pixels.tobytes())


@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("rgb8", RGB),
        ("bgr8", RGB[:, :, ::-1]),
        ("rgba8", np.dstack([RGB, GREY])),
        ("bgra8", np.dstack([RGB[:, :, ::-1], GREY])),
    ],
)
def test_colours_come_out_as_rgb(encoding: str, pixels: np.ndarray) -> None:  # type: ignore[type-arg]
    found = raw(encoding, np.ascontiguousarray(pixels))
    np.testing.assert_array_equal(found, RGB)
    assert (found.dtype, kind_of(found), found.flags.c_contiguous) == (np.uint8, "camera", True)


def test_grey_is_given_to_all_three_channels() -> None:
    np.testing.assert_array_equal(raw("mono8", GREY), np.dstack([GREY] * 3))


@pytest.mark.parametrize("encoding", ["mono16", "16UC1"])
@pytest.mark.parametrize("big_endian", [False, True])
def test_sixteen_bits_are_millimetres_in_either_byte_order(encoding: str, big_endian: bool) -> None:
    found = raw(encoding, MM.astype(">u2" if big_endian else "<u2"), big_endian)
    np.testing.assert_array_equal(found, MM)
    assert (found.dtype, kind_of(found), found.dtype.isnative) == (np.uint16, "depth", True)


def test_metres_become_millimetres_and_what_is_not_finite_no_measurement() -> None:
    metres = np.array([[1.0, 0.0004, 0.0006, np.nan], [np.inf, -np.inf, -2.0, 70.0]], np.float32)
    np.testing.assert_array_equal(raw("32FC1", metres), [[1000, 0, 1, 0], [0, 0, 0, 65535]])
    np.testing.assert_array_equal(raw("32FC1", metres.astype(">f4"), True), raw("32FC1", metres))


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("colour", range(3))
def test_a_bayer_picture_of_one_colour_shows_that_colour(pattern: str, colour: int) -> None:
    mosaic = np.zeros((16, 16), np.uint8)
    for k, letter in enumerate(pattern):
        if letter == "rgb"[colour]:
            mosaic[k // 2 :: 2, k % 2 :: 2] = 200
    found = raw(f"bayer_{pattern}8", mosaic)[4:-4, 4:-4].mean((0, 1))
    assert found.argmax() == colour
    assert np.sort(found)[1] == 0.0


@pytest.mark.parametrize(("encoding", "order"), [("yuv422", (1, 0, 3, 2)), ("yuv422_yuy2", (0, 1, 2, 3))])
def test_yuv_shows_the_colour_that_bt601_says(encoding: str, order: tuple[int, ...]) -> None:
    y, u, v = 81, 90, 240  # pure red, ITU-R BT.601
    four = np.array([y, u, y, v], np.uint8)[list(order)]
    found = raw(encoding, np.tile(four, (4, 4)).reshape(4, 8, 2))
    np.testing.assert_allclose(found.reshape(-1, 3), np.tile([255, 0, 0], (32, 1)), atol=3)


@settings(deadline=None)
@given(rows=st.integers(1, 9), columns=st.integers(1, 9), padding=st.integers(0, 7), last=st.booleans())
def test_rows_may_be_padded_and_the_last_one_not(rows: int, columns: int, padding: int, last: bool) -> None:
    pixels = np.random.default_rng(rows).integers(0, 256, (rows, columns, 3), np.uint8)
    padded = b"".join(row.tobytes() + b"\x07" * padding for row in pixels)
    data = padded[: len(padded) - padding] if last else padded
    np.testing.assert_array_equal(raw_picture("rgb8", rows, columns, 3 * columns + padding, False, data), pixels)


@pytest.mark.parametrize(
    ("encoding", "rows", "columns", "step", "size", "words"),
    [
        ("rgb8", 4, 4, 11, 48, "4 x 4 pixels of 3 bytes with a step of 11 do not lie in 48 bytes"),
        ("rgb8", 4, 4, 12, 47, "do not lie in 47 bytes"),
        ("rgb8", 4, 4, 4000, 48, "do not lie in 48 bytes"),
        ("rgb8", 0, 4, 12, 48, "4 x 0 pixels"),
        ("rgb8", 4, -4, 12, 48, "-4 x 4 pixels"),
        ("jpeg2000", 4, 4, 12, 48, "encoding 'jpeg2000' is not known; there are rgb8"),
        ("", 4, 4, 12, 48, "encoding '' is not known"),
    ],
)
def test_what_does_not_fit_its_bytes_is_refused(
    encoding: str, rows: int, columns: int, step: int, size: int, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        raw_picture(encoding, rows, columns, step, False, bytes(size))


def encoded(suffix: str, pixels: np.ndarray) -> bytes:  # type: ignore[type-arg]
    return bytes(cv2.imencode(suffix, pixels)[1])


def test_a_png_comes_out_as_it_went_in() -> None:
    np.testing.assert_array_equal(decoded(encoded(".png", np.ascontiguousarray(RGB[:, :, ::-1]))), RGB)
    np.testing.assert_array_equal(decoded(encoded(".png", GREY)), np.dstack([GREY] * 3))
    np.testing.assert_array_equal(compressed_picture("16UC1; png compressed ", encoded(".png", MM)), MM)
    with_alpha = np.dstack([RGB[:, :, ::-1], GREY])
    np.testing.assert_array_equal(decoded(encoded(".png", with_alpha)), RGB)


def test_a_jpeg_is_rgb_and_may_be_filled_up_with_zeros() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[:, :, 2] = 255
    data = encoded(".jpg", red)
    for given_data in (data, data + bytes(500)):
        np.testing.assert_allclose(compressed_picture("jpeg", given_data)[8, 8], [255, 0, 0], atol=3)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_what_is_cut_short_or_damaged_is_refused(suffix: str) -> None:
    data = encoded(suffix, np.ascontiguousarray(RNG.integers(0, 256, (40, 40, 3), np.uint8)))
    for broken in (data[:-1], data[: len(data) // 2], b"", data[1:], b"GIF89a" + data):
        with pytest.raises(ValueError, match=r"not a PNG or JPEG, or cut short"):
            decoded(broken)
    with pytest.raises(ValueError, match="does not decode"):
        decoded(data[:4] + bytes(8) + data[-8:] if suffix == ".jpg" else data[:8] + data[-8:])


def test_colours_of_sixteen_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="colours of 16 bits are not known"):
        decoded(encoded(".png", np.dstack([MM] * 3)))


def test_compressed_depth_is_millimetres_behind_a_header() -> None:
    data = bytes(12) + encoded(".png", MM)
    np.testing.assert_array_equal(compressed_picture("16UC1; compressedDepth png", data), MM)
    with pytest.raises(ValueError, match="no picture of 16 bits"):
        compressed_picture("16UC1; compressedDepth png", bytes(12) + encoded(".png", GREY))


def test_compressed_depth_of_floats_holds_inverse_metres() -> None:
    metres = np.array([[0.5, 1.0, 2.0, 8.0]])
    scale, shift = 1200.0, 3.0
    stored = np.where(metres > 0, np.rint(scale / metres + shift), 0).astype(np.uint16)
    stored = np.hstack([stored, np.zeros((1, 1), np.uint16)])
    header = np.int32(0).tobytes() + np.float32([scale, shift]).tobytes()
    found = compressed_picture("32FC1; compressedDepth", header + encoded(".png", stored))
    np.testing.assert_allclose(found[0, :4], metres[0] * 1000, rtol=0.01)
    assert found[0, 4] == 0


def test_millimetres_are_rounded_and_end_at_the_largest() -> None:
    np.testing.assert_array_equal(millimetres(np.array([1.2344, 1.2346, 1e9])), [1234, 1235, 65535])
