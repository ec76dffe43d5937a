"""Device: the memory of a GPU and the one stream that its work is queued on; the only importer of `_cuda`.

Nothing here waits for the device but `wait`. Arrays of a device have shapes and dtypes as NumPy's, and no values that a
host could read. Everything that a device refuses is a DeviceError with its words.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from msgspec import Struct

from edgefuse.errors import DeviceError, EdgefuseError
from edgefuse.laps import Laps
from edgefuse.traffic import Traffic
from edgefuse.types import U8, Array

_KINDS = {"float32": 0, "float16": 1}  # of weights, as the kernels count them
_OUT_OF_MEMORY = ("llocate memory", "out of memory", "ALLOC_FAILED")  # as ONNX Runtime and the libraries say it
MEMORY = "cuda"  # what ONNX Runtime calls the memory that addresses point into


class DeviceArray(Struct, frozen=True, eq=False):
    """An array in device memory, in C order, that begins at `address`; `owner` keeps its memory."""

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    owner: object

    def __repr__(self) -> str:
        return f"DeviceArray({self.dtype}{list(self.shape)} at {self.address:#x})"

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def part(self, begin: int, shape: tuple[int, ...]) -> DeviceArray:
        """A dense piece of this shape that begins at value number `begin`."""
        if begin < 0 or begin + math.prod(shape) > self.size:
            raise ValueError(f"values {begin} to {begin + math.prod(shape)} of {self.size}")
        return DeviceArray(self.address + begin * self.dtype.itemsize, shape, self.dtype, self.owner)


class _Memory:
    """Memory that is given back when nobody holds it."""

    def __init__(self, address: int, release: Callable[[int], None]) -> None:
        self.address = address
        weakref.finalize(self, release, address)


class Device:
    """One device and its stream; `stream` is the address that ONNX Runtime is given to queue on, too."""

    def __init__(self, index: int) -> None:
        """Open it. A DeviceError says why there is none."""
        self.index = index
        self.traffic = Traffic()
        self.laps: Laps | None = None  # where somebody wants to know what takes how long
        self._module = _module()
        self._own = self._asked(self._module.Device, index)
        self.stream: int = self._own.stream
        self.facts: Mapping[str, Any] = self._own.facts

    @property
    def place(self) -> str:
        return f"cuda:{self.index}"

    def empty(self, shape: Sequence[int], dtype: Any, *, lent: bool = False) -> DeviceArray:
        """Memory for an array; what is in it is anybody's guess.

        lent: for what `take` is to fill, which comes and goes; then neither waits for the device.
        """
        dtype, shape = np.dtype(dtype), tuple(shape)
        nbytes = max(1, math.prod(shape) * dtype.itemsize)
        take, back = ("lend", self._own.give_back) if lent else ("allocate", self._own.release)
        memory = _Memory(self._do(take, nbytes), back)
        return DeviceArray(memory.address, shape, dtype, memory)

    def pinned(self, shape: Sequence[int], dtype: Any) -> Array:
        """An array of the host's, zeros, that copies can be made from and into while the host goes on."""
        memory: U8 = self._do("pinned", max(1, math.prod(shape) * np.dtype(dtype).itemsize))
        memory[:] = 0
        return np.ndarray(shape, dtype, buffer=memory)

    def put(self, values: Array) -> DeviceArray:
        """A copy of an array on the device, now."""
        there = self.empty(values.shape, values.dtype)
        self.upload(there, np.ascontiguousarray(values))
        self.wait()
        return there

    def upload(self, to: DeviceArray, values: Array) -> None:
        """Queue a copy to the device; `values` must stay as they are until it is done, and be pinned to be quick."""
        _same(to, values)
        self.traffic.uploads += 1
        self.traffic.uploaded_bytes += values.nbytes
        self._do("upload", to.address, values)

    def download(self, to: Array, values: DeviceArray) -> None:
        """Queue a copy to the host; it is there after `wait`."""
        _same(values, to)
        self.traffic.downloads += 1
        self.traffic.downloaded_bytes += to.nbytes
        self._do("download", to, values.address)

    def copy(self, to: DeviceArray, values: DeviceArray) -> None:
        """Queue a copy on the device."""
        _same(to, values)
        self._do("copy", to.address, values.address, values.nbytes)

    def holds(self, address: int) -> bool:
        """Is this address in memory of this device?"""
        return bool(self._do("holds", address))

    def take(self, to: DeviceArray, address: int, row_bytes: int, stride: int, rows: int, owner: int | None) -> None:
        """Copy rows of somebody's memory, after what `owner`, a stream of theirs, has queued, before what follows.

        Without one the host waits for the copy, which is past all that is queued here.
        """
        self._do("take_rows", to.address, address, row_bytes, stride, rows, owner is not None, owner or 0)

    def clear(self, there: DeviceArray) -> None:
        """Queue zeros."""
        self._do("clear", there.address, there.nbytes)

    def after(self, stream: int) -> None:
        """What another stream has queued by now comes before what is queued here next."""
        self._do("after", stream)

    def before(self, stream: int) -> None:
        """What is queued here by now comes before what another stream queues next."""
        self._do("before", stream)

    def wait(self) -> None:
        """Until all that is queued is done. A DeviceError tells of everything that failed meanwhile."""
        self.traffic.waits += 1
        self._do("wait")

    def blame(self, error: EdgefuseError) -> None:
        """Is an error of somebody who works here the device's own? Then it is raised as that: lost, or no memory."""
        self.wait()
        if any(words in str(error) for words in _OUT_OF_MEMORY):
            raise DeviceError(str(error), place=self.place) from error

    def mark(self, again: int = -1) -> int:
        """A point in the queue, to be waited for or timed; `again` moves one that there is already."""
        return int(self._do("mark", again))

    def wait_for(self, mark: int) -> None:
        """Until all before a mark is done."""
        self._do("wait_for", mark)

    def elapsed_ms(self, begin: int, end: int) -> float:
        """Between two marks that are done."""
        return float(self._do("elapsed_ms", begin, end))

    def lap(self, stage: str) -> None:
        """A stage has been queued."""
        if self.laps is not None:
            self.laps.lap(stage)

    def captured(self, work: Callable[[], object]) -> Callable[[], None]:
        """What `work` queues, as one graph: calling what this gives queues all of it at once."""
        traffic, own = self.traffic, Traffic()
        self._do("begin_graph")
        self.traffic = own
        try:
            work()
        finally:
            self.traffic = traffic
            graph = self._do("end_graph")

        def launch() -> None:
            self._do("launch", graph)
            self.traffic.add(own)

        return launch

    def queue(self, kernel: str, *arguments: Any) -> None:
        """Queue a kernel by its name; arrays become addresses."""
        self._do(kernel, *(a.address if isinstance(a, DeviceArray) else a for a in arguments))

    def looks(self) -> Any:
        """Looks at one payload, to be gathered by their names and then queued together by `look`."""
        return self._module.Looks()

    def projection(
        self,
        x: DeviceArray,
        dims: Sequence[int],
        offsets: Sequence[int],
        weights: DeviceArray,
        weight_offsets: Sequence[int],
        substitutes: DeviceArray,
        mask: DeviceArray,
        activation: int,
        reduce: int,
        concat: bool,
        out: DeviceArray,
    ) -> Callable[[], None]:
        """`kernels.prepared_project` of arrays on the device; mask: uint32 [1], see `fuse_device.mask_of`."""
        kind, width = _KINDS[weights.dtype.name], substitutes.shape[1]
        layout = (x.address, list(dims), list(offsets), weights.address, kind, list(weight_offsets))
        how = (substitutes.address, mask.address, width, activation, reduce, concat, out.address)
        made = self._asked(self._module.Projection, self._own, *layout, *how)
        held = (made, x, weights, substitutes, mask, out)
        return lambda: self._asked(held[0].run)

    def _do(self, name: str, *arguments: Any) -> Any:
        return self._asked(getattr(self._own, name), *arguments)

    def _asked(self, of: Callable[..., Any], *arguments: Any) -> Any:
        """Every refusal of the device as a DeviceError."""
        try:
            return of(*arguments)
        except self._module.Error as error:
            raise DeviceError(str(error), place=self.place) from error


def _same(there: DeviceArray, here: Array | DeviceArray) -> None:
    if there.nbytes != here.nbytes or there.dtype != here.dtype:
        raise ValueError(f"{there.dtype} {there.shape} on the device, {here.dtype} {here.shape}")


def _module() -> ModuleType:
    """The module that was built where a CUDA compiler was found."""
    try:
        from edgefuse import _cuda
    except ImportError as error:
        raise DeviceError(f"the CUDA kernels were not built ({error})", place="cuda") from error
    return _cuda
