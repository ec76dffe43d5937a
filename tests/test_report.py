"""A run is drawn from its lines, and what is no run is refused with the line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgefuse.errors import SinkError, SourceError
from edgefuse.report import draw, read_results


def line(t_ms: int, state: str = "fresh", mode: str = "full", truth: str | None = None) -> dict[str, Any]:
    stream = {"state": state, "reason": None if state == "fresh" else "stuck"}
    result = {"t_ns": t_ms * 1_000_000, "mode": mode, "streams": {"a": stream}, "labels": {"way": "left"}}
    named = {"bundle": {"name": "tiny", "version": 1}}
    return {**result, **named, **({"truth": {"way": truth}} if truth else {})}


def test_a_run_becomes_a_picture(tmp_path: Path) -> None:
    states = ["fresh"] * 5 + ["held"] * 8 + ["absent"] * 3
    results = [line(100 * i, state, truth="right") for i, state in enumerate(states)]
    draw(results, tmp_path / "r.png")
    draw(results[:1], tmp_path / "r.svg")
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "r.svg").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.png", "r.svg"]


def test_reasons_are_written_into_their_lane(tmp_path: Path) -> None:
    draw([line(100 * i, "held") for i in range(20)], tmp_path / "r.svg")
    assert "stuck" in (tmp_path / "r.svg").read_text()


def test_a_picture_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"gone/r\.png: cannot be written"):
        draw([line(0)], tmp_path / "gone" / "r.png")
    with pytest.raises(SinkError, match=r"r\.docx: cannot be drawn"):
        draw([line(0)], tmp_path / "r.docx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["not json", "[]", '{"t_ns": 5}', "\x00"])
def test_a_line_that_is_no_result_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(line(0)) + "\n" + text + "\n")
    with pytest.raises(SourceError, match=r"r\.jsonl:2: is not a result line"):
        read_results(path)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [("t_ns", "now", r"t_ns: expected int, got str"), ("streams", {"a": 5}, r"streams\.a"), ("bundle", 1, r"bundle")],
)
def test_a_field_that_no_run_writes_is_named(tmp_path: Path, field: str, value: object, words: str) -> None:
    (tmp_path / "r.jsonl").write_text(json.dumps({**line(0), field: value}) + "\n")
    with pytest.raises(SourceError, match=r"r\.jsonl:1: is not a result line of edgefuse run: " + words):
        read_results(tmp_path / "r.jsonl")


def test_lines_of_two_models_are_not_one_run(tmp_path: Path) -> None:
    other = {**line(100), "streams": {"b": {"state": "fresh", "reason": None}}}
    (tmp_path / "r.jsonl").write_text(json.dumps(line(0)) + "\n" + json.dumps(other) + "\n")
    with pytest.raises(SourceError, match=r"r\.jsonl:2: names other streams or outputs than line 1"):
        read_results(tmp_path / "r.jsonl")


def test_lines_that_go_back_in_time_are_not_one_run(tmp_path: Path) -> None:
    times = (0, 100, 100, 200, 0, 100)
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(line(t)) + "\n" for t in times))
    with pytest.raises(SourceError, match=r"r\.jsonl:5: lies before the line above it"):
        read_results(tmp_path / "r.jsonl")


@pytest.mark.parametrize(
    "more",
    [
        {"t_ns": 1 << 63},
        {"outputs": {"v": [float("nan")]}},
        {"timing_ms": {"total": float("inf")}},
        {"timing_ms": {"total": "1"}},
        {"expected": {"metric": "accuracy"}},
        {"attribution": {"way": [1.0]}},
        {"streams": {"a": {"state": "fresh", "reason": None, "age_ms": 1e300}}},
    ],
)
def test_a_field_that_could_not_be_drawn_is_named_and_not_drawn(tmp_path: Path, more: dict[str, Any]) -> None:
    (tmp_path / "r.jsonl").write_text(json.dumps(line(0)) + "\n" + json.dumps({**line(100), **more}) + "\n")
    with pytest.raises(SourceError, match=r"r\.jsonl:2: is not a result line of edgefuse run: " + next(iter(more))):
        read_results(tmp_path / "r.jsonl")


def test_a_label_is_no_formula(tmp_path: Path) -> None:
    draw([{**line(100 * i), "labels": {"way": "$\\frac{$"}} for i in range(3)], tmp_path / "r.svg")
    assert (tmp_path / "r.svg").stat().st_size > 0


def test_an_empty_or_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(SourceError, match=r"empty\.jsonl: holds no results"):
        read_results(tmp_path / "empty.jsonl")
    with pytest.raises(SourceError, match=r"none\.jsonl: cannot be read"):
        read_results(tmp_path / "none.jsonl")
