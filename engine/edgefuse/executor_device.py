"""An executor on a device: all encoders are queued, and what was wrong with them is known once the answer is there."""

from __future__ import annotations

from collections.abc import Sequence

from edgefuse.bundle import Bundle
from edgefuse.device import DeviceArray
from edgefuse.encode_device import DeviceEncoder
from edgefuse.executors import Executor
from edgefuse.head_device import DeviceHead
from edgefuse.plan import StreamPlan
from edgefuse.session import Placement
from edgefuse.stopwatch import Stopwatch
from edgefuse.types import Judged, Reason


class OnDevice(Executor):
    """Queues each new sample once; a tick waits for the device when it takes the answer, and not before."""

    def __init__(
        self,
        bundle: Bundle,
        plans: Sequence[StreamPlan],
        places: Sequence[DeviceArray],
        head: DeviceHead,
        on: Placement,
    ) -> None:
        """A DeviceError where the device cannot run one of the encoders."""
        pairs = zip(plans, places, strict=True)
        self._encoders = [DeviceEncoder(bundle, plan, place, head.tray, on) for plan, place in pairs]
        self._names = [plan.name for plan in plans]

    def embed(self, i: int, verdict: Judged, t_ns: int, watch: Stopwatch) -> Judged:
        encoder, sample = self._encoders[i], verdict.sample
        if sample is None:
            return verdict
        if not encoder.holds(sample):
            encoder.queue(sample)
            watch.lap("encode", self._names[i])
        return verdict if encoder.problem is None else verdict.lost(encoder.problem, sample.number)

    def found(self) -> dict[int, Reason]:
        told = enumerate(encoder.look() for encoder in self._encoders)
        return {i: problem for i, problem in told if problem is not None}

    def forget(self) -> None:
        for encoder in self._encoders:
            encoder.forget()
