"""Tests of what is shipped: metadata, the files of source archive and wheel, and builds without a compiler."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import edgefuse

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = [
    "cmake",
    "csrc",
    "engine",
    "export",
    "tests/cpp",
    "setup.py",
    "pyproject.toml",
    "MANIFEST.in",
    "CMakeLists.txt",
]
SHIPPED += ["LICENSE", "README.md", "constraints.txt"]
NOT_SOURCE = shutil.ignore_patterns("*.so", "__pycache__", "*.egg-info")
RUNTIME = {"numpy", "onnxruntime", "msgspec", "opencv-python-headless", "pyyaml"}

pytest.importorskip("pybind11", reason="the build needs pybind11 and cmake")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, so that building leaves nothing behind in the repository."""
    copy = tmp_path_factory.mktemp("tree")
    for name in SHIPPED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=NOT_SOURCE)
        else:
            shutil.copy(source, copy / name)
    return copy


def build(tree: Path, hook: str, into: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run one hook of setuptools' build backend in `tree`, without isolation."""
    code = f"import sys; from setuptools import build_meta; print(build_meta.{hook}({str(into)!r}))"
    inherited = {k: v for k, v in os.environ.items() if k != "EDGEFUSE_REQUIRE_KERNELS"}
    into.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", code], cwd=tree, env={**inherited, **env}, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def metadata(tree: Path) -> Message:
    done = build(tree, "prepare_metadata_for_build_wheel", tree / "meta")
    assert done.returncode == 0, done.stderr
    return Parser().parsestr((tree / "meta" / "edgefuse-0.1.0.dist-info" / "METADATA").read_text())


@pytest.fixture(scope="module")
def bare_wheel(tree: Path) -> tuple[set[str], str]:
    """The names in a wheel built where no compiler works, and what the build said."""
    done = build(tree, "build_wheel", tree / "bare", CC="/bin/false", CXX="/bin/false")
    assert done.returncode == 0, done.stderr
    (wheel,) = (tree / "bare").glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist()), done.stdout + done.stderr


def requirements(metadata: Message, extra: str = "") -> dict[str, Requirement]:
    every = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    wanted = [r for r in every if (r.marker.evaluate({"extra": extra}) if r.marker else not extra)]
    return {canonicalize_name(r.name): r for r in wanted}


def test_the_metadata_names_version_licence_and_python(metadata: Message) -> None:
    assert (metadata["Name"], metadata["Version"]) == ("edgefuse", edgefuse.__version__)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.10"


def test_the_runtime_needs_five_packages_and_neither_torch_nor_onnx(metadata: Message) -> None:
    assert set(requirements(metadata)) == RUNTIME


def test_the_extras_are_there(metadata: Message) -> None:
    extras = {"export", "report", "bag", "nmea", "ros2", "foxglove", "rerun", "prometheus", "completion", "docs"}
    assert set(metadata.get_all("Provides-Extra", [])) == {*extras, "dev"}
    assert {"torch", "onnx"} <= set(requirements(metadata, "export"))
    assert "matplotlib" in requirements(metadata, "report")
    assert requirements(metadata, "dev")["edgefuse"].extras == extras


def test_every_named_dependency_is_pinned_within_its_range(metadata: Message) -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    pins = [Requirement(line) for line in lines]
    here = {canonicalize_name(pin.name): pin for pin in pins if pin.marker is None or pin.marker.evaluate()}
    for extra in ("", *metadata.get_all("Provides-Extra", [])):
        for name, wanted in requirements(metadata, extra).items():
            if name != "edgefuse":
                (pin,) = here[name].specifier
                assert wanted.specifier.contains(pin.version), name


def test_each_console_script_points_at_a_module_that_exists(metadata: Message, tree: Path) -> None:
    text = (tree / "meta" / "edgefuse-0.1.0.dist-info" / "entry_points.txt").read_text()
    scripts = dict(re.findall(r"^(\S+) = (\S+):main$", text, re.MULTILINE))
    assert scripts == {"edgefuse": "edgefuse.cli", "edgefuse-export": "edgefuse_export.cli"}
    assert all(importlib.util.find_spec(module) for module in scripts.values())


def test_the_source_archive_holds_all_that_a_build_needs(tree: Path) -> None:
    done = build(tree, "build_sdist", tree / "sdist")
    assert done.returncode == 0, done.stderr
    with tarfile.open(tree / "sdist" / "edgefuse-0.1.0.tar.gz") as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {str(p.relative_to(ROOT)) for p in (ROOT / "csrc").rglob("*") if p.is_file()}
    assert needed | {"CMakeLists.txt", "setup.py", "pyproject.toml", "LICENSE", "tests/cpp/check.hpp"} <= names
    assert not [name for name in names if name.endswith((".so", ".pyc"))]


@pytest.mark.slow
def test_a_wheel_without_a_compiler_holds_everything_but_the_kernels(bare_wheel: tuple[set[str], str]) -> None:
    names, said = bare_wheel
    sources = [
        p for root in ("engine", "export") for p in (ROOT / root).rglob("*") if p.suffix in (".py", ".pyi", ".typed")
    ]
    data = [p for p in (ROOT / "engine/edgefuse/data").glob("*") if p.is_file()]
    assert {str(Path(*p.relative_to(ROOT).parts[1:])) for p in (*sources, *data)} <= names
    assert not [name for name in names if name.endswith(".so")]
    assert "edgefuse is installed without its C++ kernels" in said


@pytest.mark.slow
def test_required_kernels_make_a_missing_compiler_fatal(tree: Path) -> None:
    broken = {"CC": "/bin/false", "CXX": "/bin/false", "EDGEFUSE_REQUIRE_KERNELS": "1"}
    done = build(tree, "build_wheel", tree / "fatal", **broken)
    assert done.returncode != 0
    assert not list((tree / "fatal").glob("*.whl"))


@pytest.mark.parametrize(
    ("asked", "modules"),
    [("ON", ["_kernels", "_cuda"]), ("1", ["_kernels", "_cuda"]), ("OFF", ["_kernels"]), ("auto", None)],
)
def test_cuda_kernels_are_built_by_order_or_where_a_gpu_and_a_compiler_are(
    asked: str, modules: list[str] | None
) -> None:
    if modules is None:
        here = shutil.which("nvcc") and any(Path("/dev", n).exists() for n in ("nvidiactl", "nvhost-gpu", "nvgpu"))
        modules = ["_kernels", "_cuda"] if here else ["_kernels"]
    shown = "import setuptools; setuptools.setup = lambda **given: print([m.name for m in given['ext_modules']])"
    code = f"{shown}; import runpy; runpy.run_path('setup.py')"
    environment = {**os.environ, "EDGEFUSE_CUDA": asked}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str([f"edgefuse.{name}" for name in modules]), done.stderr
