"""Captured: all that a fusion queues as one CUDA graph, launched as a whole, where that answers as one by one.

The head is ONNX Runtime's, which captures its own graph: its runs may queue what must not be played twice.
"""

from __future__ import annotations

import logging

import numpy as np

from edgefuse.errors import BundleError, DeviceError
from edgefuse.fuse_device import DeviceFusion
from edgefuse.head_device import DeviceHead
from edgefuse.reference import ABSENT, PRESENT
from edgefuse.types import F32

_LOG = logging.getLogger("edgefuse")


def capture(fusion: DeviceFusion, head: DeviceHead) -> None:
    """One graph is launched from now on; not where the host joins, nor where anything refuses or differs.

    Which streams are present is read from device memory, so that one graph does for all; that is tried, too.
    """
    if not fusion.on_device:
        return
    fusion.try_on(np.sin(np.arange(fusion.size, dtype=np.float32)))
    try:
        apart = _answers(fusion, head)
        fusion.capture()
        together = _answers(fusion, head)
    except (BundleError, DeviceError) as error:
        _give_up(fusion, str(error))
        return
    if not np.array_equal(apart, together):
        _give_up(fusion, "it answers otherwise")


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


def _give_up(fusion: DeviceFusion, why: str) -> None:
    fusion.launch = None
    _LOG.info("the fusion is launched step by step, not as one CUDA graph: %s", why)
