"""Encode on a device: a sample's way from the host to its embedding there, all of it queued, none of it waited for."""

from __future__ import annotations

import numpy as np

from edgefuse.bundle import Bundle
from edgefuse.device import Device, DeviceArray
from edgefuse.errors import BundleError
from edgefuse.plan import StreamPlan
from edgefuse.session import Placement, Port, Session
from edgefuse.staging import Staging
from edgefuse.tray import Tray
from edgefuse.types import Reason, Sample


class DeviceEncoder:
    """The encoder of one stream, writing its embedding to `embedding`, float32 [size] on the device.

    sample   the one whose embedding is there, or will be when the queue is done
    problem  why it is not usable, as far as that is known: of its values once the tray is brought, by `look`
    """

    def __init__(self, bundle: Bundle, plan: StreamPlan, embedding: DeviceArray, tray: Tray, on: Placement) -> None:
        """A DeviceError where the device cannot run it."""
        assert on.device is not None
        self._device: Device = on.device
        self._embedding, self._tray, self._flags = embedding, tray, tray.flags[plan.index]
        self._into, self._out_of = tray.flag(plan.index, 0), tray.flag(plan.index, 1)
        self._tensor = self._device.empty((1, *plan.tensor_shape), plan.tensor_dtype)
        self._staging = Staging(self._device, plan, self._tensor)
        self.forget()
        shape = (1, *plan.embedding_shape)
        self._session = Session(bundle[plan.encoder], bundle.place(plan.encoder), on=on)
        self._session.expect(
            {"input": Port(plan.tensor_dtype, self._tensor.shape)}, {"embedding": Port("float32", shape)}
        )
        self._session.bind({"input": self._tensor}, {"embedding": embedding.part(0, shape)})
        self._device.clear(self._tensor)
        self._session.warm_up()

    def holds(self, sample: Sample) -> bool:
        """Is the embedding that is there, or will be, the one of this very sample?"""
        return self.sample is sample

    def forget(self) -> None:
        """Whatever is there is nobody's."""
        self.sample: Sample | None = None
        self.problem: Reason | None = None
        self._unknown_since: int | None = None

    def queue(self, sample: Sample) -> None:
        """Queue everything from the payload, which passed its checks, to the embedding."""
        self.forget()
        self.sample = sample
        self._staging.bring(sample.payload)
        self._device.lap(f"copy and preprocess.{sample.stream}")
        if self._tensor.dtype.kind == "f":
            self._device.queue("count_bad", self._tensor, self._tensor.size, self._into)
        try:
            self._session.run()
        except BundleError as error:
            self._device.blame(error)
            self.problem = "graph_failed"
            return
        self._device.queue("count_bad", self._embedding, self._embedding.size, self._out_of)
        self._unknown_since = self._tray.brought
        self._device.lap(f"encode.{sample.stream}")

    def look(self) -> Reason | None:
        """What the tray tells for the first time to be wrong with the embedding."""
        if self._unknown_since is None or self._tray.brought == self._unknown_since:
            return None
        self._unknown_since = None
        self.problem = "non_finite" if bool(np.any(self._flags)) else None
        return self.problem
