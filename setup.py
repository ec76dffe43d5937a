"""Builds the C++ kernels with CMake; where that fails, the install goes on and the engine runs on NumPy."""

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
ADVICE = (
    "edgefuse is installed without its C++ kernels and will run on NumPy: same answers, slower. "
    "For the fast kernels install a C++17 compiler and make, then install edgefuse again; "
    "EDGEFUSE_REQUIRE_KERNELS=1 turns this warning into an error."
)


class CMakeBuild(build_ext):
    """`build_ext` that hands the one extension to CMake."""

    def build_extension(self, ext: Extension) -> None:
        module = Path(self.get_ext_fullpath(ext.name)).resolve()
        module.unlink(missing_ok=True)  # or a failed build would ship the module of the last one
        build = Path(self.build_temp).resolve() / "kernels"
        shutil.rmtree(build, ignore_errors=True)  # a cache would name the build environment of the last time
        try:
            for command in cmake_commands(build, module.parent):
                subprocess.run(command, check=True)
        except (ImportError, OSError, subprocess.CalledProcessError) as error:
            raise CompileError(f"{error}\n{'' if REQUIRED else ADVICE}") from error


def cmake_commands(build: Path, output: Path) -> list[list[str]]:
    """Return the commands that configure and build the kernels in `build` and put the module into `output`."""
    import pybind11

    cmake = [found] if (found := shutil.which("cmake")) else [sys.executable, "-m", "cmake"]
    options = {
        "CMAKE_BUILD_TYPE": "Release",
        "EDGEFUSE_OUTPUT_DIR": str(output),
        "Python_EXECUTABLE": sys.executable,
        "pybind11_DIR": pybind11.get_cmake_dir(),
    }
    configure = [*cmake, "-S", str(ROOT), "-B", str(build), *(f"-D{name}={value}" for name, value in options.items())]
    return [configure, [*cmake, "--build", str(build), "--parallel", "2"]]


setup(
    ext_modules=[Extension("edgefuse._kernels", sources=[], optional=not REQUIRED)],
    cmdclass={"build_ext": CMakeBuild},
)
