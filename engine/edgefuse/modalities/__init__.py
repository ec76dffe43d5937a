"""The modality kinds: one file each, and this table. A new kind is one file and one entry."""

from __future__ import annotations

from collections.abc import Mapping

from edgefuse.modalities.base import Modality
from edgefuse.modalities.camera import CAMERA
from edgefuse.modalities.depth import DEPTH
from edgefuse.modalities.gps import GPS
from edgefuse.modalities.lidar import LIDAR
from edgefuse.modalities.vector import VECTOR

KINDS: Mapping[str, Modality] = {m.kind: m for m in (CAMERA, DEPTH, LIDAR, GPS, VECTOR)}

__all__ = ["KINDS", "Modality"]
