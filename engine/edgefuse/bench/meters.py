"""Meters: the energy that answers take, where the machine can tell it."""

from __future__ import annotations

import importlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgefuse.told import number, text

ROOT = Path("/")
SAMPLE_S = 0.01  # how often a power that only tells the moment is looked at
NOT_AVAILABLE = "not available"


@dataclass(slots=True)
class Energy:
    """Joules by meter, filled when the measurement ends; `why` says why there are none."""

    joules: dict[str, float] = field(default_factory=dict)
    why: str | None = None

    def as_json(self, answers: int) -> dict[str, Any]:
        """Millijoules an answer by meter, or that there is no meter."""
        if not self.joules:
            return {"energy": f"{NOT_AVAILABLE}: {self.why}"}
        return {f"{name}_mj": round(1e3 * joules / answers, 4) for name, joules in self.joules.items()}


@contextmanager
def energy(root: Path = ROOT) -> Iterator[Energy]:
    """What the machine uses inside the block: RAPL (x86), INA sensors (Jetson) and NVML (NVIDIA cards).

    It is the whole package's or board's, whoever uses it. RAPL's counters are mostly for root alone to read.
    """
    found, gpus = Energy(), _nvml()
    before = _rapl(root)
    millijoules = [_millijoules(*gpu) for gpu in gpus]
    sampler = _Sampler(_rails(root))
    try:
        with sampler:
            yield found
    finally:
        for name, (joules, span) in _rapl(root).items():
            if name in before:
                found.joules[name] = (joules - before[name][0]) % span if span > 0.0 else joules - before[name][0]
        found.joules.update(sampler.joules)
        for k, (gpu, start) in enumerate(zip(gpus, millijoules, strict=True)):
            if start is not None and (end := _millijoules(*gpu)) is not None:
                found.joules[f"gpu{k}"] = (end - start) / 1e3
        if not found.joules:
            found.why = _why(root)


def _rapl(root: Path) -> dict[str, tuple[float, float]]:
    """Package -> joules so far, and where the counter wraps."""
    told = {}
    for zone in sorted((root / "sys/class/powercap").glob("intel-rapl:[0-9]*")):
        joules, name = number(zone / "energy_uj", 1e-6), zone.name
        if joules is not None and name.count(":") == 1:  # a domain below counts within its package
            told[f"rapl{name.partition(':')[2]}"] = joules, number(zone / "max_energy_range_uj", 1e-6) or 0.0
    return told


def _rails(root: Path) -> dict[str, list[Path]]:
    """Rail -> the files of its voltage and its current, whose product are its watts."""
    rails = {}
    for chip in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        if not re.match(r"ina\d", text(chip / "name") or ""):
            continue
        for volts in sorted(chip.glob("in[0-9]*_input")):
            channel = volts.name[2:].partition("_")[0]
            current, label = chip / f"curr{channel}_input", text(chip / f"in{channel}_label")
            if current.exists():
                rails[label or f"{chip.name}.{channel}"] = [volts, current]
    return rails


class _Sampler:
    """Adds up the power of rails in a thread of its own: joules = mean watts * seconds."""

    def __init__(self, rails: dict[str, list[Path]]) -> None:
        self.joules: dict[str, float] = {}
        self._rails, self._watts = rails, {name: list[float]() for name in rails}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="edgefuse energy", daemon=True)

    def __enter__(self) -> _Sampler:
        self._begun_s = time.monotonic()
        if self._rails:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._rails:
            self._over.set()
            self._thread.join()
        seconds = time.monotonic() - self._begun_s
        self.joules = {name: sum(w) / len(w) * seconds for name, w in self._watts.items() if w}

    def _work(self) -> None:
        while not self._over.is_set():
            for name, (volts, amperes) in self._rails.items():
                u, i = number(volts, 1e-3), number(amperes, 1e-3)
                if u is not None and i is not None:
                    self._watts[name].append(u * i)
            self._over.wait(SAMPLE_S)


def _nvml() -> list[tuple[Any, Any]]:
    """NVML and a handle of each card that it knows."""
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
        return [(nvml, nvml.nvmlDeviceGetHandleByIndex(k)) for k in range(nvml.nvmlDeviceGetCount())]
    except Exception:  # noqa: BLE001 (not installed, or no card: its errors are its own)
        return []


def _millijoules(nvml: Any, card: Any) -> float | None:
    try:
        return float(nvml.nvmlDeviceGetTotalEnergyConsumption(card))
    except Exception:  # noqa: BLE001 (older cards do not count)
        return None


def _why(root: Path) -> str:
    locked = any((root / "sys/class/powercap").glob("intel-rapl:[0-9]*"))
    return "its counters are for root alone to read" if locked else "no RAPL, INA or NVML here"
