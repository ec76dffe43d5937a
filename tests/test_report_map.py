"""The map of a report shows where receivers said that they were, in metres that another library gives too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pymap3d
import pytest

from edgefuse.errors import SourceError
from edgefuse.report import read_results
from edgefuse.report_map import located, track
from edgefuse.report_page import write_report
from edgefuse.report_run import COLUMNS, Run

pytest.importorskip("matplotlib", reason="the extra `report` is not installed")

PLACES = [(48.0, 11.0), (48.0, 11.0), (48.001, 11.0), (48.001, 10.998)]


def line(k: int, fix: tuple[float, float] | None, state: str = "fresh") -> dict[str, Any]:
    streams = {"gps": {"state": state, "reason": None}, "camera": {"state": "fresh", "reason": None}}
    document = {"t_ns": k * 10**8, "mode": "full", "streams": streams, "labels": {}, "bundle": {"name": "b"}}
    return document if fix is None else {**document, "fixes": {"gps": list(fix)}}


def read(path: Path, lines: list[dict[str, Any]]) -> Run:
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    return Run(read_results(path))


def test_a_track_is_in_metres_from_its_first_place_with_one_point_for_each_new_place(tmp_path: Path) -> None:
    states = ["fresh", "fresh", "absent", "fresh"]
    run = read(tmp_path / "r.jsonl", [line(k, PLACES[k], states[k]) for k in range(4)])
    metres, told = track(run, "gps")
    want = [pymap3d.geodetic2enu(*place, 0.0, *PLACES[0], 0.0)[:2] for place in (PLACES[0], *PLACES[2:])]
    np.testing.assert_allclose(metres, want, atol=1e-6)
    assert told == ["fresh", "absent", "fresh"]
    assert located(run) == ["gps"]


def test_a_long_track_is_thinned(tmp_path: Path) -> None:
    run = read(tmp_path / "r.jsonl", [line(k, (48.0 + k * 1e-6, 11.0)) for k in range(3 * COLUMNS + 5)])
    assert COLUMNS / 2 < len(track(run, "gps")[0]) <= COLUMNS


@pytest.mark.parametrize("places", [[(48.0, 11.0)], [(48.0, 11.0)] * 3, [(89.9, 179.9), (89.9, -179.9)], PLACES])
def test_a_page_has_a_map_where_the_lines_tell_places(tmp_path: Path, places: list[tuple[float, float]]) -> None:
    run = read(tmp_path / "r.jsonl", [line(0, None), *(line(k + 1, place) for k, place in enumerate(places))])
    write_report(tmp_path / "r.html", run.results, "r.jsonl")
    page = (tmp_path / "r.html").read_text()
    assert "Where it was" in page and "metres to the north" in page
    write_report(tmp_path / "n.html", run.results[:1], "r.jsonl")
    assert "Where it was" not in (tmp_path / "n.html").read_text()


@pytest.mark.parametrize("fix", [(91.0, 0.0), (0.0, 181.0)])
def test_a_place_that_is_none_is_refused_with_its_line(tmp_path: Path, fix: tuple[float, float]) -> None:
    with pytest.raises(SourceError, match=r"r\.jsonl:2: is not a result line of edgefuse run: fixes\.gps"):
        read(tmp_path / "r.jsonl", [line(0, (48.0, 11.0)), line(1, fix)])
