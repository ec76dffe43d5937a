"""Doctor: what this machine gives the engine, first of all which kernels, and the reason for every automatic choice."""

from __future__ import annotations

import os
import platform
from importlib import metadata, resources
from pathlib import Path

from edgefuse import gpu_facts, kernels
from edgefuse.pools import pool
from edgefuse.ros.sockets import limit_bytes, too_small

_TOLD_APART = ("kernels", "thread_pool", "packages", "notes", "gpu")
RUNTIME = ("numpy", "onnxruntime", "PyYAML", "msgspec", "opencv-python-headless")


def shipped_bundle() -> Path:
    """The reference bundle that travels in the package."""
    return Path(str(resources.files("edgefuse") / "data" / "site.efb"))


def examine() -> dict[str, object]:
    """Everything a bug report needs, JSON-ready, with the kernels first."""
    backend = kernels.backend()
    shared = pool()
    gpu = gpu_facts.examine()
    sockets = [f"for `ros2:`, {problem}"] if (problem := too_small()) else []
    return {
        "kernels": {"backend": backend.name, "isa": backend.isa, "reason": backend.reason},
        "thread_pool": {"shared": shared.shared, "threads": shared.threads, "reason": shared.reason},
        "edgefuse": installed("edgefuse"),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "packages": {name: installed(name) for name in RUNTIME},
        "reference_bundle": shipped_bundle().is_file(),
        "rmem_max": limit_bytes(),
        "gpu": gpu or gpu_facts.NONE,
        "notes": [*sockets, *gpu_facts.notes(gpu)],
    }


def describe(facts: dict[str, object]) -> str:
    """The facts as lines for a person."""
    backend, threads, packages, notes, gpu = (facts[name] for name in _TOLD_APART)
    assert isinstance(backend, dict) and isinstance(threads, dict)
    assert isinstance(packages, dict) and isinstance(notes, list)
    plain = {name: value for name, value in facts.items() if name not in _TOLD_APART}
    lines = {
        "kernels": f"{backend['backend']} ({backend['isa']}): {backend['reason']}",
        "thread pool": f"{threads['threads']} threads: {threads['reason']}",
        **plain,
        **gpu_facts.lines(gpu),
        "packages": ", ".join(f"{name} {version}" for name, version in packages.items()),
    }
    width = max(map(len, lines)) + 1
    return "\n".join([*(f"{name:<{width}}{value}" for name, value in lines.items()), *(f"note: {n}" for n in notes)])


def installed(name: str) -> str:
    """The version of a package, or that there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
