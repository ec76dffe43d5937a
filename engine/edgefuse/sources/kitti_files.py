"""The files of KITTI's raw layout, each read into a payload, a calibration or a stamp, or refused with a ValueError."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from edgefuse.pictures import decoded
from edgefuse.sources.projection import Projection
from edgefuse.types import F32, F64, NS_PER_S, U8

# NavSatStatus of the receiver's position mode (field `posmode`; OXTS position modes, KITTI's gps_mode_to_string). Modes
# that are not listed give no position (0 none, 1 search, 2 Doppler, 10 no data, 11 blanked) or are unknown: no fix.
NO_FIX = -1
NAVSAT_STATUS: Mapping[int, int] = {
    **dict.fromkeys((3, 13, 21, 26), 0),  # stand-alone positioning
    **dict.fromkeys((4, 7, 8, 9, 14, 17, 18, 22, 27, 30, 31), 1),  # differential, WAAS, OmniSTAR, CDGPS, PPP
    **dict.fromkeys((5, 6, 15, 16, 23, 24, 28, 29), 2),  # RTK float and RTK integer
}
# `pos_accuracy` is the length of the (north, east) standard deviations: all its values in drive 0013 are roots of a sum
# of two squared whole millimetres. Half of its square goes to each axis. Of the vertical nothing is said: taken as
# twice the standard deviation of a horizontal axis, on the careful side of what satellites overhead allow.
HORIZONTAL_VARIANCE_SHARE = 0.5
UP_VARIANCE_FACTOR = 4.0

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LAST_NS = 2**63 - 1
_STAMP = re.compile(rb"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.(\d{1,9})")
_OXTS_FIELDS = 30
# A calibration that asks for a larger image than this is damaged, not meant.
_MAX_SIDE_PX = 16384


def parse_stamp(line: bytes) -> int | None:
    """`2011-09-26 13:10:51.168593664` in ns since 1970 without rounding, read as UTC; None where it is no such time."""
    match = _STAMP.fullmatch(line.strip())
    if match is None:
        return None
    try:
        since = datetime.fromisoformat(match[1].decode("ascii")).replace(tzinfo=timezone.utc) - _EPOCH
    except ValueError:
        return None
    stamp_ns = (since.days * 86_400 + since.seconds) * NS_PER_S + int(match[2].ljust(9, b"0"))
    return stamp_ns if 0 <= stamp_ns <= _LAST_NS else None


def read_png(path: Path) -> U8:
    """A PNG as uint8 [H, W, 3] RGB; ValueError where it is no whole one of 8 bits or does not decode."""
    image = decoded(path.read_bytes())
    if image.dtype != np.uint8:
        raise ValueError("PNG of 16 bits")
    return image


def read_points(path: Path) -> F32:
    """A sweep as float32 [n, 4]: x, y, z (m), reflectance in [0, 1]; an empty file is a sweep of no points."""
    data = path.read_bytes()
    if len(data) % 16:
        raise ValueError(f"{len(data)} bytes, not a multiple of 16: cut short")
    return np.frombuffer(data, "<f4").astype(np.float32).reshape(-1, 4)


def read_fix(path: Path) -> F64:
    """An `oxts` file as float64 [7]: latitude, longitude (deg), altitude (m), variances (m2), NavSatStatus."""
    fields = path.read_bytes().decode("ascii").split()
    if len(fields) != _OXTS_FIELDS:
        raise ValueError(f"{len(fields)} fields, not {_OXTS_FIELDS}")
    values = [float(text) for text in fields]
    accuracy_m, posmode = values[23], int(fields[27])
    var_m2 = accuracy_m * accuracy_m * HORIZONTAL_VARIANCE_SHARE
    status = NAVSAT_STATUS.get(posmode, NO_FIX)
    return np.array([*values[:3], var_m2, var_m2, var_m2 * UP_VARIANCE_FACTOR, status], np.float64)


def read_projection(date_folder: Path) -> Projection:
    """Lidar to the rectified image of camera 02: P_rect_02 R_rect_00 (R | T), as KITTI's paper composes them, eq. 8."""
    camera = _read_calibration(date_folder / "calib_cam_to_cam.txt", {"P_rect_02": 12, "R_rect_00": 9, "S_rect_02": 2})
    lidar = _read_calibration(date_folder / "calib_velo_to_cam.txt", {"R": 9, "T": 3})
    rectify, camera_from_lidar = np.eye(4), np.eye(4)
    rectify[:3, :3] = camera["R_rect_00"].reshape(3, 3)
    camera_from_lidar[:3] = np.column_stack((lidar["R"].reshape(3, 3), lidar["T"]))
    width_px, height_px = (int(size) for size in camera["S_rect_02"])
    if not (0 < width_px <= _MAX_SIDE_PX and 0 < height_px <= _MAX_SIDE_PX):
        raise ValueError(f"calib_cam_to_cam.txt: S_rect_02 is {width_px} x {height_px}")
    return Projection(camera["P_rect_02"].reshape(3, 4) @ rectify @ camera_from_lidar, width_px, height_px)


def _read_calibration(path: Path, wanted: Mapping[str, int]) -> dict[str, F64]:
    """The wanted keys of lines `key: numbers`; ValueError names a key that is missing or damaged."""
    try:
        lines = path.read_text("ascii").splitlines()
    except (OSError, ValueError) as error:
        raise ValueError(f"{path.name}: {what_failed(error)}") from error
    texts = dict(line.split(":", 1) for line in lines if ":" in line)
    return {key: _calibration_values(path, key, texts.get(key, ""), n) for key, n in wanted.items()}


def _calibration_values(path: Path, key: str, text: str, n: int) -> F64:
    try:
        values = np.array([float(word) for word in text.split()], np.float64)
    except ValueError:
        values = np.empty(0, np.float64)
    if values.size != n or not np.isfinite(values).all():
        raise ValueError(f"{path.name}: {key} is missing or not {n} numbers")
    return values


def what_failed(error: OSError | ValueError) -> str:
    """What went wrong, without the path that an OSError repeats."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
