"""Providers are tried in the order asked for, each refusal keeps its reason, and what is built is kept by what it fits.

All but ONNX Runtime's own part of it, which needs a device.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

import edgefuse
import emulated
from edgefuse import RunConfig, placement, pools
from edgefuse.device import Device
from edgefuse.doctor import shipped_bundle
from edgefuse.errors import ConfigError, DeviceError
from edgefuse.placement import cuda_options, engines_key, first_that_works, placement_of, tensorrt_options, wanted
from edgefuse.schema import validate

FACTS = {"name": "Orin", "compute_capability": "8.7", "driver": 12060, "runtime": 12060}


def device(**facts: object) -> Device:
    return cast(Device, SimpleNamespace(index=1, stream=4242, facts={**FACTS, **facts}))


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({}, ("cpu",)),
        ({"providers": ("cpu",)}, ("cpu",)),
        ({"device": "cuda"}, ("cuda",)),
        ({"device": "cuda:1", "providers": ("tensorrt", "cuda", "cpu")}, ("tensorrt", "cuda", "cpu")),
    ],
)
def test_who_is_asked_and_in_which_order(config: dict[str, Any], names: tuple[str, ...]) -> None:
    assert wanted(validate(RunConfig, config), "run.yaml") == names


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"providers": ("cuda", "cpu")}, r"run\.yaml: providers: cuda needs a device: cuda"),
        ({"device": "cuda", "providers": ("cpu", "cuda")}, r"run\.yaml: providers: .*cpu last"),
        ({"device": "cuda", "providers": ("cuda", "cuda")}, r"run\.yaml: providers: each at most once"),
        ({"device": "cuda", "executor": "workers"}, r"run\.yaml: executor: not with a device: cuda"),
        ({"device": "cuda", "deadline_ms": 20.0}, r"run\.yaml: deadline_ms: not with a device: cuda"),
    ],
)
def test_what_cannot_go_together_is_refused_with_its_key(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        wanted(validate(RunConfig, config), "run.yaml")


def test_the_first_that_works_is_taken_and_the_others_are_remembered() -> None:
    def make(name: str) -> str:
        if name != "cpu":
            raise DeviceError("is asleep", place=name)
        return "made"

    made, refused = first_that_works(("tensorrt", "cuda", "cpu"), make, "run.yaml")
    assert made == "made" and [str(one) for one in refused] == [
        "tensorrt: is asleep",
        "cuda: is asleep",
    ]
    with pytest.raises(ConfigError, match=r"run\.yaml: providers: none can be had \(cuda: is asleep\)"):
        first_that_works(("cuda",), make, "run.yaml")


def test_a_device_computes_on_our_stream_the_same_way_each_time() -> None:
    options = cuda_options(device())
    assert options["user_compute_stream"] == "4242" and options["device_id"] == "1"
    assert options["cudnn_conv_algo_search"] != "EXHAUSTIVE" and options["use_tf32"] == "0"
    built = tensorrt_options(device(), Path("/e"))
    assert built["trt_engine_cache_path"] == "/e"
    switches = {value for name, value in built.items() if name.endswith("_enable")}
    assert switches == {"True"}  # "1" is refused, and the provider with it


@pytest.mark.parametrize("changed", [{"name": "Xavier"}, {"compute_capability": "7.2"}, {"driver": 1}, {"runtime": 1}])
def test_what_was_built_for_another_device_or_version_is_not_taken(changed: dict[str, object]) -> None:
    key = engines_key(device(), "a" * 64)
    assert key == engines_key(device(), "a" * 64)
    assert key not in (engines_key(device(), "b" * 64), engines_key(device(**changed), "a" * 64))


def test_the_first_build_is_told_graph_by_graph_and_the_next_time_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    emulated.put_in(monkeypatch)
    monkeypatch.setattr(placement, "tensorrt_options", lambda device, engines: {})
    # Both are the host's provider here, which ONNX Runtime takes once.
    once = lambda *given: replace(own := placement_of(*given), providers=own.providers[:1])  # noqa: E731
    monkeypatch.setattr("edgefuse.parts.placement_of", once)
    config = RunConfig(device="cuda", providers=("tensorrt",), cache_dir=str(tmp_path / "cache"))
    assert edgefuse.load(shipped_bundle(), config).parts.provider == "tensorrt"
    lines = [record.getMessage() for record in caplog.records]
    assert str(tmp_path / "cache" / "tensorrt") in lines[0]
    assert sum("TensorRT builds it" in line and "encoders/" in line for line in lines) == 4
    (engines,) = (tmp_path / "cache" / "tensorrt").iterdir()
    assert engines.stat().st_mode & 0o077 == 0
    caplog.clear()
    edgefuse.load(shipped_bundle(), config)
    assert not caplog.records


def test_a_folder_that_cannot_be_made_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emulated.put_in(monkeypatch)
    (tmp_path / "file").touch()
    config = RunConfig(device="cuda", providers=("tensorrt",), cache_dir=str(tmp_path / "file"))
    with pytest.raises(DeviceError, match="cannot keep engines there: Not a directory"):
        placement_of("tensorrt", config, "a" * 64)


def test_a_build_that_was_broken_off_is_told_again_and_a_folder_of_others_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    emulated.put_in(monkeypatch)
    config = RunConfig(device="cuda", providers=("tensorrt",), cache_dir=str(tmp_path))
    for _ in range(2):
        assert placement_of("tensorrt", config, "a" * 64).builds is not None
    assert len(caplog.records) == 2
    (engines,) = (tmp_path / "tensorrt").iterdir()
    engines.chmod(0o770)
    with pytest.raises(DeviceError, match="others may write engines there"):
        placement_of("tensorrt", config, "a" * 64)


def test_a_provider_that_is_a_plugin_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    emulated.put_in(monkeypatch)
    monkeypatch.setattr(placement, "has_plugin", pools.has_plugin)
    monkeypatch.setattr("onnxruntime.get_build_info", lambda: "ORT Build Info: cuda-plugin-ep=1.0", raising=False)
    with pytest.raises(DeviceError, match=r"cuda: ONNX Runtime .* as a plugin, which is untried"):
        placement.placement_of("cuda", RunConfig(device="cuda"), "")


def test_libraries_in_packages_of_python_are_loaded_before_a_device_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    emulated.put_in(monkeypatch)
    loaded: list[str] = []
    monkeypatch.setattr(
        "onnxruntime.preload_dlls", lambda: (loaded.append("all"), sys.stdout.write("none found")), raising=False
    )
    pools.preload.cache_clear()
    placement.placement_of("cpu", RunConfig(), "")
    assert loaded == []
    placement.placement_of("cuda", RunConfig(device="cuda"), "")
    assert loaded == ["all"] and capsys.readouterr().out == ""


def test_a_provider_that_is_there_and_cannot_be_loaded_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    emulated.put_in(monkeypatch)
    real = placement_of("cuda", RunConfig(device="cuda"), "")
    # ONNX Runtime goes on with its own processor where a library is missing.
    odd = replace(real, providers=(("CUDAExecutionProvider", {}), ("CPUExecutionProvider", {})))
    monkeypatch.setattr("edgefuse.parts.placement_of", lambda *_: odd)
    with pytest.raises(ConfigError, match="CUDAExecutionProvider"):
        edgefuse.load(shipped_bundle(), RunConfig(device="cuda"))


@pytest.mark.parametrize("allowed", [True, False])
def test_without_a_gpu_a_run_goes_on_where_that_is_allowed_and_says_so(allowed: bool, tmp_path: Path) -> None:
    if "CUDAExecutionProvider" in placement.available_providers():
        pytest.skip("this ONNX Runtime has it")
    (tmp_path / "run.yaml").write_text(f"device: cuda\nproviders: [tensorrt, cuda{', cpu' if allowed else ''}]\n")
    options = ["run", "--source", "site:duration_s=1", "--config", "run.yaml", "--json"]
    command = [sys.executable, "-m", "edgefuse.cli", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == (0 if allowed else 2)
    if allowed:
        document = json.loads(done.stdout.splitlines()[-1])
        assert (document["provider"], len(document["refused"])) == ("cpu", 2)
    told = "answers are computed by cpu" if allowed else "edgefuse: run.yaml: providers: none can be had"
    (line,) = [line for line in done.stderr.splitlines() if told in line]
    assert "tensorrt: " in line and "cuda: " in line and "was built without it" in line
    assert "Traceback" not in done.stderr


def test_what_was_logged_is_a_warning_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    if "CUDAExecutionProvider" in placement.available_providers():
        pytest.skip("this ONNX Runtime has it")
    engine = edgefuse.load(shipped_bundle(), RunConfig(device="cuda", providers=("cuda", "cpu")))
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert engine.parts.refused[0].provider == "cuda" and engine.parts.traffic is None
