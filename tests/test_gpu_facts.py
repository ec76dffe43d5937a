"""GPU facts: what the doctor finds on made-up machines, from a plain desktop to an Orin with three faults."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgefuse import doctor, gpu_facts
from edgefuse.gpu_facts import CUDA, JETPACK, TENSORRT, Runtime, examine, lines, notes, power_mode

CPU = "CPUExecutionProvider"
CPU_WHEEL = Runtime({"onnxruntime": "1.31.1"}, ("AzureExecutionProvider", CPU))
GPU_WHEEL = Runtime({"onnxruntime-gpu": "1.23.0"}, (TENSORRT, CUDA, CPU))
DRIVER = "NVRM version: NVIDIA UNIX Open Kernel Module for {}  Release Build  (builder)\nGCC version: 12.3.0"
MODES = "< POWER_MODEL ID=0 NAME={} >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=1 NAME={} >\n< POWER_MODEL ID=2 NAME={} >"
JETSON_LIBRARIES = "usr/lib/aarch64-linux-gnu"
CLOCK = "sys/class/devfreq/17000000.gpu"


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


@pytest.fixture
def desktop(tmp_path: Path) -> Path:
    """A desktop with a card, its driver and its nodes, and nothing else of NVIDIA's."""
    return tree(
        tmp_path,
        {
            "proc/driver/nvidia/version": DRIVER.format("x86_64  550.90.07"),
            "sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de",
            "sys/bus/pci/devices/0000:01:00.0/class": "0x030000",
            "sys/firmware/acpi/platform_profile": "balanced",
            "dev/nvidia0": "",
            "dev/nvidiactl": "",
            "usr/lib/x86_64-linux-gnu/libcuda.so.550.90.07": "",
        },
    )


@pytest.fixture
def orin(tmp_path: Path) -> Path:
    """An Orin on which nothing is wrong."""
    return tree(
        tmp_path,
        {
            "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\x00",
            "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64",
            "proc/driver/nvidia/version": DRIVER.format("aarch64  540.4.0"),
            "var/lib/nvpmodel/status": "pmode:0002",
            "etc/nvpmodel.conf": MODES.format("15W", "25W", "MAXN_SUPER"),
            f"{CLOCK}/min_freq": "1020000000",
            f"{CLOCK}/max_freq": "1020000000",
            "dev/nvmap": "",
            "dev/nvhost-gpu": "",
            f"{JETSON_LIBRARIES}/nvidia/libcuda.so.1.1": "",
            "usr/local/cuda-12.6/targets/aarch64-linux/lib/libcudart.so.12.6.68": "",
            f"{JETSON_LIBRARIES}/libcudnn.so.9": "",
            f"{JETSON_LIBRARIES}/libcudnn.so.9.3.0": "",
            f"{JETSON_LIBRARIES}/libnvinfer.so.10.3.0": "",
        },
    )


def test_a_desktop_without_a_gpu_says_so_and_no_more(tmp_path: Path) -> None:
    intel = "sys/bus/pci/devices/0000:00:02.0"
    tree(tmp_path, {f"{intel}/vendor": "0x8086", f"{intel}/class": "0x030000", "sys/class/devfreq/x.gpu/min_freq": "1"})
    both = Runtime({"onnxruntime": "1.31.1", "onnxruntime-gpu": "1.31.1"}, (CUDA, CPU))
    found = examine(tmp_path, both)
    assert (found, notes(found)) == ({}, [])
    assert lines(found or gpu_facts.NONE) == {"gpu": "none found"}


def test_a_desktop_with_a_card_and_the_wheel_for_cpus(desktop: Path) -> None:
    found = examine(desktop, CPU_WHEEL)
    assert (found["driver"], found["jetson"], found["unified_memory"]) == ("550.90.07", False, None)
    (note,) = notes(found)
    assert CUDA in note and "pip uninstall -y onnxruntime, then install onnxruntime-gpu" in note
    told = lines(found)
    assert told["gpu"] == "NVIDIA GPU, driver 550.90.07, power mode balanced"
    assert told["onnxruntime"] == "onnxruntime 1.31.1: AzureExecutionProvider, CPUExecutionProvider"


def test_libraries_that_are_packages_beside_onnxruntime_are_found(desktop: Path, tmp_path: Path) -> None:
    folder = tmp_path / "site-packages/nvidia/cudnn/lib"
    tree(folder, {"libcudnn.so.9": "", "libcudart.so.13": ""})
    found = examine(desktop, Runtime({"onnxruntime-gpu": "1.31.1"}, (CUDA, CPU), (folder,)))
    assert found["libraries"]["libcudnn"].endswith("nvidia/cudnn/lib/libcudnn.so.9")
    assert notes(found) == []


def test_an_orin_that_is_set_up_well(orin: Path) -> None:
    found = examine(orin, GPU_WHEEL)
    assert notes(found) == []
    assert (found["l4t"], found["jetpack"], found["unified_memory"]) == ("36.4.3", 6, True)
    assert (found["clock_mhz"], found["clocks_pinned"]) == ({"17000000.gpu": (1020.0, 1020.0)}, True)
    assert found["libraries"] == {
        "libcuda": f"/{JETSON_LIBRARIES}/nvidia/libcuda.so.1.1",
        "libcudart": "/usr/local/cuda-12.6/targets/aarch64-linux/lib/libcudart.so.12.6.68",
        "libcudnn": f"/{JETSON_LIBRARIES}/libcudnn.so.9.3.0",
        "libnvinfer": f"/{JETSON_LIBRARIES}/libnvinfer.so.10.3.0",
    }
    assert lines(found)["gpu"] == (
        "NVIDIA Jetson Orin Nano Developer Kit, L4T 36.4.3 (JetPack 6), driver 540.4.0, memory shared with the CPU, "
        "nvpmodel 2 (MAXN_SUPER), 17000000.gpu pinned at 1020 MHz"
    )
    json.dumps(found, allow_nan=False)


def test_an_orin_where_three_things_are_wrong(orin: Path) -> None:
    tree(orin, {"var/lib/nvpmodel/status": "pmode:0000", f"{CLOCK}/min_freq": "306000000"})
    (orin / JETSON_LIBRARIES / "libnvinfer.so.10.3.0").unlink()
    library, mode, clocks = notes(examine(orin, GPU_WHEEL))
    assert "libnvinfer.so is not found" in library and TENSORRT in library
    assert "power mode 15W is not the highest: sudo nvpmodel -m 2 (MAXN_SUPER)" in mode
    assert "sudo jetson_clocks" in clocks


@pytest.mark.parametrize(
    ("names", "mode", "told"),
    [
        (("MAXN", "MODE_15W", "MODE_30W"), 1, "-m 0 (MAXN)"),
        (("MODE_15W_2CORE", "MODE_15W_4CORE", "MODE_10W"), 1, None),  # no other gives it more
        (("15W", "7W", "25W"), 0, "-m 2 (25W)"),
        (("15W", "7W", "25W"), 9, None),  # a mode that the file does not name
    ],
)
def test_the_highest_power_mode_goes_by_its_name(
    orin: Path, names: tuple[str, str, str], mode: int, told: str | None
) -> None:
    tree(orin, {"var/lib/nvpmodel/status": f"pmode:{mode:04d}", "etc/nvpmodel.conf": MODES.format(*names)})
    found = notes(examine(orin, GPU_WHEEL))
    assert len(found) == (told is not None)
    assert told is None or told in found[0]


def test_two_packages_that_overwrite_each_other(orin: Path) -> None:
    both = Runtime({"onnxruntime": "1.23.2", "onnxruntime-gpu": "1.23.0"}, (CPU,))
    (note,) = notes(examine(orin, both))
    assert "overwrite each other: pip uninstall -y onnxruntime onnxruntime-gpu" in note
    assert "built for this JetPack" in note


def test_nodes_that_this_user_may_not_open(orin: Path) -> None:
    found = examine(orin, GPU_WHEEL, may_open=lambda path: path.name != "nvmap")
    assert found["closed_nodes"] == ["/dev/nvmap"]
    (note,) = notes(found)
    assert "may not open /dev/nvmap: sudo usermod -aG video,render $USER" in note


def test_a_container_into_which_no_gpu_was_let(desktop: Path, tmp_path: Path) -> None:
    for node in (tmp_path / "dev").iterdir():
        node.unlink()
    (tmp_path / "proc/driver/nvidia/version").unlink()
    assert "no node of it in /dev" in notes(examine(desktop, GPU_WHEEL))[0]
    jetson = tree(tmp_path / "jetson", {"proc/device-tree/model": "NVIDIA Jetson AGX Thor Developer Kit"})
    assert "--runtime nvidia" in notes(examine(jetson, GPU_WHEEL))[0]


@pytest.mark.parametrize(("release", "jetpack"), [*JETPACK.items(), (99, None)])
def test_jetpack_goes_by_the_release_of_l4t(tmp_path: Path, release: int, jetpack: int | None) -> None:
    tree(tmp_path, {"etc/nv_tegra_release": f"# R{release} (release), REVISION: 2.0, GCID: 45755727"})
    found = examine(tmp_path, CPU_WHEEL)
    assert (found["l4t"], found["jetpack"]) == (f"{release}.2.0", jetpack)
    assert f"(JetPack {jetpack or 'unknown'})" in lines(found)["gpu"]


@pytest.mark.parametrize(
    "garbage", [b"", b"\x00\xff\xfe" * 999, b"9" * 9999, b"nan", b"pmode:x R(release) 0x10de", None]
)
def test_garbage_in_every_file_is_no_error(orin: Path, garbage: bytes | None) -> None:
    for path in [path for path in orin.rglob("*") if path.is_file()]:
        path.unlink()
        path.mkdir() if garbage is None else path.write_bytes(garbage)
    found = examine(orin, GPU_WHEEL)
    assert found["nodes"] == 2 and found["l4t"] is None and found["clock_mhz"] == {}
    json.dumps([found, notes(found), lines(found)], allow_nan=False)


def test_a_machine_of_files_where_folders_should_be_is_no_error(tmp_path: Path) -> None:
    tree(tmp_path, dict.fromkeys(("dev", "proc", "sys", "etc", "var", "usr"), "x"))
    assert examine(tmp_path, GPU_WHEEL) == {}


def test_the_power_mode_is_nvpmodels_or_acpis(orin: Path, tmp_path: Path) -> None:
    assert power_mode(orin) == "nvpmodel 2"
    assert power_mode(tree(tmp_path / "laptop", {"sys/firmware/acpi/platform_profile": "quiet"})) == "quiet"
    assert power_mode(tmp_path / "nothing") is None


def test_the_runtime_that_is_installed_is_found() -> None:
    found = gpu_facts.runtime()
    assert CPU in found.providers
    assert set(found.packages) <= set(gpu_facts.PACKAGES) and all(found.packages.values())


def test_the_doctor_tells_the_facts_and_the_notes(orin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_facts, "examine", lambda: examine(orin, CPU_WHEEL))
    facts = doctor.examine()
    assert isinstance(facts["gpu"], dict) and facts["gpu"]["jetpack"] == 6
    told = doctor.describe(facts)
    assert "(JetPack 6)" in told and f"note: no {CUDA} in this ONNX Runtime" in told
    monkeypatch.setattr(gpu_facts, "examine", dict)
    assert doctor.examine()["gpu"] == "none found"
