"""ONNX Runtime behind one door: sessions bound to fixed buffers, on the host or a device, errors translated once.

With `pools` the only module that imports onnxruntime. Sessions are made from bytes that were hashed, never from paths.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from edgefuse import device as devices
from edgefuse.config import Provider
from edgefuse.device import Device, DeviceArray
from edgefuse.errors import BundleError, DeviceError
from edgefuse.pools import SPIN_US, Pool, bounded_spin, found_shared, pool
from edgefuse.types import Array

WARM_UPS = 4  # runs: at least one more than any ONNX Runtime does before it launches a CUDA graph that it has captured
_LOG = logging.getLogger("edgefuse")

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(bool)": "bool",
}


class Port(Struct, frozen=True):
    """One input or output of a graph: dtype name, and shape with None for a free axis."""

    dtype: str
    shape: tuple[int | None, ...]


class Placement(Struct, frozen=True):
    """Who computes graphs: `providers` with their options, the first one asked first; and on which device, None: here.

    captured  ONNX Runtime makes a CUDA graph of each graph that it can
    builds    where TensorRT keeps what it has to build of each graph first, which takes its time and is told
    """

    name: Provider
    providers: tuple[tuple[str, Mapping[str, str]], ...]
    device: Device | None = None
    captured: bool = False
    builds: Path | None = None


CPU = Placement("cpu", (("CPUExecutionProvider", {}),))


class Session:
    """One graph. `inputs` and `outputs` describe it; `bind` fixes its buffers; `run` computes from them."""

    def __init__(self, model: bytes, place: str, *, one_thread: bool = False, on: Placement = CPU) -> None:
        """Load a graph from bytes; a BundleError naming `place` when ONNX Runtime refuses it.

        one_thread: of a graph so small that waking a second thread takes longer than the work that it would do.
        on: who computes it. A DeviceError where a device's provider does not take it.
        """
        self._place, self._on = place, on
        if on.builds is not None:
            _LOG.warning("%s: TensorRT builds it for this device", place)
        self._again = partial(_open, model, one_thread, replace(on, captured=False)) if on.captured else None
        with _translated(place, on):
            self._session = self._opened(model, one_thread)
            self.inputs = {port.name: _port(port) for port in self._session.get_inputs()}
            self.outputs = {port.name: _port(port) for port in self._session.get_outputs()}
        self._binding: Any = None
        self._options = None if on.device is None else _queued()
        self._elsewhere = self._options if self._again is None else _queued(gpu_graph_id="-1")
        self._thread = threading.local()

    @property
    def captured(self) -> bool:
        """Is it one CUDA graph?"""
        return self._again is not None

    def _opened(self, model: bytes, one_thread: bool) -> Any:
        """As one CUDA graph, where that is wanted and can be: not where a node runs on the host."""
        try:
            return _open(model, one_thread, self._on)
        except Exception as error:
            if self._again is None:
                raise
            return self._apart(error)

    def _apart(self, error: Exception) -> Any:
        """Not as one CUDA graph, and why."""
        assert self._again is not None
        again, self._again = self._again, None
        _LOG.info("%s: not as one CUDA graph: %s", self._place, _refusal(error))
        return again()

    def expect(self, inputs: Mapping[str, Port], outputs: Mapping[str, Port]) -> None:
        """Refuse a graph whose interface is not the declared one; a BundleError naming the port.

        An axis that the graph leaves free fits any length.
        """
        for side, have, want in (("input", self.inputs, inputs), ("output", self.outputs, outputs)):
            if set(have) != set(want):
                raise BundleError(f"{side}s are {sorted(have)}, the manifest needs {sorted(want)}", place=self._place)
            for name, port in want.items():
                if not _fits(have[name], port):
                    raise BundleError(f"{side} {name!r} is {_words(have[name])}, not {_words(port)}", place=self._place)

    def bind(self, inputs: Mapping[str, Array | DeviceArray], outputs: Mapping[str, Array | DeviceArray]) -> None:
        """Fix the buffers that `run` reads and writes; C-contiguous arrays, kept alive here, never copied."""
        with _translated(self._place):
            binding = self._session.io_binding()
            for name, array in inputs.items():
                binding.bind_input(name, *self._where(array))
            for name, array in outputs.items():
                binding.bind_output(name, *self._where(array))
        self._binding, self._kept = binding, (dict(inputs), dict(outputs))

    def _where(self, array: Array | DeviceArray) -> tuple[Any, ...]:
        """An array as ONNX Runtime binds it."""
        if isinstance(array, DeviceArray):
            index = 0 if self._on.device is None else self._on.device.index
            return devices.MEMORY, index, array.dtype.type, array.shape, array.address
        return "cpu", 0, array.dtype.type, array.shape, array.ctypes.data

    def run(self) -> None:
        """Compute the bound outputs from the bound inputs; on a device that is queued, and nobody waits.

        Its CUDA graph is launched in the thread that warmed it up: in any other one node by node, as ONNX Runtime would
        capture a graph for each, with whatever else is queued meanwhile.
        """
        options = self._elsewhere if self._again is not None and not hasattr(self._thread, "warm") else self._options
        try:  # not `with`: that takes as long as a small graph
            self._session.run_with_iobinding(self._binding, options)
        except Exception as error:
            raise BundleError(_refusal(error), place=self._place) from error

    def warm_up(self) -> None:
        """Run until nothing is made for the first time any more; on a device a DeviceError where it cannot be run.

        To be called in the thread of the ticks, for the sake of CUDA graphs.
        """
        self._thread.warm = True
        try:
            self._run_often()
        except DeviceError as error:
            if self._again is None:
                raise
            with _translated(self._place, self._on):
                self._session = self._apart(error)
            self.bind(*self._kept)
            self._run_often()

    def _run_often(self) -> None:
        with _translated(self._place, self._on):
            for _ in range(1 if self._on.device is None else WARM_UPS):
                self._session.run_with_iobinding(self._binding, self._options)
        if self._on.device is not None:
            self._on.device.wait()

    def compute(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Compute from arrays given by name, without binding: for checks, not for the tick."""
        with _translated(self._place):
            values = self._session.run(list(self.outputs), dict(inputs))
        return dict(zip(self.outputs, (np.asarray(v) for v in values), strict=True))


def _open(model: bytes, one_thread: bool, on: Placement) -> Any:
    try:
        return _session(model, pool(), one_thread, on)
    except RuntimeError as error:
        if "using a global thread pool" not in str(error):
            raise
        return _session(model, found_shared(), one_thread, on)


def _session(model: bytes, ours: Pool, one_thread: bool, on: Placement) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.use_deterministic_compute = True
    options.use_per_session_threads = not ours.shared
    if not ours.shared:
        options.intra_op_num_threads = 1 if one_thread or on.device is not None else ours.threads
        options.inter_op_num_threads = 1
        spin = ("spin_duration_us", str(SPIN_US)) if bounded_spin() else ("allow_spinning", "0")
        options.add_session_config_entry(f"session.intra_op.{spin[0]}", spin[1])
    # Without this ONNX Runtime sniffs the bytes and would also take its own binary format, which it does not check.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # Not `session.set_denormal_as_zero`: it would change the arithmetic of the caller's thread. Inputs are flushed.
    graph = {"enable_cuda_graph": "1"} if on.captured else {}
    asked = [(name, {**given, **graph}) for name, given in on.providers]
    session = ort.InferenceSession(model, options, providers=asked, enable_fallback=0)
    if asked[0][0] not in session.get_providers():  # where its libraries are missing, it goes on without a word to us
        raise DeviceError(f"ONNX Runtime has {asked[0][0]}, but cannot load it: its own log says why", place=on.name)
    return session


def _queued(**entries: str) -> Any:
    """Options of a run that is queued on our stream, and not waited for."""
    import onnxruntime as ort

    options = ort.RunOptions()
    for key, value in {"disable_synchronize_execution_providers": "1", **entries}.items():
        options.add_run_config_entry(key, value)
    return options


@contextmanager
def _translated(place: str, on: Placement = CPU) -> Iterator[None]:
    """Every failure of ONNX Runtime as a BundleError; malformed graphs raise far more than its own exceptions.

    on: where a device's provider is at fault, it is a DeviceError: another one may take the same graph.
    """
    try:
        yield
    except DeviceError:
        raise
    except Exception as error:
        raise (BundleError if on.device is None else DeviceError)(_refusal(error), place=place) from error


def _refusal(error: Exception) -> str:
    return f"ONNX Runtime refuses it: {' '.join(str(error).split())[:400]}"


def _fits(have: Port, want: Port) -> bool:
    if have.dtype != want.dtype or len(have.shape) != len(want.shape):
        return False
    return all(mine in (None, asked) for mine, asked in zip(have.shape, want.shape, strict=True))


def _port(node: Any) -> Port:
    shape = tuple(axis if isinstance(axis, int) else None for axis in node.shape)
    return Port(_DTYPES.get(node.type, node.type), shape)


def _words(port: Port) -> str:
    return f"{port.dtype} [{', '.join('?' if axis is None else str(axis) for axis in port.shape)}]"
