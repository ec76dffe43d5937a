"""The one table of the kinds of fault: what the engine, its configuration and the docs know of each."""

from __future__ import annotations

from collections.abc import Mapping

from edgefuse.faults.base import Kind
from edgefuse.faults.camera import CAMERA_KINDS
from edgefuse.faults.depth import DEPTH_KINDS
from edgefuse.faults.gps import GPS_KINDS
from edgefuse.faults.lidar import LIDAR_KINDS
from edgefuse.faults.payload import PAYLOAD
from edgefuse.faults.timing import TIMING
from edgefuse.faults.transport import TRANSPORT

KINDS: Mapping[str, Kind] = {
    **TRANSPORT,
    **PAYLOAD,
    **TIMING,
    **CAMERA_KINDS,
    **DEPTH_KINDS,
    **LIDAR_KINDS,
    **GPS_KINDS,
}
