"""Placement: who computes a bundle's graphs, and in whose memory; what the configuration asks for is tried in order."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from edgefuse.config import Provider, RunConfig
from edgefuse.device import Device
from edgefuse.errors import ConfigError, DeviceError
from edgefuse.pools import available_providers, has_plugin, preload, runtime_version
from edgefuse.session import CPU, Placement
from edgefuse.version import __version__

T = TypeVar("T")
_BUILT = "complete"
_LOG = logging.getLogger("edgefuse")

_NAMES: Mapping[Provider, str] = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}


class Refused(Struct, frozen=True):
    """A provider that was asked for and is not used, and why."""

    provider: Provider
    reason: str

    def __str__(self) -> str:
        return f"{self.provider}: {self.reason}"


def wanted(config: RunConfig, place: str) -> tuple[Provider, ...]:
    """The providers that the configuration allows, in order. A ConfigError where they cannot go together."""
    if config.device == "cpu":
        if other := [name for name in config.providers if name != "cpu"]:
            raise ConfigError(f"{other[0]} needs a device: cuda", place=f"{place}: providers")
        return ("cpu",)
    asked: tuple[Provider, ...] = config.providers or ("cuda",)
    if len(set(asked)) < len(asked) or "cpu" in asked[:-1]:
        raise ConfigError("each at most once, and cpu last: it is always there", place=f"{place}: providers")
    for key, off in (("executor", "inline"), ("deadline_ms", None)):
        if getattr(config, key) != off:
            raise ConfigError("not with a device: cuda, which no tick waits for anyway", place=f"{place}: {key}")
    return asked


def first_that_works(
    names: tuple[Provider, ...], make: Callable[[Provider], T], place: str
) -> tuple[T, tuple[Refused, ...]]:
    """What `make` gives for the first provider that takes it, and who did not; a ConfigError where none does."""
    refused: list[Refused] = []
    for name in names:
        made = _tried(make, name)
        if not isinstance(made, Refused):
            return made, tuple(refused)
        refused.append(made)
    told = "; ".join(map(str, refused))
    raise ConfigError(f"none can be had ({told}); name cpu last to go on without", place=f"{place}: providers")


def _tried(make: Callable[[Provider], T], name: Provider) -> T | Refused:
    try:
        return make(name)
    except DeviceError as error:
        return Refused(name, error.what if error.place == name else str(error))


def placement_of(name: Provider, config: RunConfig, bundle_sha256: str) -> Placement:
    """The placement of a provider. A DeviceError says why it cannot be had."""
    if name == "cpu":
        return CPU
    if _NAMES[name] not in available_providers():
        there = ", ".join(available_providers())
        raise DeviceError(f"ONNX Runtime {runtime_version()} was built without it; it has {there}", place=name)
    if has_plugin():  # the first of them queued on a stream of their own, which nothing here would wait for
        raise DeviceError(f"ONNX Runtime {runtime_version()} has it as a plugin, which is untried", place=name)
    preload()
    device = Device(int(config.device.partition(":")[2] or 0))
    cuda = (_NAMES["cuda"], cuda_options(device))
    if name == "cuda":
        return Placement(name, (cuda,), device, config.cuda_graphs)
    engines = _cache(config) / "tensorrt" / engines_key(device, bundle_sha256)
    trt = (_NAMES[name], tensorrt_options(device, engines))
    return Placement(name, (trt, cuda), device, builds=None if _there(engines, name) else engines)


def built(on: Placement) -> None:
    """All that had to be built has been: the next time nothing is told of it."""
    if on.builds is not None:
        (on.builds / _BUILT).touch()


def cuda_options(device: Device) -> dict[str, str]:
    """On our own stream; algorithms that do not depend on what was quickest that day; float32 as float32."""
    return {
        "device_id": str(device.index),
        "user_compute_stream": str(device.stream),
        "cudnn_conv_algo_search": "HEURISTIC",
        "use_tf32": "0",
    }


def tensorrt_options(device: Device, engines: Path) -> dict[str, str]:
    """On our own stream, with what was built kept for the next time. Its switches are `True` and `False`, not 1, 0."""
    return {
        "device_id": str(device.index),
        "user_compute_stream": str(device.stream),
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(engines),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(engines),
    }


def engines_key(device: Device, bundle_sha256: str) -> str:
    """Another name for every bundle, device, driver and version: what was built for one does not fit another."""
    from edgefuse import gpu_facts

    facts, libraries = device.facts, gpu_facts.examine().get("libraries", {})
    told = [bundle_sha256, __version__, runtime_version(), str(libraries.get("libnvinfer"))]
    told += [str(facts[name]) for name in ("name", "compute_capability", "driver", "runtime")]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:32]


def _there(engines: Path, name: str) -> bool:
    """Has all been built? If not, that is told, and room made for it: nobody else's, as engines are programs."""
    try:
        engines.mkdir(mode=0o700, parents=True, exist_ok=True)
        own = engines.stat()
    except OSError as error:
        raise DeviceError(f"{engines}: cannot keep engines there: {error.strerror or error}", place=name) from error
    if own.st_uid != os.getuid() or own.st_mode & 0o022:
        raise DeviceError(f"{engines}: others may write engines there", place=name)
    if (engines / _BUILT).exists():
        return True
    _LOG.warning("TensorRT has not built all yet for this bundle on this device: minutes, once; kept in %s", engines)
    return False


def _cache(config: RunConfig) -> Path:
    if config.cache_dir is not None:
        return Path(config.cache_dir).expanduser()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "edgefuse"
