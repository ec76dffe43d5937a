"""Ours: the copies and kernels of a device, as contenders on arrays that lie there, with truths from the references."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from functools import partial

import numpy as np

from edgefuse import reference_maps
from edgefuse.algebra import Operator
from edgefuse.bench.kernels import Layer, multconcat_truth
from edgefuse.device import Device, DeviceArray
from edgefuse.fuse_device import mask_of
from edgefuse.fusion_layout import starts
from edgefuse.reference import Activation, Reduce
from edgefuse.types import F32, Array

from .turns import Contender

VALUE_BYTES = 4  # of a float32


def layer_of(dims: Sequence[int], width: int) -> Layer:
    """Random embeddings, weights and biases of streams of these lengths."""
    rng = np.random.default_rng(7)

    def draw(*shape: int) -> F32:
        return rng.standard_normal(shape, np.float32)

    ws = [draw(d, width) / np.float32(d**0.5) for d in dims]
    return Layer([draw(d) for d in dims], ws, [draw(width) for _ in dims])


def maps_of(streams: int, shape: Sequence[int]) -> F32:
    """Random feature maps, float32 [streams, *shape]."""
    return np.random.default_rng(8).standard_normal((streams, *shape), np.float32)


def copy(device: Device, nbytes: int) -> Contender:
    """A copy of so many bytes from device memory to device memory."""
    values = np.random.default_rng(6).integers(0, 256, nbytes, np.uint8)
    zeros = np.zeros_like(values)
    source, to = device.put(values), device.put(zeros)
    spoil = partial(_spoil, device, to, zeros)
    return Contender(lambda: device.copy(to, source), device, lambda: _fetched(device, to), values, 0.0, spoil=spoil)


def multconcat(device: Device, layer: Layer, dtype: type[np.generic]) -> Contender:
    """One launch of the projection, all streams present, on weights of this type."""
    n, width, dims = len(layer.xs), layer.bs[0].size, [x.size for x in layer.xs]
    flat = np.concatenate([np.concatenate([w.reshape(-1), b]) for w, b in zip(layer.ws, layer.bs, strict=True)])
    x, weights = device.put(np.concatenate(layer.xs)), device.put(flat.astype(dtype))
    offsets, weight_offsets = starts(dims).tolist(), starts([(d + 1) * width for d in dims]).tolist()
    out = _poisoned(device, (n + 1) * width)
    how = (int(Activation.RELU), int(Reduce.PRODUCT), True, out)
    stand_ins, mask = device.put(np.zeros((n, width), np.float32)), _all_present(device, n)
    run = device.projection(x, dims, offsets, weights, weight_offsets, stand_ins, mask, *how)
    truth = multconcat_truth(layer.rounded() if dtype is np.float16 else layer)
    spoil = partial(_spoil, device, out, np.full(out.shape, np.nan, np.float32))
    return Contender(run, device, lambda: _fetched(device, out), truth, spoil=spoil)


def fuse_maps(device: Device, operator: Operator, maps: F32, truth: F32, sets: int) -> Contender:
    """One launch that joins feature maps, float32 [streams, width, rows, columns], all present; of one set in turn."""
    n, width, cells = len(maps), maps.shape[1], math.prod(maps.shape[2:])
    offsets = [i * width * cells for i in range(n)]
    stand_ins, mask = device.put(np.zeros((n, width), np.float32)), _all_present(device, n)
    how = (width, cells, int(operator.activation), int(operator.reduce), operator.concat)
    turns = deque((device.put(maps), _poisoned(device, truth.size)) for _ in range(sets))

    def run() -> None:
        turns.rotate()
        x, out = turns[0]
        device.queue("fuse_maps", x, offsets, stand_ins, mask, *how, out)

    def spoil() -> None:
        for _, out in turns:
            _spoil(device, out, np.full(out.shape, np.nan, np.float32))

    counts = {"bytes": moved_bytes(operator, n, width, cells)}
    return Contender(run, device, lambda: _fetched(device, turns[0][1]), truth, counts=counts, spoil=spoil)


def sets_of(device: Device, nbytes: int) -> int:
    """So many sets of arrays of so many bytes that the cache has forgotten one when its turn comes again."""
    return 1 + math.ceil(2 * int(device.facts["cache_bytes"]) / nbytes)


def maps_truth(operator: Operator, maps: F32) -> F32:
    """What the reference in NumPy makes of them."""
    n, width, size = len(maps), maps.shape[1], maps[0].size
    out = np.full((n * operator.concat + (operator.reduce != Reduce.NONE)) * size, np.nan, np.float32)
    given = (maps.reshape(-1), starts([size] * n), np.zeros((n, width), np.float32), np.ones(n, np.uint8))
    how = (size // width, int(operator.activation), int(operator.reduce), operator.concat)
    reference_maps.fuse_maps(*given, *how, out)
    return out


def moved_bytes(operator: Operator, streams: int, width: int, cells: int) -> int:
    """What must be moved at least: every map is read once, and every map of the result written once."""
    written = streams * operator.concat + (operator.reduce != Reduce.NONE)
    return VALUE_BYTES * width * cells * (streams + written)


def _all_present(device: Device, streams: int) -> DeviceArray:
    return device.put(np.array([mask_of([1] * streams)], np.uint32))


def _poisoned(device: Device, size: int) -> DeviceArray:
    """Memory for float32 [size], NaN until somebody writes it."""
    return device.put(np.full(size, np.nan, np.float32))


def _spoil(device: Device, there: DeviceArray, values: Array) -> None:
    device.upload(there, values)
    device.wait()


def _fetched(device: Device, there: DeviceArray) -> Array:
    here: Array = np.empty(there.shape, there.dtype)
    device.download(here, there)
    device.wait()
    return here
