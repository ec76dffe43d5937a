"""What ONNX Runtime this is, and the thread pools of its sessions: one decision for a process, with its reason."""

from __future__ import annotations

import contextlib
import functools
import io
import os

from msgspec import Struct

SPIN_US = 50  # that an idle thread of a pool waits for the next operator, before it sleeps
_BOUNDED_SPIN = (1, 26)  # the first ONNX Runtime that can be told so
_decided: list[Pool] = []  # in a process with a shared pool no session may have its own, so there is one decision


class Pool(Struct, frozen=True):
    """Whether all sessions share one thread pool or each has its own, how large, and why."""

    shared: bool
    threads: int
    reason: str


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

    if bounded_spin():
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


def bounded_spin() -> bool:
    """Can idle threads be told how long to spin?"""
    return _version() >= _BOUNDED_SPIN


def found_shared() -> Pool:
    """A session was refused a pool of its own: there is a shared one, which serves us as well."""
    _decided[:] = [_found(pool().threads)]
    return _decided[0]


def _version() -> tuple[int, ...]:
    return tuple(int(part) for part in runtime_version().split(".")[:2])


def runtime_version() -> str:
    """The version of ONNX Runtime that will compute the graphs."""
    import onnxruntime as ort

    return str(ort.__version__)


@functools.cache
def preload() -> None:
    """Load the libraries of CUDA that lie in packages of Python, where the system's loader would not look for them."""
    import onnxruntime as ort

    with contextlib.redirect_stdout(io.StringIO()):  # it tells what it does not find; whoever needs that will say so
        getattr(ort, "preload_dlls", lambda: None)()


def has_plugin() -> bool:
    """Is its CUDA provider the plugin?"""
    import onnxruntime as ort

    return "cuda-plugin-ep=" in getattr(ort, "get_build_info", lambda: "")()


def available_providers() -> tuple[str, ...]:
    """The execution providers that this ONNX Runtime was built with; what they need may be missing all the same."""
    import onnxruntime as ort

    return tuple(ort.get_available_providers())
