"""The machine: what /proc and /sys of a made-up machine say, and what makes its numbers doubtful."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgefuse.bench import machine, meters
from edgefuse.bench.machine import State

QUIET = State(mhz=(2000.0, 2000.0), celsius={}, throttled=3, load=0.1, busy_s=10.0, stolen_s=1.0, own_s=2.0, at_s=100.0)


def tree(root: Path, **files: str) -> Path:
    """Files of a machine, their paths written with `__` for `/`."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


@pytest.fixture
def jetson(tmp_path: Path) -> Path:
    cpu, hwmon = "sys/devices/system/cpu", "sys/class/hwmon/hwmon3"
    return tree(
        tmp_path,
        **{
            "proc/device-tree/model": "NVIDIA Jetson Orin Nano\x00",
            "proc/cpuinfo": "processor\t: 0\nCPU part\t: 0xd42",
            "proc/stat": "cpu  100 0 50 1000 10 0 5 20 0 0\ncpu0 ...",
            "proc/uptime": "1234.5 99.0",
            f"{cpu}/cpu0/cpufreq/scaling_governor": "schedutil",
            f"{cpu}/cpu1/cpufreq/scaling_governor": "schedutil",
            f"{cpu}/cpu0/cpufreq/scaling_cur_freq": "729600",
            f"{cpu}/cpu1/cpufreq/scaling_cur_freq": "1510400",
            "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
            "sys/class/thermal/thermal_zone0/temp": "51250",
            "var/lib/nvpmodel/status": "pmode:0002 fmode:quiet",
            "sys/fs/cgroup/cpu.max": "150000 100000",
            f"{hwmon}/name": "ina3221",
            f"{hwmon}/in1_input": "5000",
            f"{hwmon}/in1_label": "VDD_IN",
            f"{hwmon}/curr1_input": "1200",
        },
    )


def test_a_jetson_says_its_model_power_mode_governor_and_quota(jetson: Path) -> None:
    known = machine.facts(jetson)
    assert known["board"] == "NVIDIA Jetson Orin Nano"
    assert (known["cpu"], known["governor"], known["power_mode"], known["cpu_quota"]) == (
        "0xd42",
        "schedutil",
        "nvpmodel 2",
        "1.5 cores",
    )
    assert "turbo" not in known


def test_clocks_heat_and_work_are_read_in_their_units(jetson: Path) -> None:
    state = machine.state(jetson)
    assert state.mhz == (729.6, 1510.4)
    assert state.celsius == {"cpu-thermal (0)": 51.25}
    assert state.throttled is None
    assert (state.busy_s, state.stolen_s, state.at_s) == (1.75, 0.2, 1234.5)


def test_a_machine_that_tells_nothing_is_no_error(tmp_path: Path) -> None:
    assert machine.state(tmp_path).mhz == ()
    assert "cpu" not in machine.facts(tmp_path)


def test_this_machine_can_be_read() -> None:
    assert machine.facts()["cores"] >= 1
    assert machine.state().busy_s > 0.0


def test_a_quiet_machine_is_not_doubted() -> None:
    after = replace(QUIET, busy_s=15.0, own_s=7.0, at_s=105.0)
    assert machine.warnings(QUIET, after, {"governor": "performance"}) == []
    assert machine.warnings(QUIET, QUIET, {}) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"busy_s": 20.0}, "other processes took 100 %"),
        ({"busy_s": 15.5, "stolen_s": 1.5}, "the host took 10 %"),
        ({"mhz": (2000.0, 1500.0)}, "25 % off"),
        ({"throttled": 5}, "heat 2 times"),
    ],
)
def test_what_disturbed_a_run_is_told(change: dict[str, float], words: str) -> None:
    after = replace(QUIET, **{"busy_s": 15.0, "own_s": 7.0, "at_s": 105.0, **change})  # type: ignore[arg-type]
    (told,) = machine.warnings(QUIET, after, {})
    assert words in told


def test_a_governor_that_follows_the_load_is_told() -> None:
    (told,) = machine.warnings(QUIET, QUIET, {"governor": "schedutil"})
    assert "schedutil" in told


def rapl(root: Path, microjoules: int) -> Path:
    zone = "sys/class/powercap/intel-rapl:0"
    return tree(root, **{f"{zone}/energy_uj": str(microjoules), f"{zone}/max_energy_range_uj": "1000000"})


def test_rapl_counts_joules_across_its_wrap(tmp_path: Path) -> None:
    rapl(tmp_path, 900_000)
    with meters.energy(tmp_path) as used:
        rapl(tmp_path, 150_000)
    assert used.joules == pytest.approx({"rapl0": 0.25})
    assert used.as_json(answers=50) == {"rapl0_mj": 5.0}


def test_ina_sensors_give_mean_power_times_time(jetson: Path) -> None:
    import time

    with meters.energy(jetson) as used:
        time.sleep(0.1)
    assert set(used.joules) == {"VDD_IN"}
    assert used.joules["VDD_IN"] / 6.0 >= 0.1  # 5 V and 1.2 A for at least as long


def test_a_machine_without_meters_says_so(tmp_path: Path) -> None:
    with meters.energy(tmp_path) as used:
        pass
    assert used.as_json(1) == {"energy": "not available: no RAPL, INA or NVML here"}
