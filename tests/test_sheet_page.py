"""The page of a bundle: every figure of its datasheet in words, tables and drawings."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib", reason="the extra `report` is not installed")

from edgefuse import bundle as bundles
from edgefuse.cli import main
from edgefuse.datasheet import Datasheet
from edgefuse.schema import validate
from edgefuse.sheet_page import worths
from tiny import Tiny

WORTH = {"a": 0.3, "b": 0.2, "c": 0.1}


def figure(value: float, **more: Any) -> dict[str, Any]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05, "n": 400, "recordings": 20, **more}


def sheet(**more: Any) -> dict[str, Any]:
    """An additive one: guessing gets 1/3, each stream adds its worth."""
    sets = itertools.chain.from_iterable(itertools.combinations(WORTH, k) for k in (1, 2, 3))
    subsets = [figure(1 / 3 + sum(WORTH[n] for n in s), streams=list(s), ece=0.02, latency_ms=1.25) for s in sets]
    ages = [figure(0.9 - age / 1000, stream="a", age_ms=age) for age in (10.0, 200.0, 400.0)]
    rungs = [figure(v, streams=["a"], rung=r) for r, v in (("mask", 0.6), ("mean", 0.55))]
    whole = {"metric": "accuracy", "split": "made up", "latency_of": "Some Processor", "subsets": subsets}
    return {"schema_version": 1, **whole, "ages": ages, "rungs": rungs, **more}


def bundle_with(path: Path, document: dict[str, Any]) -> Path:
    tiny = Tiny()
    files = {**tiny.files(), "datasheet.json": json.dumps(document).encode()}
    bundles.write(path, tiny.fields(datasheet="datasheet.json"), files)
    return path


def test_streams_that_add_up_are_worth_what_they_add() -> None:
    found = worths(validate(Datasheet, sheet()), list(WORTH), 1 / 3)
    assert found == pytest.approx(WORTH)


def test_with_a_subset_unmeasured_no_worth_is_told() -> None:
    document = sheet()
    del document["subsets"][2]
    assert worths(validate(Datasheet, document), list(WORTH), 1 / 3) == {}


def test_the_page_says_every_figure(tmp_path: Path) -> None:
    page = tmp_path / "sheet.html"
    assert main(["inspect", str(bundle_with(tmp_path / "t.efb", sheet())), "--html", str(page)]) == 0
    text = page.read_text()
    for told in ("0.933", "400 of 20 recordings", "Some Processor", "1.25", "+0.300", "+0.100", "made up", "mean"):
        assert told in text
    assert text.count("<figure>") == 2 and text.count("<table>") == 3
    assert "The loss of a alone costs most: 0.633 without it." in text


def test_an_untrained_model_is_called_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "sheet.html"
    path = bundle_with(tmp_path / "t.efb", sheet(subset_trained=False))
    assert main(["inspect", str(path), "--html", str(page)]) == 0
    assert "The model was not trained to answer from subsets" in page.read_text()
    assert "The model was not trained to answer from subsets" in capsys.readouterr().out


def test_inspect_tells_ages_rungs_and_calibration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(bundle_with(tmp_path / "t.efb", sheet()))]) == 0
    out = capsys.readouterr().out
    assert "a: 0.890 at 10 ms, 0.700 at 200 ms, 0.500 at 400 ms" in out
    assert "mask: 0.600" in out and "mean: 0.550" in out
    assert "calibration 0.020, T 1.00  1.25 ms" in out


def test_without_a_datasheet_there_is_nothing_to_draw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Tiny().write(tmp_path / "t.efb")
    assert main(["inspect", str(tmp_path / "t.efb"), "--html", str(tmp_path / "p.html")]) == 2
    assert "has no datasheet to draw" in capsys.readouterr().err
    assert not (tmp_path / "p.html").exists()
