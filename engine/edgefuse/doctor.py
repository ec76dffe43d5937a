"""Doctor: what this machine gives the engine, first of all which kernels, and the reason for every automatic choice."""

from __future__ import annotations

import os
import platform
from importlib import metadata, resources
from pathlib import Path

from edgefuse import kernels
from edgefuse.session import pool

RUNTIME = ("numpy", "onnxruntime", "PyYAML", "pydantic", "opencv-python-headless")


def shipped_bundle() -> Path:
    """The reference bundle that travels in the package."""
    return Path(str(resources.files("edgefuse") / "data" / "site.efb"))


def examine() -> dict[str, object]:
    """Everything a bug report needs, JSON-ready, with the kernels first."""
    backend = kernels.backend()
    shared = pool()
    return {
        "kernels": {"backend": backend.name, "isa": backend.isa, "reason": backend.reason},
        "thread_pool": {"shared": shared.shared, "threads": shared.threads, "reason": shared.reason},
        "edgefuse": installed("edgefuse"),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "packages": {name: installed(name) for name in RUNTIME},
        "reference_bundle": shipped_bundle().is_file(),
    }


def describe(facts: dict[str, object]) -> str:
    """The facts as lines for a person."""
    backend, threads = facts["kernels"], facts["thread_pool"]
    assert isinstance(backend, dict) and isinstance(threads, dict)
    first = f"kernels      {backend['backend']} ({backend['isa']}): {backend['reason']}"
    rest = [
        f"{name:<12} {value}" for name, value in facts.items() if name not in ("kernels", "thread_pool", "packages")
    ]
    packages = facts["packages"]
    assert isinstance(packages, dict)
    listed = ", ".join(f"{name} {version}" for name, version in packages.items())
    return "\n".join(
        [first, f"thread pool  {threads['threads']} threads: {threads['reason']}", *rest, f"packages     {listed}"]
    )


def installed(name: str) -> str:
    """The version of a package, or that there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
