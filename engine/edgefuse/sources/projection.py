"""Lidar points seen by a camera: from a calibrated projection to pixels, and to a depth image in millimetres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgefuse.types import F32, F64

NO_POINT = np.uint16(65535)


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """How a lidar's points fall onto a rectified pinhole image.

    pixel_from_lidar  float64 [3, 4]: (x, y, z, 1) in metres in the lidar frame -> (column * d, row * d, d), where d is
                      the depth in metres along the camera's optical axis and column, row are pixels
    width_px, height_px  size of the image
    """

    pixel_from_lidar: F64
    width_px: int
    height_px: int


def project(points: F32, projection: Projection) -> tuple[F64, F64, F64]:
    """Column, row (pixels, not rounded) and depth (m) of the points that lie in front of the camera and in its image.

    points: float32 [n, 4], x, y, z in metres in the lidar frame. A point is in the image where 0 <= column < width and
    0 <= row < height. Points with a non-finite coordinate are left out. Order is kept.
    """
    xyz = points[:, :3].astype(np.float64)
    xyz = xyz[np.isfinite(xyz).all(axis=1)]
    seen = xyz @ projection.pixel_from_lidar[:, :3].T + projection.pixel_from_lidar[:, 3]
    seen = seen[seen[:, 2] > 0.0]
    depth_m = seen[:, 2]
    column, row = seen[:, 0] / depth_m, seen[:, 1] / depth_m
    inside = (column >= 0.0) & (column < projection.width_px) & (row >= 0.0) & (row < projection.height_px)
    return column[inside], row[inside], depth_m[inside]


def depth_image(points: F32, projection: Projection, reduction: int) -> NDArray[np.uint16]:
    """Depth along the optical axis in millimetres, uint16 [ceil(height / reduction), ceil(width / reduction)].

    Pixel (r, c) covers the image's rows r * reduction up to (r + 1) * reduction and the columns likewise; of the points
    in it the nearest wins; 0 where there is none. Beyond 65.534 m a uint16 has no room: such points are left out, since
    a depth cut to the largest number would be a wrong measurement rather than none.
    """
    column, row, depth_m = project(points, projection)
    depth_mm = np.rint(depth_m * 1000.0)
    fits = (depth_mm >= 1.0) & (depth_mm < NO_POINT)
    shape = (-(-projection.height_px // reduction), -(-projection.width_px // reduction))
    image = np.full(shape, NO_POINT, np.uint16)
    cells = (row[fits] // reduction).astype(np.intp), (column[fits] // reduction).astype(np.intp)
    np.minimum.at(image, cells, depth_mm[fits].astype(np.uint16))
    image[image == NO_POINT] = 0
    return image
