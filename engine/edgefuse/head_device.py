"""Head on a device: it reads the fused vector where it lies, and its outputs come back on the tray.

What is asked of the head beside the tick, its answers to many vectors at once, is still computed by the host.
"""

from __future__ import annotations

import math

import numpy as np

from edgefuse.bundle import Bundle
from edgefuse.errors import BundleError
from edgefuse.head import Head
from edgefuse.reference import PRESENT
from edgefuse.session import Placement, Session
from edgefuse.tray import Tray
from edgefuse.types import F32, U8


class DeviceHead(Head):
    """As `Head`; `there` is what it reads, float32 on the device, whose first part the fusion writes."""

    def __init__(self, bundle: Bundle, fused: F32, select: U8, tray: Tray, on: Placement) -> None:
        """A DeviceError where the device cannot run it."""
        super().__init__(bundle, fused, select)
        assert on.device is not None
        self._device, self.tray, self._width = on.device, tray, fused.size
        shape, spec = bundle.manifest.head_shape, bundle.manifest.head
        self.there = self._device.empty((math.prod(shape),), np.float32)
        self._device.clear(self.there)
        self._present = select if spec.presence_bits else None
        self._sent: F32 = self._device.pinned((len(select),), np.float32)
        self._queued = Session(bundle[spec.file], bundle.place(spec.file), on=on)
        self._queued.bind({"fused": self.there.part(0, (1, *shape))}, tray.places)
        self._queued.warm_up()

    def run(self) -> None:
        """Queue it: presence bits are brought to where it reads them, then its graph is run."""
        if self._present is not None:
            self._sent[:] = self._present == PRESENT
            self._device.upload(self.there.part(self._width, self._sent.shape), self._sent)
        try:
            self._queued.run()
        except BundleError as error:
            self._device.blame(error)
            raise
        self._device.lap("head")

    def outputs(self) -> dict[str, F32]:
        """What the last `run` gave, and all that was queued before it: the one time in a tick that the host waits."""
        self.tray.bring()
        return {name: values[0].copy() for name, values in self.tray.outputs.items()}
