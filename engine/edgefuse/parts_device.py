"""Parts on a device: model, executor and looks of a bundle, put together there; imported where a GPU is asked for."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator

from edgefuse.bundle import Bundle
from edgefuse.captured import capture
from edgefuse.device_looks import DeviceLooks
from edgefuse.errors import DeviceError
from edgefuse.executor_device import OnDevice
from edgefuse.fuse import KernelFusion, MapFusion, fusion_of
from edgefuse.fuse_device import DeviceFusion
from edgefuse.head_device import DeviceHead
from edgefuse.model import Model
from edgefuse.placement import built
from edgefuse.plan import Plan
from edgefuse.session import Placement
from edgefuse.tray import Tray

_LOADING = threading.Lock()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """While CUDA graphs are captured, memory or sessions that come or go would end that: loads are one at a time.

    Nor is garbage collected meanwhile, as an engine may be among it.
    """
    with _LOADING:
        collects = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if collects:
                gc.enable()


def parts_on(on: Placement, bundle: Bundle, plan: Plan, config_place: str) -> tuple[Model, OnDevice, DeviceLooks]:
    """Build them, `undisturbed`. A DeviceError says what the device does not take."""
    device = on.device
    assert device is not None
    host = fusion_of(bundle, plan.config.fusion_weights == "float16", config_place)
    if not host.wants_all:
        raise DeviceError("dynamic routing asks one encoder after the other, which is the host's work", place=on.name)
    outputs = {out.name: len(out.prior) for out in bundle.manifest.head.outputs}
    head = DeviceHead(bundle, host.fused, host.select, Tray(device, outputs, len(plan.streams)), on)
    layout = host.layout if isinstance(host, KernelFusion | MapFusion) else None
    fusion = DeviceFusion(host, layout, head.there.part(0, (host.fused.size,)), device)
    if plan.config.cuda_graphs:
        capture(fusion, head)
    executor = OnDevice(bundle, plan.streams, fusion.places, head, on)
    built(on)
    return Model(bundle, plan, fusion, head), executor, DeviceLooks(device)
