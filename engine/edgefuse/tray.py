"""Tray: what goes back from a device in one copy: the outputs of the head, and what was found wrong on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from edgefuse.arguments import I64
from edgefuse.device import Device, DeviceArray
from edgefuse.types import F32, U8

_ALIGNED = 256  # bytes: what kernels that read several values at a time may expect of an array
_FLAGS = 2  # of a stream: values that are not finite in what goes into its encoder, and in what comes out


class Tray:
    """Outputs by name, float32 [1, K], and flags int64 [N, 2], on a device and, after `bring`, here.

    brought  how often that was
    """

    def __init__(self, device: Device, sizes: Mapping[str, int], streams: int) -> None:
        self._device, self.brought = device, 0
        starts = np.cumsum([0, *(_room(8 * n) for n in (streams * _FLAGS, *sizes.values()))]).tolist()
        nbytes = starts[-1]
        self._there = device.empty((nbytes,), np.uint8)
        self._here: U8 = device.pinned((nbytes,), np.uint8)
        device.clear(self._there)
        self.flags: I64 = np.ndarray((streams, _FLAGS), np.int64, buffer=self._here)
        self.outputs: dict[str, F32] = {}
        self.places: dict[str, DeviceArray] = {}
        for (name, size), at in zip(sizes.items(), starts[1:-1], strict=True):
            self.outputs[name] = np.ndarray((1, size), np.float32, buffer=self._here, offset=at)
            self.places[name] = self._typed(at, (1, size), np.dtype(np.float32))

    def flag(self, stream: int, which: int) -> DeviceArray:
        """Where one flag lies on the device."""
        return self._typed(8 * (stream * _FLAGS + which), (1,), np.dtype(np.int64))

    def spoil(self) -> None:
        """Make the outputs NaN there, so that what is not written shows."""
        for name, values in self.outputs.items():
            values[:] = np.nan
            self._device.upload(self.places[name], values)

    def bring(self) -> None:
        """Wait for all that is queued, with one copy at the end of it."""
        self._device.download(self._here, self._there)
        self._device.lap("copy back")
        self._device.wait()
        self.brought += 1

    def _typed(self, at: int, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> DeviceArray:
        piece = self._there.part(at, (math.prod(shape) * dtype.itemsize,))
        return DeviceArray(piece.address, shape, dtype, piece.owner)


def _room(nbytes: int) -> int:
    return -(-nbytes // _ALIGNED) * _ALIGNED
