"""The scripts of `tools` that write pages, loaded for tests."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType


def tool(name: str) -> ModuleType:
    path = Path(__file__).resolve().parents[1] / "tools" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
