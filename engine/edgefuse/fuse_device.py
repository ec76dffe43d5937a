"""Fuse on a device: the embeddings lie there, presence is a mask of bits there, and one launch joins them.

Operators whose kernels are the host's alone are computed there, and so is whatever is asked beside the tick: the
embeddings are fetched then, which waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgefuse.arguments import MAX_STREAMS
from edgefuse.device import Device, DeviceArray
from edgefuse.fusion_base import Fusion
from edgefuse.fusion_layout import Layout
from edgefuse.reference import ABSENT, PRESENT, SUBSTITUTED, Reduce
from edgefuse.types import F32, U8


class DeviceFusion(Fusion):
    """What `host` computes, from embeddings on a device into `out` there.

    places     where the encoders write, float32 [size] a stream
    on_device  whether the join is computed there, too
    launch     what `queue` queues as one CUDA graph, where it was captured: see `edgefuse.captured`
    """

    launch: Callable[[], None] | None = None
    _capturing = False

    def __init__(self, host: Fusion, layout: Layout | None, out: DeviceArray, device: Device) -> None:
        self._host, self._layout, self._out, self._device = host, layout, out, device
        self.embeddings, self.select, self.stand_ins = host.embeddings, host.select, host.stand_ins
        self.fused, self.wants_all, self.on_device = host.fused, host.wants_all, layout is not None
        sizes = [own.size for own in host.embeddings]
        starts = np.cumsum([0, *(-(-size // 64) * 64 for size in sizes)]).tolist() if layout is None else layout.offsets
        end = starts[-1] if layout is None else layout.packed.size
        self._packed = device.empty((end,), np.float32)
        device.clear(self._packed)
        self.places = [self._packed.part(at, (n,)) for at, n in zip(starts, sizes, strict=False)]
        self._sent = device.pinned((1,), np.uint32)
        self._mask = device.empty((1,), np.uint32)
        self._fused = device.pinned((host.fused.size,), np.float32)
        width = 0 if layout is None else layout.substitutes.shape[1]
        self._stand_ins = device.pinned((len(sizes), width), np.float32)
        self._there = device.empty(self._stand_ins.shape, np.float32)
        weights = None if layout is None else layout.weights
        self._weights = None if weights is None else device.put(weights)
        self._kernel = None if layout is None else self._kernel_of(layout)

    def run(self) -> None:
        """Queue it, step by step or as one graph."""
        if self._layout is None:
            self._by_host()
        else:
            self._sent[0] = mask_of(self.select.tolist())
            if SUBSTITUTED in self.select:
                self._stand_ins[:] = self._layout.substitutes
            (self.launch or self.queue)()
        self._device.lap("fuse")

    def queue(self) -> None:
        """Presence and stand-ins are brought to the device, then the kernel is launched."""
        assert self._kernel is not None
        self._device.upload(self._mask, self._sent)
        if self._capturing or SUBSTITUTED in self.select:
            self._device.upload(self._there, self._stand_ins)
        self._kernel()

    def capture(self) -> None:
        """From now on it is launched as one CUDA graph, that reads presence and stand-ins from pinned memory."""
        self._capturing = True
        try:
            self.launch = self._device.captured(self.queue)
        finally:
            self._capturing = False

    @property
    def size(self) -> int:
        """Values of all embeddings as they are packed."""
        return self._packed.size

    def try_on(self, values: F32) -> None:
        """Bring values [size] to where the encoders write."""
        self._device.upload(self._packed, values)
        self._device.wait()

    def fetch(self) -> None:
        for here, there in zip(self.embeddings, self.places, strict=True):
            self._device.download(here, there)
        self._device.wait()

    def rows(self) -> Sequence[F32]:
        self.fetch()
        return self._host.rows()

    def each(self, selects: U8, before: Callable[[U8], None] | None = None) -> F32:
        if len(selects):
            self.fetch()
        return self._host.each(selects, before)

    def through(self, selects: U8, weight: F32, bias: F32) -> Callable[[], F32] | None:
        """As of `Fusion`: all subsets in one launch, from the projections as they lie on the device."""
        layout, device = self._layout, self._device
        folded = layout is not None and layout.weights is not None and layout.theta is None
        if layout is None or not folded or len(selects) == 0 or selects.max() > 1:
            return None
        concat, reduce, streams = layout.operator.concat, layout.operator.reduce, selects.shape[1]
        bits = np.uint16(1) << np.arange(streams, dtype=np.uint16)
        rows = self._out if concat else device.empty((streams, layout.substitutes.shape[1]), np.float32)
        project = None if concat else self._projection(layout, Reduce.NONE, True, rows)
        masks, there = device.put(selects @ bits), (device.put(weight), device.put(bias))
        result = device.empty((len(selects), len(bias)), np.float32)
        out: F32 = device.pinned(result.shape, np.float32)
        width = layout.substitutes.shape[1]

        def run() -> F32:
            if project is not None:
                project()
            given = (rows, masks, len(selects), streams, width, concat, int(reduce), *there, len(bias), result)
            device.queue("subset_head", *given)
            device.download(out, result)
            device.wait()
            return out.copy()

        return run

    def _by_host(self) -> None:
        self.fetch()
        self._host.run()
        self._fused[:] = self._host.fused.reshape(-1)
        self._device.upload(self._out, self._fused)

    def _kernel_of(self, layout: Layout) -> Callable[[], None]:
        if layout.weights is None:
            return self._maps(layout)
        if layout.theta is None:
            return self._projection(layout, layout.operator.reduce, layout.operator.concat, self._out)
        rows = self._device.empty(layout.substitutes.shape, np.float32)
        project = self._projection(layout, Reduce.NONE, True, rows)
        theta = self._device.put(layout.theta if layout.theta.size else np.zeros(1, np.float32))
        given = (int(layout.operator.join), rows, self._mask, theta, *rows.shape, layout.dim, self._out)

        def run() -> None:
            project()
            self._device.queue("fuse_gate", *given)

        return run

    def _projection(self, layout: Layout, reduce: Reduce, concat: bool, out: DeviceArray) -> Callable[[], None]:
        assert self._weights is not None
        how = (self._there, self._mask, int(layout.operator.activation), int(reduce), concat, out)
        return self._device.projection(
            self._packed, layout.dims, layout.offsets, self._weights, layout.weight_offsets, *how
        )

    def _maps(self, layout: Layout) -> Callable[[], None]:
        operator, width = layout.operator, layout.substitutes.shape[1]
        how = (width, layout.cells, int(operator.activation), int(operator.reduce), operator.concat, self._out)
        given = (self._packed, layout.offsets, self._there, self._mask, *how)
        return lambda: self._device.queue("fuse_maps", *given)


def mask_of(select: Sequence[int]) -> int:
    """The presence of streams as bits: bit i where stream i is present, bit 16 + i where something stands in for it."""
    return sum(1 << (i if own == PRESENT else MAX_STREAMS + i) for i, own in enumerate(select) if own != ABSENT)
