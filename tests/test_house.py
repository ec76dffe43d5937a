"""The rules of the house: who may import whom, what may not be imported at all, and how long things may be."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ENGINE = ROOT / "engine" / "edgefuse"
EXPORT = ROOT / "export" / "edgefuse_export"
SOURCES = sorted([*ENGINE.rglob("*.py"), *EXPORT.rglob("*.py")])
KERNEL_SOURCES = sorted(path for ending in ("hpp", "cpp", "cuh", "cu") for path in (ROOT / "csrc").rglob(f"*.{ending}"))

# The floors of the engine, ground first. A file imports from lower floors only; a folder is one room.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("reasons",),
    ("errors", "types", "version", "files", "buffers", "colours", "complaints", "_kernels", "_cuda"),
    (
        "joins",
        "calibration",
        "fusion_base",
        "schema",
        "shapley",
        "geodesy",
        "stopwatch",
        "command",
        "pace",
        "gate",
        "choice",
        "deadline",
        "modes",
        "page",
        "patches",
        "progress",
        "laps",
        "traffic",
        "told",
    ),
    ("vigil", "drawing", "plain_yaml", "container", "pictures"),
    ("ros",),
    ("arguments",),
    ("reference", "reference_joins"),
    ("reference_maps", "reference_subsets", "reference_looks", "reference_resize"),
    ("algebra",),
    ("operators", "kernels"),
    ("fusion_spec", "fallback_spec", "config"),
    ("manifest",),
    ("bundle", "device", "pools"),
    ("device_looks",),
    ("device_payload",),
    ("session", "modalities", "gpu_facts"),
    ("datasheet", "sources", "graph_fusion", "impute", "aside"),
    ("fusion_layout", "asked", "placement", "tray"),
    ("plan",),
    ("streams", "health", "encode", "fallback", "fuse", "head", "staging"),
    ("encode_device", "fuse_device", "head_device"),
    ("captured",),
    ("verdicts", "attribution", "results"),
    ("model",),
    ("worker", "front", "ticks", "feeds"),
    ("executors", "offline"),
    ("executor_device",),
    ("parts_device",),
    ("parts",),
    ("engine", "faults", "sinks", "recorded"),
    (
        "replay",
        "verify",
        "doctor",
        "survey",
        "contents",
        "summary",
        "report",
        "report_run",
        "live",
        "campaign",
        "scores",
    ),
    ("findings", "explain", "proposal", "report_axes", "report_text"),
    ("outcome", "trial"),
    ("limits",),
    ("run", "bench", "inject", "inject_text", "inject_figures", "report_curves", "report_map"),
    ("demo", "inject_page", "explain_page", "sheet_page", "report_figures", "report_tables"),
    ("bench_verb", "doctor_verb", "explain_verb", "inject_verb", "report_page"),
    ("cli",),
)
STAGES = ("streams", "health", "encode", "fallback", "fuse", "head")


def floor_of(module: str) -> int:
    return next(i for i, floor in enumerate(FLOORS) if module in floor)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms(path: Path) -> set[str]:
    """The rooms of the engine that a file imports from."""
    known = {name for floor in FLOORS for name in floor}
    parts = (name.split(".") for name in imports(path) if name.startswith("edgefuse."))
    return {part[1] for part in parts if part[1] in known}


@pytest.mark.parametrize("path", [p for p in SOURCES if ENGINE in p.parents], ids=lambda p: str(p.relative_to(ENGINE)))
def test_imports_point_downwards(path: Path) -> None:
    own = path.relative_to(ENGINE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    upward = {room for room in rooms(path) if floor_of(room) >= floor_of(own)}
    assert upward - {own} == set()


def test_a_pattern_ends_where_the_text_ends() -> None:
    found = [p for path in SOURCES for p in re.findall(r'(?:pattern=|PATTERN = )r"([^"]+)"', path.read_text())]
    assert len(found) > 4
    assert [pattern for pattern in found if not pattern.endswith(r"\Z")] == []  # $ lets a newline pass


def test_stages_do_not_import_each_other() -> None:
    for stage in STAGES:
        assert rooms(ENGINE / f"{stage}.py") & set(STAGES) == set()


def test_every_file_has_its_floor() -> None:
    names = {p.relative_to(ENGINE).parts[0].removesuffix(".py") for p in SOURCES if ENGINE in p.parents}
    assert names - {name for floor in FLOORS for name in floor} - {"__init__"} == set()


@pytest.mark.parametrize(
    ("module", "only"),
    # The bench's child shows ONNX Runtime as others call it, with nothing of ours.
    [
        ("onnxruntime", {"session.py", "pools.py", "child.py"}),
        ("yaml", {"plain_yaml.py"}),
        ("edgefuse._kernels", {"kernels.py"}),
        ("edgefuse._cuda", {"device.py"}),
    ],
)
def test_some_modules_have_one_door(module: str, only: set[str]) -> None:
    users = {p.name for p in SOURCES if ENGINE in p.parents and module in set(imports(p))}
    assert users == only


def test_the_runtime_never_imports_torch_or_onnx() -> None:
    for path in SOURCES:
        if ENGINE in path.parents:
            assert {name.split(".")[0] for name in imports(path)} & {"torch", "onnx", "pickle"} == set()


def test_importing_edgefuse_loads_nothing_heavy() -> None:
    heavy = ["torch", "onnx", "onnxruntime", "matplotlib", "cv2"]
    code = f"import sys, edgefuse, edgefuse.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_opens_with_one_sentence(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert text is not None, "no docstring"
    assert text.split("\n\n")[0].rstrip().endswith((".", "?", ":")), text.splitlines()[0]


@pytest.mark.parametrize("path", KERNEL_SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_kernel_file_opens_with_a_comment(path: Path) -> None:
    assert path.read_text().startswith(("//", "/*"))


@pytest.mark.parametrize("path", [*SOURCES, *KERNEL_SOURCES], ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_is_longer_than_250_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 250


def function_lengths(path: Path) -> Iterator[int]:
    """Lines of each function's body, its docstring left out."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            if body:
                yield (body[-1].end_lineno or 0) - body[0].lineno + 1


def test_functions_are_short() -> None:
    lengths = sorted(length for path in SOURCES for length in function_lengths(path))
    assert statistics.median(lengths) <= 10
    assert lengths[int(len(lengths) * 0.9)] <= 35


def test_the_version_is_said_once_and_the_same_everywhere() -> None:
    import edgefuse

    assert f'version = "{edgefuse.__version__}"' in (ROOT / "pyproject.toml").read_text().splitlines()


def test_the_public_face_is_what_it_says() -> None:
    import edgefuse

    assert sorted(edgefuse.__all__) == edgefuse.__all__
    assert all(hasattr(edgefuse, name) for name in edgefuse.__all__)
