"""Each answer carries what was measured for exactly the streams it was made from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import edgefuse
from edgefuse import bundle as bundles
from edgefuse.errors import BundleError
from tiny import Tiny

FIGURE = {"streams": ["a", "c"], "value": 0.9, "low": 0.85, "high": 0.94, "n": 400}
SHEET = {"schema_version": 1, "metric": "accuracy", "split": "held-out", "subsets": [FIGURE]}


def bundle_with(path: Path, sheet: Any) -> Path:
    files = {**Tiny().files(), "datasheet.json": json.dumps(sheet).encode()}
    bundles.write(path, Tiny().fields(datasheet="datasheet.json"), files)
    return path


def test_the_figure_of_the_present_subset_comes_with_the_answer(tmp_path: Path) -> None:
    engine = edgefuse.load(bundle_with(tmp_path / "d.efb", SHEET))
    samples = Tiny().samples()
    expected = engine.answer({"a": samples["a"], "c": samples["c"]}).expected
    assert expected is not None
    assert (expected.metric, expected.value, expected.low, expected.high, expected.n) == (
        "accuracy",
        0.9,
        0.85,
        0.94,
        400,
    )
    assert engine.answer({"a": samples["a"]}).expected is None
    assert engine.answer({}).expected is None


def test_in_another_world_nothing_is_expected(tmp_path: Path) -> None:
    engine = edgefuse.load(bundle_with(tmp_path / "d.efb", SHEET))
    samples = Tiny().samples()
    assert engine.answer({"a": samples["a"], "c": samples["c"]}, in_domain=False).expected is None


@pytest.mark.parametrize(
    ("sheet", "words"),
    [
        ([], r"datasheet\.json"),
        ({**SHEET, "colour": 1}, r"datasheet\.json: colour: unknown key"),
        ({**SHEET, "subsets": [{**FIGURE, "n": 0}]}, r"subsets\.0\.n: .*greater than or equal to 1"),
        ({**SHEET, "subsets": [{**FIGURE, "streams": ["zebra"]}]}, r"subsets\.0\.streams: no stream 'zebra'"),
        ({**SHEET, "subsets": [{**FIGURE, "streams": []}]}, r"subsets\.0\.streams"),
    ],
)
def test_a_malformed_datasheet_is_refused_with_its_field(tmp_path: Path, sheet: Any, words: str) -> None:
    with pytest.raises(BundleError, match=words):
        edgefuse.load(bundle_with(tmp_path / "d.efb", sheet))
