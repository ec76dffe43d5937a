"""The page about sources names every source there is, and its example of one's own runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from edgefuse.sources import SCHEMES
from edgefuse.sources.base import Problem

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "sources.md").read_text()
(OWN,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SITE = (50.4712, 4.0285, 46.0)


def test_every_source_has_its_part_with_a_line_that_one_could_type() -> None:
    parts = {part.split("\n", 1)[0]: part for part in PAGE.split("\n## ")[1:]}
    for scheme in SCHEMES:
        assert re.search(rf"`edgefuse run --source '?{scheme}:", parts[scheme]), scheme
        assert f"`{scheme}:" in PAGE.split("\n## ")[0], scheme


def test_the_example_of_a_source_of_ones_own_runs_in_thirty_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len([line for line in OWN.splitlines() if line]) <= 30
    rows = [f"{10 + 0.1 * k:.3f} {SITE[0] + 1e-7 * k:.7f} {SITE[1]} {SITE[2]}" for k in range(30)]
    rows[7] = "none of these"
    (tmp_path / "track.txt").write_text("\n".join(rows))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(OWN, "docs/sources.md", "exec"), names)
    assert set(names["modes"]) == {"degraded"}
    assert len(names["modes"]) >= 30
    source = names["Track"](tmp_path / "track.txt")
    assert len(list(source.samples())) == 29
    assert source.problems == [Problem(f"{tmp_path / 'track.txt'}:8", "is not TIME LATITUDE LONGITUDE ALTITUDE")]
