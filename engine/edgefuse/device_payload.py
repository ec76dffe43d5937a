"""Payloads that are on a device already: taken there without a way over the host, and looked at there.

A picture, a depth picture or a cloud stays; what is small, a fix or a vector, is brought to the host at once.
"""

from __future__ import annotations

import contextlib
import math
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgefuse.device import Device, DeviceArray
from edgefuse.device_looks import DeviceLooks, Look, Place
from edgefuse.errors import DeviceError
from edgefuse.types import Array

KINDS = ("camera", "depth", "lidar")  # that stay
_DEFAULT_STREAM = 1  # what CUDA's array interface calls the legacy default stream


class DevicePayload:
    """As much of an array as contracts, checks and preprocessing ask for; dense, in device memory."""

    def __init__(self, array: DeviceArray, looks: DeviceLooks) -> None:
        self.array, self.looks = array, looks
        self.dtype, self.shape, self.ndim = array.dtype, array.shape, len(array.shape)
        self.size, self.nbytes = array.size, array.nbytes
        self.queued: dict[Look, Place] = {}
        looks.expect(self)

    def __len__(self) -> int:
        return self.shape[0]

    def host(self) -> Array:
        """A copy on the host, for which it waits."""
        values: Array = np.empty(self.shape, self.dtype)
        self.looks.device.download(values, self.array)
        self.looks.device.wait()
        return values


def host_of(payload: Any) -> Array:
    """A payload as the host reads it: itself, or a copy of what is on a device."""
    return payload.host() if isinstance(payload, DevicePayload) else payload


def interface_of(payload: object) -> Mapping[str, Any] | None:
    """What an array on a GPU tells of itself (CUDA's array interface: torch, CuPy, Numba); None of anything else."""
    told = getattr(payload, "__cuda_array_interface__", None)
    return told if isinstance(told, Mapping) else None


def taken(payload: object, told: Mapping[str, Any], looks: DeviceLooks, *, copy: bool) -> DevicePayload | None:
    """A payload on the device by its interface, our own copy or the thing itself.

    None where its layout is not ours, or its memory not this device's. What its owner has queued so far is waited for
    on the device, and what it queues from now on waits for our copy. copy: also made where its rows are not dense.
    """
    shape, dtype, address = tuple(told["shape"]), np.dtype(told["typestr"]), int(told["data"][0])
    inner = math.prod(shape[1:]) * dtype.itemsize
    strides = told.get("strides") or _dense(shape, dtype)
    if not shape or told.get("mask") is not None or strides[1:] != _dense(shape, dtype)[1:] or strides[0] < inner:
        return None
    if math.prod(shape) == 0:  # has no memory, and nothing to be copied
        return DevicePayload(looks.device.empty(shape, dtype), looks)
    aligned = address % dtype.itemsize == strides[0] % dtype.itemsize == 0
    last = address + (shape[0] - 1) * strides[0] + inner - 1
    if not aligned or not looks.device.holds(address) or not looks.device.holds(last):
        return None
    stream = told.get("stream", _DEFAULT_STREAM)
    if copy or strides[0] != inner or stream not in (None, _DEFAULT_STREAM):  # another one may be gone by then
        own = looks.device.empty(shape, dtype, lent=True)
        looks.device.take(own, address, inner, strides[0], shape[0], None if stream is None else int(stream))
        return DevicePayload(own, looks)
    if stream is not None:
        looks.device.after(_DEFAULT_STREAM)
    theirs = DevicePayload(DeviceArray(address, shape, dtype, payload), looks)
    if stream is not None:
        weakref.finalize(theirs, _give_back, looks.device, payload).atexit = False
    return theirs


def _give_back(device: Device, _owner: object) -> None:
    """What still reads somebody's memory comes before what they queue next; they are held until that is said."""
    with contextlib.suppress(DeviceError):
        device.before(_DEFAULT_STREAM)


def _dense(shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[int, ...]:
    return tuple(math.prod(shape[i + 1 :]) * dtype.itemsize for i in range(len(shape)))
