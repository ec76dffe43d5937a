"""Captured: fusion and head as one CUDA graph, launched as a whole, where that gives what they give one by one."""

from __future__ import annotations

import logging
from functools import partial

import numpy as np

from edgefuse.device import Device
from edgefuse.errors import BundleError, DeviceError
from edgefuse.fuse_device import DeviceFusion
from edgefuse.head_device import DeviceHead
from edgefuse.reference import ABSENT, PRESENT
from edgefuse.types import F32

_LOG = logging.getLogger("edgefuse")


def capture(fusion: DeviceFusion, head: DeviceHead, device: Device) -> bool:
    """Is one graph launched for both from now on? Not where the host joins, nor where anything refuses or differs.

    Which streams are present is read from device memory, so that one graph does for all; that is tried, too.
    """
    if not fusion.on_device:
        return False
    fusion.try_on(np.sin(np.arange(fusion.size, dtype=np.float32)))
    try:
        apart = _answers(fusion, head)
        fusion.launched = True
        head.launch = device.captured(partial(_queue, fusion, head))
        together = _answers(fusion, head)
    except (BundleError, DeviceError) as error:
        return _given_up(fusion, head, str(error))
    return np.array_equal(apart, together) or _given_up(fusion, head, "it answers otherwise")


def _queue(fusion: DeviceFusion, head: DeviceHead) -> None:
    fusion.queue()
    head.queue()


def _answers(fusion: DeviceFusion, head: DeviceHead) -> F32:
    """From all streams, and from the first alone; each on a tray that held nothing but NaN before."""
    told: list[F32] = []
    for others in (PRESENT, ABSENT):
        fusion.select[:] = others
        fusion.select[0] = PRESENT
        head.tray.spoil()
        fusion.run()
        head.run()
        told += head.outputs().values()
    return np.concatenate(told)


def _given_up(fusion: DeviceFusion, head: DeviceHead, why: str) -> bool:
    fusion.launched, head.launch = False, None
    _LOG.info("fusion and head are launched one by one, not as one CUDA graph: %s", why)
    return False
