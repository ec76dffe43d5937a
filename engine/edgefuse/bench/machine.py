"""Machine: what decides the numbers besides the code: processor, clocks, heat, power mode, threads, other work.

Everything is read from /proc and /sys; what a machine does not tell is left out, never guessed.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgefuse import kernels
from edgefuse.doctor import RUNTIME, installed
from edgefuse.gpu_facts import power_mode
from edgefuse.pools import pool
from edgefuse.told import number, text

ROOT = Path("/")
CPUS = "sys/devices/system/cpu"
BUSY_PERCENT, STOLEN_PERCENT = 5.0, 1.0  # of one core: above, the numbers are noisy
DRIFT_PERCENT = 5.0  # of the clock


@dataclass(frozen=True, slots=True)
class State:
    """The machine at one moment.

    mhz          clock of each core; empty where it is not told
    celsius      zone -> temperature
    throttled    how often cores or packages were slowed down for heat, since the machine started
    busy_s       processor time of all processes since the machine started, stolen_s of it taken by the host
    own_s        processor time of this process and its children that have ended
    at_s         on the clock of the machine's uptime
    """

    mhz: tuple[float, ...]
    celsius: dict[str, float]
    throttled: int | None
    load: float
    busy_s: float
    stolen_s: float
    own_s: float
    at_s: float

    def as_json(self) -> dict[str, Any]:
        facts = asdict(self)
        return {key: facts[key] for key in ("mhz", "celsius", "throttled", "load")}


def state(root: Path = ROOT) -> State:
    """Read the machine now."""
    busy_s, stolen_s = _busy(root)
    times = os.times()
    return State(
        mhz=tuple(_clocks(root)),
        celsius=_temperatures(root),
        throttled=_throttled(root),
        load=round(os.getloadavg()[0], 2),
        busy_s=busy_s,
        stolen_s=stolen_s,
        own_s=times.user + times.system + times.children_user + times.children_system,
        at_s=float((text(root / "proc/uptime") or "0").split()[0]),
    )


def facts(root: Path = ROOT) -> dict[str, Any]:
    """What does not change while a bench runs."""
    backend, shared = kernels.backend(), pool()
    known = {
        "cpu": _model(root),
        "board": text(root / "proc/device-tree/model"),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "pinned_to": sorted(os.sched_getaffinity(0)),
        "cpu_quota": _quota(root),
        "governor": _same(root, "cpufreq/scaling_governor"),
        "power_mode": power_mode(root),
        "turbo": _turbo(root),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "threads": shared.threads,
        "thread_pool": shared.reason,
        "kernels": f"{backend.name} ({backend.isa})",
        "versions": {name: installed(name) for name in ("edgefuse", *RUNTIME)},
    }
    return {key: value for key, value in known.items() if value is not None}


def warnings(before: State, after: State, known: dict[str, Any]) -> list[str]:
    """Why the numbers may not be the machine's own, in words; empty where nothing speaks against them."""
    found = []
    seconds = after.at_s - before.at_s
    if seconds > 0.0:
        stolen = 100.0 * (after.stolen_s - before.stolen_s) / seconds
        others = 100.0 * (after.busy_s - before.busy_s - (after.own_s - before.own_s)) / seconds
        if others - stolen > BUSY_PERCENT:
            found.append(f"other processes took {others - stolen:.0f} % of a core meanwhile")
        if stolen > STOLEN_PERCENT:
            found.append(f"the host took {stolen:.0f} % of a core away meanwhile")
    drifts = [100.0 * abs(b - a) / a for a, b in zip(before.mhz, after.mhz, strict=False) if a > 0.0]
    if drifts and max(drifts) > DRIFT_PERCENT:
        found.append(f"the clock of a core was {max(drifts):.0f} % off after the run from what it was before")
    if before.throttled is not None and after.throttled is not None and after.throttled > before.throttled:
        found.append(f"cores were slowed down for heat {after.throttled - before.throttled} times")
    governor = known.get("governor")
    if governor not in (None, "performance"):
        found.append(f"the governor is {governor!r}: clocks follow the load, pauses make the next answer slower")
    return found


def _model(root: Path) -> str | None:
    info = text(root / "proc/cpuinfo") or ""
    names = (re.search(rf"^{key}\s*: (.+)$", info, re.MULTILINE) for key in ("model name", "Model", "CPU part"))
    return next((found.group(1).strip() for found in names if found), None)


def _clocks(root: Path) -> Iterator[float]:
    """MHz of each core: from cpufreq, else from cpuinfo."""
    told = [number(path) for path in _of_cores(root, "cpufreq/scaling_cur_freq")]
    if told and all(value is not None for value in told):
        yield from (value / 1e3 for value in told if value is not None)
        return
    for mhz in re.findall(r"^cpu MHz\s*: ([0-9.]+)$", text(root / "proc/cpuinfo") or "", re.MULTILINE):
        yield float(mhz)


def _temperatures(root: Path) -> dict[str, float]:
    zones = sorted((root / "sys/class/thermal").glob("thermal_zone*"))
    told = {f"{text(zone / 'type') or 'zone'} ({zone.name[12:]})": number(zone / "temp") for zone in zones}
    return {name: value / 1e3 for name, value in told.items() if value is not None}


def _throttled(root: Path) -> int | None:
    counts = [number(path) for path in _of_cores(root, "thermal_throttle/*_throttle_count")]
    told = [int(count) for count in counts if count is not None]
    return sum(told) if told else None


def _busy(root: Path) -> tuple[float, float]:
    """Seconds in which cores did anything, and in which the host took them away, of /proc/stat."""
    line = (text(root / "proc/stat") or "cpu").splitlines()[0].split()[1:]
    ticks = dict(
        zip(("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"), map(int, line), strict=False)
    )
    hertz = os.sysconf("SC_CLK_TCK")
    stolen = ticks.pop("steal", 0)
    return (sum(n for name, n in ticks.items() if name not in ("idle", "iowait")) + stolen) / hertz, stolen / hertz


def _turbo(root: Path) -> str | None:
    off, boost = number(root / CPUS / "intel_pstate/no_turbo"), number(root / CPUS / "cpufreq/boost")
    on = None if off is None and boost is None else off == 0 or boost == 1
    return None if on is None else "on" if on else "off"


def _quota(root: Path) -> str | None:
    """Cores that the control group may use, where it is limited."""
    parts = (text(root / "sys/fs/cgroup/cpu.max") or "max 1").split()
    return None if parts[0] == "max" else f"{int(parts[0]) / int(parts[1]):g} cores"


def _same(root: Path, file: str) -> str | None:
    told = sorted({said for path in _of_cores(root, file) if (said := text(path))})
    return ", ".join(told) or None


def _of_cores(root: Path, file: str) -> list[Path]:
    return sorted((root / CPUS).glob(f"cpu[0-9]*/{file}"))
