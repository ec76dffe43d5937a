"""Point clouds of ROS, whatever fields they have and however these lie in memory, as x, y, z and reflectance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgefuse.types import F32, Array

# sensor_msgs/PointField: the number of a type and NumPy's name for it, without byte order.
_TYPES: Mapping[int, str] = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
_REFLECTANCES = ("intensity", "reflectance", "reflectivity", "i")  # names, the first that is there


def points_of(cloud: Any) -> F32:
    """A `sensor_msgs/PointCloud2` as float32 [n, 4]: x, y, z in metres, reflectance.

    Whole numbers of reflectance are brought to 0 to 1 by the largest that their type holds; floats stay, and a cloud
    without is given 0. Points without an echo, that are not finite, are left out where the cloud says that it may hold
    such (`is_dense` is false); where it denies it they stay, and the engine will call them what they are. ValueError
    where x, y or z is missing, or the layout does not fit the bytes.
    """
    table = _table(cloud)
    names = table.dtype.names or ()
    missing = [axis for axis in "xyz" if axis not in names]
    if missing:
        raise ValueError(f"has no field {', '.join(missing)}; there are {', '.join(names)}")
    points = np.zeros((table.size, 4), np.float32)
    for column, name in enumerate("xyz"):
        points[:, column] = table[name].reshape(-1)
    bright = next((name for name in _REFLECTANCES if name in names), None)
    if bright is not None:
        points[:, 3] = _shares(table[bright].reshape(-1))
    return points if cloud.is_dense else points[np.isfinite(points[:, :3]).all(axis=1)]


def _table(cloud: Any) -> Array:
    """The points [height, width] as a view with named fields."""
    rows, columns, step = int(cloud.height), int(cloud.width), int(cloud.point_step)
    row_step, size = int(cloud.row_step), len(cloud.data)
    fields = _layout(cloud.fields, step, bool(cloud.is_bigendian))
    if rows * columns == 0:
        return np.empty((rows, columns), fields)
    if (rows > 1 and row_step < columns * step) or size < (rows - 1) * row_step + columns * step:
        told = f"{columns} x {rows} points of {step} bytes with a row_step of {row_step}"
        raise ValueError(f"{told} do not lie in {size} bytes")
    data = np.ascontiguousarray(np.frombuffer(cloud.data, np.uint8))
    return np.ndarray((rows, columns), fields, data.data, 0, (row_step, step))


def _layout(fields: Sequence[Any], step: int, big_endian: bool) -> np.dtype[Any]:
    order = ">" if big_endian else "<"
    wanted = [field for field in fields if field.name in ("x", "y", "z", *_REFLECTANCES)]
    for field in wanted:
        if field.datatype not in _TYPES or field.count > 1:
            raise ValueError(f"field {field.name} has type {field.datatype} and count {field.count}")
        if field.offset + np.dtype(_TYPES[field.datatype]).itemsize > step:
            raise ValueError(f"field {field.name} at byte {field.offset} ends after the point's {step} bytes")
    names, offsets = [field.name for field in wanted], [field.offset for field in wanted]
    if len(set(names)) != len(names):
        raise ValueError("has two fields of one name")
    formats = [order + _TYPES[field.datatype] for field in wanted]
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": step})


def _shares(values: Array) -> F32:
    return values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max if values.dtype.kind in "iu" else 1)
