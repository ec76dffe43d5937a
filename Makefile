# Everything that is done with this repository; never needs root. `make help` lists it.
PYTHON ?= python3
DEMO := .venv
DEV := .venv-dev
BIN := $(DEV)/bin

BUILD_FILES := setup.py pyproject.toml MANIFEST.in CMakeLists.txt $(wildcard csrc/*.* csrc/cuda/*.* cmake/*.*)
ENGINE_FILES := $(shell find engine export -type f -not -name '*.so' -not -path '*/__pycache__/*' -not -path '*.egg-info/*')
CPP_FILES := $(wildcard csrc/*.hpp csrc/*.cpp csrc/cuda/* tests/cpp/*.hpp tests/cpp/*.cpp tests/cpp/*/*.hpp tests/cpp/*/*/*.hpp)

.PHONY: help demo install test check test-cpp test-cpp-aarch64 gpu test-python format docs pictures check-aarch64 clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

demo: $(DEMO)/.installed  ## install the runtime alone into .venv and run the demonstration
	$(DEMO)/bin/edgefuse demo

install: $(DEV)/.installed  ## install everything for development into .venv-dev

test: check test-cpp test-python  ## all checks and tests, as CI runs them

check: $(DEV)/.installed  ## ruff, mypy and clang-format; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy engine export tools
	$(BIN)/clang-format --dry-run -Werror $(CPP_FILES)

MODULE = -DPython_EXECUTABLE=$(abspath $(BIN))/python -Dpybind11_DIR=$$($(BIN)/python -m pybind11 --cmakedir)

test-cpp: $(DEV)/.installed  ## the C++ tests of the kernels, on every instruction set this machine runs
	$(BIN)/cmake -S . -B build/tests -DEDGEFUSE_TESTS=ON -DEDGEFUSE_PYTHON=OFF -DEDGEFUSE_CUDA_PYTHON=ON $(MODULE)
	$(BIN)/cmake --build build/tests --parallel 2
	$(BIN)/ctest --test-dir build/tests --output-on-failure

test-cpp-aarch64: $(DEV)/.installed  ## the C++ tests for aarch64 (NEON), cross-compiled and emulated; needs g++-aarch64-linux-gnu, qemu-user
	$(BIN)/cmake -S . -B build/aarch64 -DEDGEFUSE_TESTS=ON -DEDGEFUSE_PYTHON=OFF -DCMAKE_SYSTEM_NAME=Linux \
	  -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ -DCMAKE_EXE_LINKER_FLAGS=-static \
	  -DCMAKE_CROSSCOMPILING_EMULATOR=$(firstword $(shell which qemu-aarch64 qemu-aarch64-static 2>/dev/null))
	$(BIN)/cmake --build build/aarch64 --parallel 2
	$(BIN)/ctest --test-dir build/aarch64 --output-on-failure

# On a Jetson `make gpu GPU_RUNTIME=...whl`, one that fits it: see docs/gpu.md.
GPU_RUNTIME ?= onnxruntime-gpu
HAS_CUDA = import onnxruntime, sys; sys.exit('CUDAExecutionProvider' not in onnxruntime.get_available_providers())

gpu: $(DEV)/.installed  ## the tests on this machine's GPU, and what it measures; needs nvcc and a GPU
	@test -e /dev/nvidiactl -o -e /dev/nvhost-gpu -o -e /dev/nvgpu || { echo "no GPU here: nothing was tested"; exit 1; }
	@{ test "$(origin GPU_RUNTIME)" = file && $(BIN)/python -c "$(HAS_CUDA)"; } || { rm -rf build/gpu-runtime && \
	  $(BIN)/python -m pip download -q --disable-pip-version-check --no-deps -d build/gpu-runtime $(GPU_RUNTIME) && \
	  $(BIN)/python -m pip uninstall -qy onnxruntime onnxruntime-gpu && \
	  $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps build/gpu-runtime/*.whl; }
	$(BIN)/edgefuse doctor
	$(BIN)/cmake -S . -B build/gpu -DEDGEFUSE_TESTS=ON -DEDGEFUSE_PYTHON=OFF -DEDGEFUSE_CUDA=ON \
	  -DCMAKE_CUDA_ARCHITECTURES=native -DEDGEFUSE_CUDA_PYTHON=ON $(MODULE) -DEDGEFUSE_OUTPUT_DIR=$(CURDIR)/engine/edgefuse
	$(BIN)/cmake --build build/gpu --parallel
	$(BIN)/ctest --test-dir build/gpu --output-on-failure -R device_
	EDGEFUSE_REQUIRE_GPU=1 $(BIN)/python -m pytest -m gpu -rs
	EDGEFUSE_REQUIRE_GPU=1 $(BIN)/python tools/gpu_numbers --out build/gpu/numbers.json

test-python: $(DEV)/.installed  ## the Python tests
	EDGEFUSE_REQUIRE_KERNELS=1 $(BIN)/python -m pytest

format: $(DEV)/.installed  ## rewrite the sources in the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP_FILES)

docs: $(DEV)/.installed  ## write the pages that come from tables, and build the whole as a site into build/site
	$(BIN)/python tools/operator_pages.py
	$(BIN)/python tools/fault_page.py
	$(BIN)/python tools/reason_table.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

pictures: $(DEV)/.installed  ## draw the pictures of the documentation; needs Chromium, and Vulkan (Debian: mesa-vulkan-drivers)
	mkdir -p build && $(BIN)/edgefuse demo --out build/demo.jsonl > build/demo.txt
	$(BIN)/python tools/demo_picture.py build/demo.jsonl docs/demo.png
	$(BIN)/python tools/report_picture.py docs/report.png
	PATH="$(BIN):$$PATH" $(BIN)/python tools/rerun_picture.py docs/rerun.png

check-aarch64:  ## ask the package index whether every dependency has aarch64 wheels
	$(PYTHON) tools/check_aarch64.py

clean:  ## remove what was built; the environments too
	rm -rf build dist $(DEMO) $(DEV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find engine export tests -name __pycache__ -prune -exec rm -rf {} +
	rm -rf engine/*.egg-info export/*.egg-info *.egg-info engine/edgefuse/_kernels*.so

# The demonstration runs the installed copy, so a changed source makes a new install.
$(DEMO)/.installed: $(BUILD_FILES) $(ENGINE_FILES)
	test -x $(DEMO)/bin/python || $(PYTHON) -m venv $(DEMO)
	rm -rf build/lib.* build/bdist.*
	$(DEMO)/bin/python -m pip install --quiet --disable-pip-version-check .
	touch $@

$(DEV)/.installed: $(BUILD_FILES) constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(DEV)
	EDGEFUSE_REQUIRE_KERNELS=1 $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt
	touch $@
