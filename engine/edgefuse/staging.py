"""Staging: payloads on their way to a device, through pinned memory, and from there to what their encoder takes.

A picture, a depth picture and a cloud are brought to the encoder's size by our kernels on the device; what has no such
kernel is brought there by the host, as ever, and copied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgefuse.device import Device, DeviceArray
from edgefuse.device_payload import DevicePayload, host_of
from edgefuse.modalities.camera import ImageParams, window
from edgefuse.modalities.lidar import GridParams
from edgefuse.plan import StreamPlan
from edgefuse.types import U8, Array

Payload = Array | DevicePayload


@dataclass(slots=True)
class _Turn:
    """Pinned memory, and the mark in the queue after which it may be written again."""

    memory: U8
    mark: int = -1


class Staging:
    """The way of one stream's payloads. The host fills one buffer while the device still copies out of the other."""

    def __init__(self, device: Device, plan: StreamPlan, tensor: DeviceArray) -> None:
        self._device, self._plan, self._tensor = device, plan, tensor
        self._turns = [_Turn(device.pinned((1,), np.uint8)) for _ in range(2)]
        self._raw = device.empty((1,), np.uint8)
        self._used = device.empty((1,), np.int64)
        self._prepare = _ON_DEVICE.get(plan.modality.kind, Staging._by_host)

    def bring(self, payload: Payload) -> None:
        """Queue all that makes the tensor of a payload that passed its checks."""
        self._prepare(self, payload, self._plan.params)

    def send(self, values: Array, to: DeviceArray | None = None) -> DeviceArray:
        """Queue a copy of values, of any strides; tells where it goes: into `to`, or memory that the next one takes."""
        self._turns.reverse()
        turn = self._turns[0]
        if turn.mark >= 0:
            self._device.wait_for(turn.mark)
        if turn.memory.nbytes < values.nbytes:
            turn.memory = self._device.pinned((_roomy(values.nbytes),), np.uint8)
        there = self._room(values) if to is None else to
        pinned: Array = np.ndarray(there.shape, values.dtype, buffer=turn.memory)
        np.copyto(pinned, values.reshape(there.shape))
        self._device.upload(there, pinned)
        turn.mark = self._device.mark(turn.mark)
        return there

    def _room(self, values: Array) -> DeviceArray:
        if self._raw.nbytes < values.nbytes:
            self._raw = self._device.empty((_roomy(values.nbytes),), np.uint8)
        return DeviceArray(self._raw.address, values.shape, values.dtype, self._raw.owner)

    def _by_host(self, payload: Payload, params: Any) -> None:
        self.send(self._plan.modality.tensor_from(host_of(payload), params), self._tensor)

    def _picture(self, payload: Payload, params: ImageParams) -> None:
        at, stride, rows, cols = self._window(payload, params, 3)
        if (rows, cols) == (params.height, params.width):
            self._device.queue("copy_rows", self._tensor, at, 3 * cols, stride, rows)
        elif rows >= params.height and cols >= params.width:
            self._device.queue("picture_area", at, stride, rows, cols, self._tensor, params.height, params.width)
        else:
            self._by_host(payload, params)

    def _depth(self, payload: Payload, params: ImageParams) -> None:
        given = self._window(payload, params, 2)
        self._device.queue("depth_nearest", *given, self._tensor, params.height, params.width)

    def _cloud(self, payload: Payload, params: GridParams) -> None:
        area = (params.x_min_m, params.y_min_m, params.cell_m, list(params.z_edges_m), params.count_cap)
        points = payload.array if isinstance(payload, DevicePayload) else self.send(payload)
        out = (self._tensor, params.rows, params.cols, self._used)
        self._device.queue("lidar_grid", points, len(payload), *area, *out)

    def _window(self, payload: Payload, params: ImageParams, pixel: int) -> tuple[int, int, int, int]:
        """What the encoder is to see of a picture, on the device: address, bytes from row to row, rows, columns."""
        top, left, rows, cols = window(payload.shape, params)
        if isinstance(payload, DevicePayload):
            stride = pixel * payload.shape[1]
            return payload.array.address + top * stride + left * pixel, stride, rows, cols
        return self.send(payload[top : top + rows, left : left + cols]).address, pixel * cols, rows, cols


def _roomy(nbytes: int) -> int:
    """The next power of two: memory for each cloud that has a few points more would make every tick wait."""
    return 1 << max(0, nbytes - 1).bit_length()


_ON_DEVICE: Mapping[str, Callable[[Staging, Payload, Any], None]] = {
    "camera": Staging._picture,
    "depth": Staging._depth,
    "lidar": Staging._cloud,
}
