"""What grows is what is said to grow, the rest stays, and every value is measured on a bundle of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the extra `export` is not installed")
pytest.importorskip("onnxscript", reason="the extra `export` is not installed")

from dataclasses import replace  # noqa: E402

from edgefuse.schema import changed  # noqa: E402
from edgefuse_export import growth  # noqa: E402
from edgefuse_export.cli import main  # noqa: E402
from edgefuse_export.growth import AXES, Grown, markdown, sized  # noqa: E402

TINY = {"tensor": (16, 16), "channels": 2, "stages": 2, "dim": 8, "sensor": (32, 24), "points": 200}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small models, and two values of every axis."""
    monkeypatch.setattr(growth, "SMALL", TINY)
    short = {name: replace(axis, values=axis.values[:2]) for name, axis in AXES.items()}
    monkeypatch.setattr(growth, "AXES", short)


def test_streams_are_of_the_four_kinds_in_turn() -> None:
    spec = sized(streams=6)
    assert [size.kind for size in spec.streams.values()] == ["camera", "depth", "lidar", "gps", "camera", "depth"]
    assert len(set(spec.streams)) == 6


@pytest.mark.parametrize(("given", "field"), [({"sensor": (64, 48)}, "sensor"), ({"points": 500}, "points")])
def test_one_size_grows_and_the_rest_stays(given: dict[str, object], field: str) -> None:
    base, grown = sized(), sized(**given)  # type: ignore[arg-type]
    for name, size in grown.streams.items():
        assert changed(size, **{field: getattr(base.streams[name], field)}) == base.streams[name]
        assert getattr(size, field) == given[field]


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("axis", ["streams", "rate", "engines"])
def test_every_value_of_an_axis_is_a_row(axis: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "growth.md"
    assert main(["growth", "--axes", axis, "--rounds", "100", "--out", str(out), "--json"]) == 0
    points = json.loads(capsys.readouterr().out.splitlines()[-1])["growth"]
    assert [point["value"] for point in points] == list(AXES[axis].values[:2])
    assert all(float(point["an answer, ms"]) > 0.0 for point in points)
    table = out.read_text().splitlines()
    assert len(table) == 4 and table[0].startswith(f"| {AXES[axis].title} |")


@pytest.mark.usefixtures("tiny")
def test_an_interrupt_leaves_the_rows_that_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(value: int, rounds: int) -> dict[str, object]:
        if value == AXES["streams"].values[1]:
            raise KeyboardInterrupt
        return {"an answer, ms": "1"}

    out = tmp_path / "growth.md"
    monkeypatch.setitem(growth.AXES, "streams", replace(AXES["streams"], measure=interrupted))  # type: ignore[arg-type]
    assert main(["growth", "--axes", "streams", "--out", str(out), "--json"]) == 2
    told = capsys.readouterr()
    (point,) = json.loads(told.out.splitlines()[-1])["growth"]
    assert told.err.splitlines()[-1] == f"stopped after streams {point['value']}"
    assert len(out.read_text().splitlines()) == 3


def test_axes_are_tables_of_their_own() -> None:
    told = markdown([Grown("streams", 1, {"ms": 1}), Grown("streams", 2, {"ms": 2}), Grown("points", 1000, {"x": 3})])
    assert told == (
        "| streams | ms |\n| --- | --- |\n| 1 | 1 |\n| 2 | 2 |\n"
        "\n| points of a cloud | x |\n| --- | --- |\n| 1,000 | 3 |\n"
    )


def test_an_axis_that_there_is_not_is_refused_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["growth", "--axes", "colour"]) == 2
    assert "growth: no axis 'colour'; there are streams, embedding" in capsys.readouterr().err
