"""GPU facts: what a machine with an NVIDIA GPU has, a Jetson above all, and what it lacks, without touching the GPU."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from edgefuse.pools import available_providers
from edgefuse.told import text

ROOT = Path("/")
NONE = "none found"

# Jetson Linux (L4T), major number -> JetPack, as NVIDIA releases them.
JETPACK = {32: 4, 34: 5, 35: 5, 36: 6, 38: 7, 39: 7}
# Packages that write the same folder `onnxruntime`: of two, the one installed last is what gets imported.
PACKAGES = ("onnxruntime", "onnxruntime-gpu")
CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"

# What a provider loads when it is first used, and what brings it. Providers are listed as available without any of it.
LIBRARIES = {
    "libcuda": (CUDA, "the driver"),
    "libcudart": (CUDA, "the CUDA toolkit"),
    "libcudnn": (CUDA, "cuDNN"),
    "libnvinfer": (TENSORRT, "TensorRT"),
}
_FOLDERS = (
    *("usr/lib/*-linux-gnu", "usr/lib/aarch64-linux-gnu/nvidia", "usr/lib/aarch64-linux-gnu/tegra"),
    *("usr/lib64", "usr/lib/wsl/lib", "usr/local/lib", "usr/local/cuda/lib64", "usr/local/cuda/targets/*/lib"),
    *("usr/local/cuda-*/lib64", "usr/local/cuda-*/targets/*/lib"),
)
# Those that CUDA opens; nodes for debugging and profiling may well be closed to users.
_NODES = (
    *("dev/nvidia[0-9]*", "dev/nvidiactl", "dev/nvidia-uvm", "dev/nvmap"),
    *("dev/nvhost-gpu", "dev/nvhost-ctrl-gpu", "dev/nvhost-as-gpu", "dev/nvgpu/igpu0/ctrl"),
)
_GPU_CLOCKS = ("*.gpu", "*.gv11b", "gpu-gpc-*")  # of Orin and older, Xavier, Thor
_MOST_BYTES = 1 << 16  # of a file: these are all short, whatever lies in their place


@dataclass(frozen=True, slots=True)
class Runtime:
    """The ONNX Runtime of this Python: its packages with their versions, its providers, folders of libraries for it."""

    packages: dict[str, str]
    providers: tuple[str, ...]
    folders: tuple[Path, ...] = ()


def runtime() -> Runtime:
    """The one that is installed; NVIDIA's libraries may be packages beside it."""
    first = {name: next(iter(metadata.distributions(name=name)), None) for name in PACKAGES}
    found = {name: package for name, package in first.items() if package is not None}
    beside = {Path(str(package.locate_file(""))) for package in found.values()}
    folders = [Path(entry) for entry in os.environ.get("LD_LIBRARY_PATH", "").split(":") if entry]
    for site in sorted(beside):
        folders += [*_match(site, "nvidia/*/lib"), *_match(site, "tensorrt_libs")]
    versions = {name: str(package.version) for name, package in found.items()}
    return Runtime(versions, available_providers(), tuple(folders))


def readable(path: Path) -> bool:
    """Whether this user may open it."""
    return os.access(path, os.R_OK)


def examine(
    root: Path = ROOT, installed: Runtime | None = None, may_open: Callable[[Path], bool] = readable
) -> dict[str, Any]:
    """The facts, JSON-ready; empty where there is no NVIDIA GPU."""
    board, l4t, driver = _read(root / "proc/device-tree/model"), _l4t(root), _driver(root)
    jetson = l4t is not None or "Jetson" in board
    nodes = [node for pattern in _NODES for node in _match(root, pattern)]
    if not (jetson or driver or nodes or _on_bus(root)):
        return {}
    own = installed or runtime()
    return {
        "board": board or None,
        "jetson": jetson,
        "l4t": l4t,
        "jetpack": JETPACK.get(int(l4t.split(".")[0])) if l4t else None,
        "driver": driver,
        "unified_memory": jetson or None,  # of other machines the files do not tell it
        "power_mode": power_mode(root),
        "power_modes": _power_modes(root),
        "clock_mhz": (clocks := _clocks_mhz(root)),
        "clocks_pinned": all(low == high for low, high in clocks.values()) if clocks else None,
        "nodes": len(nodes),
        "closed_nodes": [_name(node, root) for node in nodes if not may_open(node)],
        "libraries": {name: _library(root, name, own.folders) for name in LIBRARIES},
        "onnxruntime": dict(own.packages),
        "providers": list(own.providers),
    }


def power_mode(root: Path = ROOT) -> str | None:
    """NVIDIA's nvpmodel of a Jetson, else the platform profile of ACPI."""
    jetson = re.search(r"pmode:(\d{1,6})", _read(root / "var/lib/nvpmodel/status"))
    return f"nvpmodel {int(jetson.group(1))}" if jetson else _read(root / "sys/firmware/acpi/platform_profile") or None


def notes(facts: dict[str, Any]) -> list[str]:
    """What is missing or wrong, a sentence each, with what to do; none where there is no GPU."""
    return [*_device_notes(facts), *_runtime_notes(facts), *_speed_notes(facts)] if facts else []


def lines(facts: object) -> dict[str, str]:
    """The facts as named lines for a person."""
    if not isinstance(facts, dict):
        return {"gpu": str(facts)}
    libraries = (f"{name}: {place or 'not found'}" for name, place in facts["libraries"].items())
    packages = " and ".join(f"{name} {version}" for name, version in facts["onnxruntime"].items())
    return {
        "gpu": ", ".join(_words(facts)),
        "gpu libraries": ", ".join(libraries),
        "onnxruntime": f"{packages or 'of no known package'}: {', '.join(facts['providers'])}",
    }


def _words(facts: dict[str, Any]) -> Iterator[str]:
    yield facts["board"] or "NVIDIA GPU"
    if facts["l4t"]:
        yield f"L4T {facts['l4t']} (JetPack {facts['jetpack'] or 'unknown'})"
    yield f"driver {facts['driver'] or 'not told'}"
    if facts["unified_memory"]:
        yield "memory shared with the CPU"
    if mode := facts["power_mode"]:
        yield f"{mode} ({facts['power_modes'][mode]})" if mode in facts["power_modes"] else f"power mode {mode}"
    for name, (low, high) in facts["clock_mhz"].items():
        yield f"{name} pinned at {high:g} MHz" if low == high else f"{name} at {low:g} to {high:g} MHz"


def _device_notes(facts: dict[str, Any]) -> Iterator[str]:
    if not facts["nodes"]:
        yield (
            "there is an NVIDIA GPU but no node of it in /dev: install and load its driver; a container needs "
            f"{'--runtime nvidia' if facts['jetson'] else '--gpus all'}"
        )
    if facts["closed_nodes"]:
        yield (
            f"this user may not open {', '.join(facts['closed_nodes'])}: "
            "sudo usermod -aG video,render $USER, then log in again"
        )


def _runtime_notes(facts: dict[str, Any]) -> Iterator[str]:
    packages, providers = facts["onnxruntime"], facts["providers"]
    source = "one built for this JetPack, see docs/gpu.md" if facts["jetson"] else "onnxruntime-gpu"
    if len(packages) > 1:
        yield (
            f"{' and '.join(packages)} are both installed and overwrite each other: "
            f"pip uninstall -y {' '.join(packages)}, then install {source}"
        )
    elif CUDA not in providers:
        yield (
            f"no {CUDA} in this ONNX Runtime although there is a GPU: "
            f"pip uninstall -y {' '.join(packages) or 'onnxruntime'}, then install {source}"
        )
    for name, (provider, bringer) in LIBRARIES.items():
        if provider in providers and facts["libraries"][name] is None:
            yield f"{name}.so is not found, and {provider} needs it: install {bringer}"


def _speed_notes(facts: dict[str, Any]) -> Iterator[str]:
    if not facts["jetson"]:
        return
    mode, modes = facts["power_mode"], facts["power_modes"]
    highest = max(modes, key=lambda key: _rank(modes[key]), default=None)
    if highest is not None and mode in modes and _rank(modes[mode]) < _rank(modes[highest]):
        number = highest.split()[1]
        yield (
            f"power mode {modes[mode]} is not the highest: sudo nvpmodel -m {number} ({modes[highest]}), "
            "where supply and cooling allow"
        )
    if facts["clocks_pinned"] is False:
        yield "the clocks of the GPU follow the load: sudo jetson_clocks before anything is measured"


def _rank(name: str) -> int:
    """Of a power mode: MAXN is above all that name watts; its number says nothing, it differs from board to board."""
    if "MAXN" in name:
        return 1_000_000 + ("SUPER" in name)
    watts = re.search(r"(\d{1,4})W", name)
    return int(watts.group(1)) if watts else 0


def _power_modes(root: Path) -> dict[str, str]:
    found = re.findall(r"<\s*POWER_MODEL\s+ID=(\d{1,6})\s+NAME=(\S+)\s*>", _read(root / "etc/nvpmodel.conf"))
    return {f"nvpmodel {int(number)}": name for number, name in found}


def _l4t(root: Path) -> str | None:
    found = re.search(r"R(\d{1,4}) \(release\), REVISION: (\d[\d.]{0,15})", _read(root / "etc/nv_tegra_release"))
    return f"{found.group(1)}.{found.group(2)}" if found else None


def _driver(root: Path) -> str | None:
    module = r"Kernel Module\s+(?:for \S+\s+)?(\d[\d.]{0,15})"
    found = re.search(module, _read(root / "proc/driver/nvidia/version"))
    return found.group(1) if found else None


def _on_bus(root: Path) -> bool:
    """Whether a display or compute device of NVIDIA's is plugged in, with a driver or without."""
    devices = (path.parent for path in _match(root, "sys/bus/pci/devices/*/vendor") if _read(path) == "0x10de")
    return any(_read(device / "class").startswith("0x03") for device in devices)


def _clocks_mhz(root: Path) -> dict[str, tuple[float, float]]:
    """Lowest and highest clock that each part of a Jetson's GPU may take now; jetson_clocks makes them equal."""
    found = {}
    for device in (device for name in _GPU_CLOCKS for device in _match(root, f"sys/class/devfreq/{name}")):
        low_hz, high_hz = (re.fullmatch(r"\d{1,18}", _read(device / f"{end}_freq")) for end in ("min", "max"))
        if low_hz and high_hz:
            found[device.name] = (int(low_hz.group()) / 1e6, int(high_hz.group()) / 1e6)
    return found


def _library(root: Path, name: str, folders: tuple[Path, ...]) -> str | None:
    """Where it lies, by its longest name, which tells the version."""
    places = [*(place for pattern in _FOLDERS for place in _match(root, pattern)), *folders]
    files = (file for place in places for file in _match(place, f"{name}.so*") if os.path.exists(file))  # noqa: PTH110
    longest = max(files, key=lambda file: len(file.name), default=None)
    return None if longest is None else _name(longest, root)


def _name(path: Path, root: Path) -> str:
    return f"/{path.relative_to(root)}" if path.is_relative_to(root) else str(path)


def _match(place: Path, pattern: str) -> list[Path]:
    try:
        return sorted(place.glob(pattern))
    except OSError:
        return []


def _read(path: Path) -> str:
    return text(path, _MOST_BYTES) or ""
