"""Facts: on which device, with which software, and how numbers must be read."""

from __future__ import annotations

import time
from typing import Any

from edgefuse.bench.kernel_peers import find
from edgefuse.device import Device
from edgefuse.doctor import installed
from edgefuse.gpu_facts import power_mode
from edgefuse.pools import runtime_version
from edgefuse.version import __version__


def facts_of(device: Device) -> dict[str, Any]:
    """JSON-ready; None of what is not told."""
    own, torch = device.facts, find("torch")
    return {
        "name": own["name"],
        "compute_capability": own["compute_capability"],
        "processors": own["processors"],
        "memory_bytes": own["memory_bytes"],
        "cache_bytes": own["cache_bytes"],
        "unified_memory": own["unified_memory"],
        "cuda_driver": cuda_version(own["driver"]),
        "cuda_runtime": cuda_version(own["runtime"]),
        "power_mode": power_mode(),
        "edgefuse": __version__,
        "onnxruntime": runtime_version(),
        "torch": installed("torch"),
        "torch_cuda": None if torch is None else torch.version.cuda,
        "triton": installed("triton"),
        "at_utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def cuda_version(number: int) -> str:
    """12040 is 12.4."""
    return f"{number // 1000}.{number % 1000 // 10}"


def is_real(facts: dict[str, Any]) -> bool:
    """Whether times mean anything: on the emulated device they do not."""
    return str(facts["name"]) != "emulated"
