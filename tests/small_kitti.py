"""A small whole drive in KITTI's raw layout, written to disk for the tests that damage it."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

FIRST, FRAMES = 2, 4
STAMPS = [f"2011-09-26 13:10:51.{100_000_007 * i:09d}" for i in range(FIRST + FRAMES)]
OXTS = [49.0, 8.4, 115.0, *[0.0] * 20, 0.5, 0.03, 4, 8, 4, 4, 0]
CAM = "P_rect_02: 10 0 6 0 0 10 4 0 0 0 1 0\nR_rect_00: 1 0 0 0 1 0 0 0 1\nS_rect_02: 12 8\ncalib_time: 09-Jan-2012\n"
VELO = "calib_time: 15-Mar-2012 11:37:16\nR: 0 -1 0 0 0 -1 1 0 0\nT: 0 0 0\n"
ALL = {"image_02": FRAMES, "velodyne_points": FRAMES, "depth_02": FRAMES, "oxts": FRAMES}


def write_drive(folder: Path) -> None:
    """Four frames, numbered from 2, each with a point 5 m straight ahead; the calibration goes beside the folder."""
    for number in range(FIRST, FIRST + FRAMES):
        write(folder / f"velodyne_points/data/{number:010d}.bin", np.array([5, 0, 0, 0.5], "<f4").tobytes())
        write(folder / f"oxts/data/{number:010d}.txt", " ".join(map(str, OXTS)).encode())
        write(folder / f"image_02/data/{number:010d}.png", png(bytes((200, 0, 10 * number))))
    for name in ("velodyne_points", "oxts", "image_02"):
        write(folder / name / "timestamps.txt", "".join(f"{stamp}\n" for stamp in STAMPS).encode())
    write(folder.parent / "calib_cam_to_cam.txt", CAM.encode())
    write(folder.parent / "calib_velo_to_cam.txt", VELO.encode())


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def png(red_green_blue: bytes) -> bytes:
    """A picture of 12 x 8 pixels of one colour, from the PNG specification: 8 bits, RGB, no filter."""
    header = struct.pack(">IIBBBBB", 12, 8, 8, 2, 0, 0, 0)
    rows = (b"\0" + 12 * red_green_blue) * 8
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
