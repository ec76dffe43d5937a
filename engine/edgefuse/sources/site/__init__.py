"""The simulated railway construction site: a live source of stamped samples with the truth, and the training set."""

from edgefuse.sources.site.scene import ANCHOR, CAMERA_MOUNT_M, LABELS, OUTPUT_NAME
from edgefuse.sources.site.sensors import (
    CAMERA_HEIGHT,
    CAMERA_WIDTH,
    DEPTH_HEIGHT,
    DEPTH_RANGE_M,
    DEPTH_WIDTH,
    FIELD_RAD,
    HORIZON,
    LIDAR_AZIMUTHS,
    LIDAR_BEAMS,
    LIDAR_MOUNT_M,
)
from edgefuse.sources.site.source import TIMING, SiteSource, Snapshot, snapshot

__all__ = [
    "ANCHOR",
    "CAMERA_HEIGHT",
    "CAMERA_MOUNT_M",
    "CAMERA_WIDTH",
    "DEPTH_HEIGHT",
    "DEPTH_RANGE_M",
    "DEPTH_WIDTH",
    "FIELD_RAD",
    "HORIZON",
    "LABELS",
    "LIDAR_AZIMUTHS",
    "LIDAR_BEAMS",
    "LIDAR_MOUNT_M",
    "OUTPUT_NAME",
    "TIMING",
    "SiteSource",
    "Snapshot",
    "snapshot",
]
