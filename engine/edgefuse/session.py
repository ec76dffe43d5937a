"""ONNX Runtime behind one door: its thread pools, sessions bound to fixed buffers, errors translated once.

The only module that imports onnxruntime. Sessions are made from bytes that were hashed, never from paths.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgefuse.errors import BundleError
from edgefuse.types import Array

PROVIDERS = ("CPUExecutionProvider",)

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(bool)": "bool",
}


@dataclass(frozen=True, slots=True)
class Pool:
    """Whether all sessions share one thread pool or each has its own, how large, and why."""

    shared: bool
    threads: int
    reason: str


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output of a graph: dtype name, and shape with None for a free axis."""

    dtype: str
    shape: tuple[int | None, ...]


SPIN_US = 50  # that an idle thread of a pool waits for the next operator, before it sleeps
_BOUNDED_SPIN = (1, 26)  # the first ONNX Runtime that can be told so
_decided: list[Pool] = []  # in a process with a shared pool no session may have its own, so there is one decision


def pool(threads: int = 0, *, shared: bool = True) -> Pool:
    """The thread pools of this process; the first call decides, with `threads` threads or one a core.

    By its defaults ONNX Runtime spins for tens of milliseconds after each graph: the encoders' pools would spin against
    each other, which costs several times the work, and keep a core busy between the ticks. Where spinning can be
    bounded each session has a pool of its own. An older ONNX Runtime gets one shared pool; then it refuses every
    session that wants its own, so an application that makes such sessions later says shared=False, and spinning is off.
    """
    if not _decided:
        _decided.append(_make_pool(threads or cores(), shared))
    return _decided[0]


def _make_pool(threads: int, shared: bool) -> Pool:
    import onnxruntime as ort

    if _version() >= _BOUNDED_SPIN:
        return Pool(False, threads, f"a pool for each session, spinning for {SPIN_US} us at most")
    if not shared:
        return Pool(False, threads, "the configuration asks for own pools: spinning off")
    if not hasattr(ort, "set_global_thread_pool_sizes"):
        return Pool(False, threads, f"onnxruntime {ort.__version__} has no shared pool: own pools, spinning off")
    try:
        ort.set_global_thread_pool_sizes(threads, 1)
    except Exception as error:  # noqa: BLE001 (its exceptions have no common base of their own)
        # It refuses a second pool; then there is a first one, which serves us as well.
        made = "already been created" in str(error)
        return _found(threads) if made else Pool(False, threads, f"no shared pool ({error}), spinning off")
    return Pool(True, threads, "one pool shared by all sessions")


def _found(threads: int) -> Pool:
    return Pool(True, threads, "the pool that this process had made before")


@functools.cache
def cores() -> int:
    """Those that this process may run on, as it was first asked."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version() -> tuple[int, ...]:
    return tuple(int(part) for part in runtime_version().split(".")[:2])


def runtime_version() -> str:
    """The version of ONNX Runtime that will compute the graphs."""
    import onnxruntime as ort

    return str(ort.__version__)


class Session:
    """One graph. `inputs` and `outputs` describe it; `bind` fixes its buffers; `run` computes from them."""

    def __init__(self, model: bytes, place: str, *, one_thread: bool = False) -> None:
        """Load a graph from bytes; a BundleError naming `place` when ONNX Runtime refuses it.

        one_thread: of a graph so small that waking a second thread takes longer than the work that it would do.
        """
        self._place = place
        with _translated(place):
            self._session = _open(model, one_thread)
            self.inputs = {port.name: _port(port) for port in self._session.get_inputs()}
            self.outputs = {port.name: _port(port) for port in self._session.get_outputs()}
        self._binding: Any = None

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

    def bind(self, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> None:
        """Fix the buffers that `run` reads and writes; C-contiguous arrays, kept alive here, never copied."""
        with _translated(self._place):
            binding = self._session.io_binding()
            for name, array in inputs.items():
                binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
            for name, array in outputs.items():
                binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        self._binding, self._kept = binding, (dict(inputs), dict(outputs))

    def run(self) -> None:
        """Compute the bound outputs from the bound inputs."""
        with _translated(self._place):
            self._session.run_with_iobinding(self._binding)

    def compute(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Compute from arrays given by name, without binding: for checks, not for the tick."""
        with _translated(self._place):
            values = self._session.run(list(self.outputs), dict(inputs))
        return dict(zip(self.outputs, (np.asarray(v) for v in values), strict=True))


def _open(model: bytes, one_thread: bool) -> Any:
    try:
        return _session(model, pool(), one_thread)
    except RuntimeError as error:
        if "using a global thread pool" not in str(error):
            raise
        _decided[:] = [_found(pool().threads)]
        return _session(model, pool(), one_thread)


def _session(model: bytes, ours: Pool, one_thread: bool) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.use_deterministic_compute = True
    options.use_per_session_threads = not ours.shared
    if not ours.shared:
        options.intra_op_num_threads = 1 if one_thread else ours.threads
        options.inter_op_num_threads = 1
        bounded = _version() >= _BOUNDED_SPIN
        spin = ("spin_duration_us", str(SPIN_US)) if bounded else ("allow_spinning", "0")
        options.add_session_config_entry(f"session.intra_op.{spin[0]}", spin[1])
    # Without this ONNX Runtime sniffs the bytes and would also take its own binary format, which it does not check.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # Not `session.set_denormal_as_zero`: it would change the arithmetic of the caller's thread. Inputs are flushed.
    return ort.InferenceSession(model, options, providers=list(PROVIDERS), enable_fallback=0)


@contextmanager
def _translated(place: str) -> Iterator[None]:
    """Every failure of ONNX Runtime as a BundleError; malformed graphs raise far more than its own exceptions."""
    try:
        yield
    except Exception as error:
        text = " ".join(str(error).split())
        raise BundleError(f"ONNX Runtime refuses it: {text[:400]}", place=place) from error


def _fits(have: Port, want: Port) -> bool:
    if have.dtype != want.dtype or len(have.shape) != len(want.shape):
        return False
    return all(mine in (None, asked) for mine, asked in zip(have.shape, want.shape, strict=True))


def _port(node: Any) -> Port:
    shape = tuple(axis if isinstance(axis, int) else None for axis in node.shape)
    return Port(_DTYPES.get(node.type, node.type), shape)


def _words(port: Port) -> str:
    return f"{port.dtype} [{', '.join('?' if axis is None else str(axis) for axis in port.shape)}]"
