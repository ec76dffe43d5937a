"""Pictures as drivers and recordings hand them over: raw by encoding, or compressed, to RGB or to millimetres."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgefuse.types import F32, U8, Array

U16 = NDArray[np.uint16]

MOST_MM = 65535
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xae\x42\x60\x82"
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_DEPTH_HEADER_BYTES = 12  # of `compressedDepth`: an int32, then the two float32 of its inverse scale


@dataclass(frozen=True, slots=True)
class _Encoding:
    """How the pixels of an encoding lie in memory, and what brings them to a payload."""

    dtype: str  # NumPy's, without byte order
    channels: int
    payload: Callable[[Array], Array]


def _cv(code: str) -> Callable[[Array], Array]:
    def convert(pixels: Array) -> Array:
        import cv2

        return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), getattr(cv2, code)), np.uint8)

    return convert


def _grey(pixels: U8) -> U8:
    return np.repeat(pixels, 3, axis=2)


def _millimetres(pixels: U16) -> U16:
    return pixels[:, :, 0].astype(np.uint16)


def _from_metres(pixels: F32) -> U16:
    return millimetres(pixels[:, :, 0])


# Of `sensor_msgs/Image` and OpenCV's own names. Bayer patterns: ROS names the first two pixels of the first two rows,
# OpenCV those of the second row from the second column on.
_ENCODINGS: Mapping[str, _Encoding] = {
    "rgb8": _Encoding("u1", 3, lambda pixels: pixels),
    "bgr8": _Encoding("u1", 3, lambda pixels: pixels[:, :, ::-1]),
    "8UC3": _Encoding("u1", 3, lambda pixels: pixels[:, :, ::-1]),
    "rgba8": _Encoding("u1", 4, lambda pixels: pixels[:, :, :3]),
    "bgra8": _Encoding("u1", 4, lambda pixels: pixels[:, :, 2::-1]),
    "mono8": _Encoding("u1", 1, _grey),
    "8UC1": _Encoding("u1", 1, _grey),
    "mono16": _Encoding("u2", 1, _millimetres),
    "16UC1": _Encoding("u2", 1, _millimetres),
    "32FC1": _Encoding("f4", 1, _from_metres),
    "bayer_rggb8": _Encoding("u1", 1, _cv("COLOR_BayerBG2RGB")),
    "bayer_bggr8": _Encoding("u1", 1, _cv("COLOR_BayerRG2RGB")),
    "bayer_gbrg8": _Encoding("u1", 1, _cv("COLOR_BayerGR2RGB")),
    "bayer_grbg8": _Encoding("u1", 1, _cv("COLOR_BayerGB2RGB")),
    "yuv422": _Encoding("u1", 2, _cv("COLOR_YUV2RGB_UYVY")),
    "uyvy": _Encoding("u1", 2, _cv("COLOR_YUV2RGB_UYVY")),
    "yuv422_yuy2": _Encoding("u1", 2, _cv("COLOR_YUV2RGB_YUY2")),
    "yuyv": _Encoding("u1", 2, _cv("COLOR_YUV2RGB_YUY2")),
}


def kind_of(payload: Array) -> str:
    """Which modality kind a picture is a payload of."""
    return "depth" if payload.dtype == np.uint16 else "camera"


def raw_picture(encoding: str, rows: int, columns: int, step: int, big_endian: bool, data: Any) -> Array:
    """A raw picture as uint8 [rows, columns, 3] RGB, or as uint16 [rows, columns] millimetres, by its encoding.

    step  bytes from one row to the next; data  bytes, or uint8 of one axis
    mono16 and 16UC1 are millimetres, 32FC1 metres, in which what is not finite is no measurement. ValueError where the
    encoding is not known, or rows, columns, step and bytes do not belong together.
    """
    how = _ENCODINGS.get(encoding)
    if how is None:
        raise ValueError(f"encoding {encoding!r} is not known; there are {', '.join(_ENCODINGS)}")
    dtype = np.dtype(how.dtype).newbyteorder(">" if big_endian else "<")
    pixel = dtype.itemsize * how.channels
    if rows < 1 or columns < 1 or step < columns * pixel or len(data) < (rows - 1) * step + columns * pixel:
        told = f"{columns} x {rows} pixels of {pixel} bytes with a step of {step}"
        raise ValueError(f"{told} do not lie in {len(data)} bytes")
    shape, strides = (rows, columns, how.channels), (step, pixel, dtype.itemsize)
    pixels = np.ndarray(shape, dtype, np.ascontiguousarray(np.frombuffer(data, np.uint8)).data, 0, strides)
    return np.ascontiguousarray(how.payload(pixels))


def compressed_picture(told: str, data: bytes) -> Array:
    """A JPEG or PNG as uint8 [H, W, 3] RGB, or, of one channel of 16 bits, as uint16 [H, W] millimetres.

    told  the format as `sensor_msgs/CompressedImage` gives it; it matters for `compressedDepth` alone
    ValueError where it is cut off, or does not decode.
    """
    if "compressedDepth" in told:
        return _compressed_depth(told, data)
    return decoded(data)


def decoded(data: bytes) -> Array:
    """A whole JPEG or PNG as `compressed_picture` says; ValueError where it is none."""
    import cv2

    if not _whole(data):
        raise ValueError("not a PNG or JPEG, or cut short")
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError("does not decode") from error
    if pixels is None:
        raise ValueError("does not decode")
    if pixels.ndim == 2:
        return np.asarray(pixels) if pixels.dtype == np.uint16 else _grey(np.asarray(pixels, np.uint8)[:, :, None])
    if pixels.dtype != np.uint8:
        raise ValueError(f"colours of {8 * pixels.dtype.itemsize} bits are not known")
    return np.ascontiguousarray(pixels[:, :, 2::-1])


def millimetres(metres: Array) -> U16:
    """Metres, any shape, as uint16 millimetres; 0 where nothing was measured, the largest for all beyond."""
    mm = np.rint(np.nan_to_num(metres.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0) * 1000.0)
    return np.clip(mm, 0, MOST_MM).astype(np.uint16)


def _whole(data: bytes) -> bool:
    """Some cameras fill up a JPEG with zeros."""
    png = data.startswith(_PNG_START) and data.endswith(_PNG_END)
    return png or (data.startswith(_JPEG_START) and data.rstrip(b"\0").endswith(_JPEG_END))


def _compressed_depth(told: str, data: bytes) -> U16:
    """ROS's compressed_depth_image_transport: a header, and a PNG of millimetres, or of inverse metres if of floats."""
    pixels = decoded(data[_DEPTH_HEADER_BYTES:])
    if pixels.dtype != np.uint16:
        raise ValueError("compressedDepth holds no picture of 16 bits")
    if not told.startswith("32FC1"):
        return pixels
    scale, shift = np.frombuffer(data[4:_DEPTH_HEADER_BYTES], "<f4").astype(np.float64)
    with np.errstate(divide="ignore"):
        return millimetres(np.where(pixels > 0, scale / (pixels - shift), 0.0))
