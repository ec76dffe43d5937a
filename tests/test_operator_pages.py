"""The pages of the operators are what the table says, and there is one for each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra `export` is not installed")

from edgefuse.operators import OPERATORS
from page_tools import tool

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "operators"


def test_the_pages_are_those_of_the_table() -> None:
    for name, text in tool("operator_pages").pages().items():
        assert (FOLDER / name).read_text() == text, f"{name}: run `make docs`"


def test_there_is_a_page_for_every_operator_and_no_other() -> None:
    ours = {path.stem for path in FOLDER.glob("*.md")} - {"README", "benchmark"}
    assert ours == set(OPERATORS)


def test_every_page_says_formula_absence_cost_source_and_use() -> None:
    for name, row in OPERATORS.items():
        page = (FOLDER / f"{name}.md").read_text()
        assert all(words in page for words in (row.formula, row.absent_words, row.paper, row.use, "## Cost")), name


def test_links_lead_somewhere() -> None:
    for path in FOLDER.glob("*.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
            assert target.startswith("http") or (path.parent / target).exists(), f"{path.name}: {target}"
