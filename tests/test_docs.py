"""The documentation builds as a site without a warning, and shows the engine's own docstrings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")
    pytest.importorskip("mkdocstrings", reason="the extra `docs` is not installed")
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert (done.returncode, done.stdout.strip(), done.stderr.strip()) == (0, "", "")
    return folder


def test_the_api_is_written_from_the_docstrings(site: Path) -> None:
    page = (site / "api.html").read_text()
    for words in ("Hand over one reading", "Answer at event time t_ns", "capture time on the engine clock"):
        assert words in page


def test_nothing_of_it_is_fetched_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert "fonts.googleapis" not in page.read_text()


def test_every_page_is_in_the_table_of_contents_or_meant_not_to_be() -> None:
    configuration = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    text = str(configuration["nav"])
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert {page for page in pages if page not in text and not page.startswith("operators/")} == set()


def test_the_templates_of_issues_are_yaml_that_asks_for_something() -> None:
    templates = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[a-z]*.yml"))
    for path in templates:
        document = yaml.safe_load(path.read_text())
        assert path.stem == "config" or (document["name"] and document["description"] and document["body"])
    assert len(templates) == 4
