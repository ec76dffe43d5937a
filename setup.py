"""Builds the C++ kernels with CMake, and those in CUDA where there is a GPU; where that fails, the install goes on.

Without the C++ kernels the engine runs on NumPy, without those in CUDA on the processor.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

ROOT = Path(__file__).resolve().parent
REQUIRED = os.environ.get("EDGEFUSE_REQUIRE_KERNELS", "") not in ("", "0")
CUDA = os.environ.get("EDGEFUSE_CUDA", "AUTO").upper()  # ON for every device, AUTO for the one that is here, or OFF
CUDA = {"1": "ON", "0": "OFF"}.get(CUDA, CUDA)
GPUS = ("/dev/nvidiactl", "/dev/nvhost-gpu", "/dev/nvgpu")  # a card; a Jetson, before and after JetPack 6
ADVICE = (
    "edgefuse is installed without its C++ kernels and will run on NumPy: same answers, slower. "
    "For the fast kernels install a C++17 compiler and make, then install edgefuse again; "
    "EDGEFUSE_REQUIRE_KERNELS=1 turns this warning into an error."
)


class CMakeBuild(build_ext):
    """`build_ext` that hands each extension to CMake."""

    def build_extension(self, ext: Extension) -> None:
        module = Path(self.get_ext_fullpath(ext.name)).resolve()
        module.unlink(missing_ok=True)  # or a failed build would ship the module of the last one
        build = Path(self.build_temp).resolve() / ext.name.rpartition(".")[2].lstrip("_")
        shutil.rmtree(build, ignore_errors=True)  # a cache would name the build environment of the last time
        options = cuda_options() if ext.name.endswith("_cuda") else {"EDGEFUSE_CUDA": "OFF"}
        try:
            for command in cmake_commands(build, module.parent, options):
                subprocess.run(command, check=True)
        except (ImportError, OSError, subprocess.CalledProcessError) as error:
            advice = "" if ext.name.endswith("_cuda") or REQUIRED else ADVICE
            raise CompileError(f"{error}\n{advice}") from error


def cuda_wanted() -> bool:
    """Are the CUDA kernels to be built: by order, or because both a compiler and a GPU are here?"""
    if CUDA != "AUTO":
        return CUDA == "ON"
    return shutil.which("nvcc") is not None and any(Path(node).exists() for node in GPUS)


def cuda_options() -> dict[str, str]:
    """The module alone; for the device that is here, unless it was ordered."""
    native = {} if CUDA == "ON" else {"CMAKE_CUDA_ARCHITECTURES": "native"}
    return {"EDGEFUSE_PYTHON": "OFF", "EDGEFUSE_CUDA_PYTHON": "ON", "EDGEFUSE_CUDA": "ON", **native}


def cmake_commands(build: Path, output: Path, more: dict[str, str]) -> list[list[str]]:
    """Return the commands that configure and build kernels in `build` and put the module into `output`."""
    import pybind11

    cmake = [found] if (found := shutil.which("cmake")) else [sys.executable, "-m", "cmake"]
    options = {
        "CMAKE_BUILD_TYPE": "Release",
        "EDGEFUSE_OUTPUT_DIR": str(output),
        "Python_EXECUTABLE": sys.executable,
        "pybind11_DIR": pybind11.get_cmake_dir(),
        **more,
    }
    configure = [*cmake, "-S", str(ROOT), "-B", str(build), *(f"-D{name}={value}" for name, value in options.items())]
    return [configure, [*cmake, "--build", str(build), "--parallel", "2"]]


KERNELS = Extension("edgefuse._kernels", sources=[], optional=not REQUIRED)
ON_A_GPU = Extension("edgefuse._cuda", sources=[], optional=CUDA != "ON")
setup(
    ext_modules=[KERNELS, ON_A_GPU] if cuda_wanted() else [KERNELS],
    cmdclass={"build_ext": CMakeBuild},
)
