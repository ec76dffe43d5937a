"""A device on this host: the module `_cuda` from the same bindings, its stream emulated, built once for all tests."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import sysconfig
from functools import partial
from pathlib import Path
from types import ModuleType

import pybind11
import pytest

from edgefuse import device as devices
from edgefuse import placement
from edgefuse.config import RunConfig
from edgefuse.errors import BundleError, DeviceError
from edgefuse.session import Session

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted([*(ROOT / "csrc").rglob("*.*"), *(ROOT / "tests" / "cpp" / "emulated").rglob("*.*")])


@functools.cache
def module() -> ModuleType:
    """Build it where the sources are newer than what was built, and load it."""
    target = ROOT / "build" / "emulated" / f"_cuda{sysconfig.get_config_var('EXT_SUFFIX')}"
    if not target.exists() or target.stat().st_mtime < max(path.stat().st_mtime for path in SOURCES):
        compiler = shutil.which(os.environ.get("CXX", "c++"))
        if compiler is None:
            pytest.skip("no C++ compiler")
        _build(compiler, target)
    spec = importlib.util.spec_from_file_location("_cuda", target)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def _build(compiler: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    folders = [ROOT / "tests/cpp/emulated", ROOT / "csrc", pybind11.get_include(), sysconfig.get_path("include")]
    options = ["-std=c++17", "-O1", "-fvisibility=hidden", "-shared", "-fPIC", "-DEDGEFUSE_MODULE=_cuda"]
    part = target.with_suffix(f".{os.getpid()}")
    command = [compiler, *options, "-DEDGEFUSE_EMULATED", *(f"-I{own}" for own in folders)]
    files = sorted(map(str, (ROOT / "csrc" / "cuda").glob("bindings*.cpp")))
    subprocess.run([*command, *files, "-o", str(part)], check=True)
    part.replace(target)


def put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on `cuda` is the emulated device, and ONNX Runtime's host computes in its memory, in its order."""
    own = module()
    run = Session.run

    def in_order(self: Session) -> None:
        device = self._on.device
        if device is None:
            run(self)
            return
        try:
            device._own.call(partial(run, self))
        except own.Error as error:
            raise BundleError(f"ONNX Runtime refuses it: {error}", place=self._place) from error

    monkeypatch.setattr(devices, "_module", lambda: own)
    monkeypatch.setattr(devices, "MEMORY", "cpu")
    monkeypatch.setattr(placement, "available_providers", lambda: tuple(placement._NAMES.values()))
    monkeypatch.setattr(placement, "_NAMES", dict.fromkeys(placement._NAMES, "CPUExecutionProvider"))
    monkeypatch.setattr(placement, "has_plugin", lambda: False)
    monkeypatch.setattr(placement, "cuda_options", lambda device: {})
    monkeypatch.setattr(Session, "run", in_order)


def need_a_gpu() -> None:
    """Skip where this machine has none that ONNX Runtime and our kernels can use, and say what is missing.

    With EDGEFUSE_REQUIRE_GPU=1 that is a failure: `make gpu` is not to pass by testing nothing.
    """
    try:
        placement.placement_of("cuda", RunConfig(device="cuda"), "")
    except DeviceError as error:
        (pytest.fail if os.environ.get("EDGEFUSE_REQUIRE_GPU") else pytest.skip)(f"no GPU: {error}")


EACH = ("emulated", pytest.param("cuda", marks=pytest.mark.gpu))


def choose(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on `cuda` is the emulated device, or this machine's own."""
    if device == "emulated":
        put_in(monkeypatch)
    else:
        need_a_gpu()
