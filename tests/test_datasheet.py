"""Each answer carries what was measured for exactly the streams it was made from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgefuse
import edgefuse.config
from edgefuse import bundle as bundles
from edgefuse.errors import BundleError, ConfigError
from tiny import CLASSES, Tiny

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
        ({**SHEET, "subsets": [{**FIGURE, "n": 0}]}, r"subsets\.0\.n: expected int >= 1"),
        ({**SHEET, "subsets": [{**FIGURE, "streams": ["zebra"]}]}, r"subsets\.0\.streams: no stream 'zebra'"),
        ({**SHEET, "subsets": [{**FIGURE, "streams": []}]}, r"subsets\.0\.streams"),
        ({**SHEET, "ages": [{**FIGURE, "streams": ["a"]}]}, r"ages\.0\."),
        (
            {**SHEET, "ages": [{"stream": "x", "age_ms": 1.0, "value": 0.5, "low": 0.4, "high": 0.6, "n": 9}]},
            r"ages\.0\.stream: no stream 'x'",
        ),
        ({**SHEET, "rungs": [{**FIGURE, "streams": ["x"], "rung": "mask"}]}, r"rungs\.0\.streams: no stream 'x'"),
        ({**SHEET, "subsets": [{**FIGURE, "temperature": 0.0}]}, r"subsets\.0\.temperature"),
    ],
)
def test_a_malformed_datasheet_is_refused_with_its_field(tmp_path: Path, sheet: Any, words: str) -> None:
    with pytest.raises(BundleError, match=words):
        edgefuse.load(bundle_with(tmp_path / "d.efb", sheet))


def ages(stream: str, *points: tuple[float, float]) -> list[dict[str, Any]]:
    return [
        {"stream": stream, "age_ms": age, "value": v, "low": v - 0.1, "high": v + 0.1, "n": 50} for age, v in points
    ]


def whole(value: float, *streams: str, **more: Any) -> dict[str, Any]:
    return {"streams": list(streams), "value": value, "low": value - 0.05, "high": value + 0.05, "n": 400, **more}


FULL = {
    **SHEET,
    "subsets": [whole(0.9, "a", "b", "c", temperature=2.0), whole(0.7, "a", "b", temperature=0.5)],
    "ages": ages("c", (20.0, 0.92), (120.0, 0.82), (220.0, 0.72), (320.0, 0.62)),
}


def test_old_samples_lower_what_is_expected_by_what_their_age_was_measured_to_cost(tmp_path: Path) -> None:
    engine = edgefuse.load(bundle_with(tmp_path / "d.efb", FULL))
    for name, value in Tiny().samples().items():
        engine.push(name, 0, value)
    young = engine.step(50_000_000).expected
    assert young is not None and young.value == 0.9
    for name in ("a", "b"):
        engine.push(name, 160_000_000, Tiny().samples()[name])
    old = engine.step(170_000_000)
    assert old.streams["c"].state == "held" and old.streams["c"].age_ms == 170.0
    assert old.expected is not None
    assert (old.expected.value, old.expected.low) == pytest.approx((0.9 - 0.15, 0.85 - 0.15))


def test_a_sample_is_held_no_longer_than_it_was_measured_to_help(tmp_path: Path) -> None:
    # Without c the metric is 0.7: from somewhere after 220 ms on, its old samples are worse than none.
    engine = edgefuse.load(bundle_with(tmp_path / "d.efb", FULL))
    plans = {plan.name: plan for plan in engine.plan.streams}
    assert plans["c"].max_age_ns == 220_000_000
    assert plans["a"].max_age_ns == 300_000_000  # nothing measured: what the bundle says


def test_what_the_configuration_says_of_holding_wins(tmp_path: Path) -> None:
    config = edgefuse.config.parse_config(b"streams: {c: {max_age_ms: 280}}", "c.yaml")
    engine = edgefuse.load(bundle_with(tmp_path / "d.efb", FULL), config)
    assert engine.plan.streams[2].max_age_ns == 280_000_000


def test_probabilities_are_softened_by_the_subsets_own_temperature(tmp_path: Path) -> None:
    engine, samples = edgefuse.load(bundle_with(tmp_path / "d.efb", FULL)), Tiny().samples()
    for names, t in ((("a", "b", "c"), 2.0), (("a", "b"), 0.5), (("c",), 1.0), ((), 1.0)):
        result = engine.answer({name: samples[name] for name in names})
        logits = result.outputs["way"].astype(np.float64) / t
        want = np.exp(logits) / np.exp(logits).sum()
        np.testing.assert_allclose(result.probabilities["way"], want, rtol=1e-5)
        assert result.as_json()["probabilities"] == {"way": [float(p) for p in result.probabilities["way"]]}


def test_a_subset_that_was_not_measured_is_estimated_with_its_error(tmp_path: Path) -> None:
    estimate = {"base": 0.2, "worth": {"a": 0.1, "b": 0.2, "c": 0.3}, "curve": -0.01, "error": 0.05}
    engine = edgefuse.load(bundle_with(tmp_path / "d.efb", {**FULL, "estimate": estimate}))
    samples = Tiny().samples()
    measured = engine.answer({n: samples[n] for n in ("a", "b")}).expected
    told = engine.answer({n: samples[n] for n in ("a", "c")}).expected
    assert measured is not None and told is not None
    assert measured.value == 0.7
    assert told.value == pytest.approx(0.2 + 0.1 + 0.3 - 0.04)
    assert (told.high - told.value, told.value - told.low) == pytest.approx((1.96 * 0.05,) * 2, rel=1e-3)
    assert engine.answer({}).expected is None


@pytest.mark.parametrize(
    ("worth", "words"),
    [
        ({"a": 0.1, "b": 0.2}, "estimate.worth: nothing of stream 'c'"),
        ({"a": 0.1, "b": 0.2, "c": 0.3, "zebra": 0.1}, "estimate.worth: no stream 'zebra'"),
    ],
)
def test_an_estimate_is_of_every_stream_and_of_no_other(worth: Any, words: str, tmp_path: Path) -> None:
    sheet = {**FULL, "estimate": {"base": 0.2, "worth": worth, "curve": 0.0, "error": 0.1}}
    with pytest.raises(BundleError, match=words):
        edgefuse.load(bundle_with(tmp_path / "d.efb", sheet))


def test_a_bias_makes_up_for_a_class_that_is_taken_for_another_in_probabilities_and_label(tmp_path: Path) -> None:
    samples = Tiny().samples()
    plain = edgefuse.load(bundle_with(tmp_path / "p.efb", FULL)).answer(samples)
    bias = [0.0, 0.0, 0.0]
    least = int(np.argmin(plain.outputs["way"]))
    bias[least] = 50.0
    sheet = {**FULL, "output": "way", "subsets": [whole(0.9, "a", "b", "c", temperature=2.0, bias=bias)]}
    result = edgefuse.load(bundle_with(tmp_path / "b.efb", sheet)).answer(samples)
    scores = plain.outputs["way"].astype(np.float64) / 2.0 + bias
    np.testing.assert_allclose(result.probabilities["way"], np.exp(scores) / np.exp(scores).sum(), rtol=1e-5)
    assert result.labels["way"] == CLASSES[least] != plain.labels["way"]
    assert result.outputs["way"].tobytes() == plain.outputs["way"].tobytes()


def test_a_bias_has_a_value_for_each_class(tmp_path: Path) -> None:
    for output, bias in (("way", [0.1, 0.2]), (None, [0.1, 0.2, 0.3])):
        sheet = {**FULL, "output": output, "subsets": [whole(0.9, "a", "b", "c", bias=bias)]}
        with pytest.raises(BundleError, match=r"subsets\.0\.bias: \d values, output .* has \d classes"):
            edgefuse.load(bundle_with(tmp_path / "b.efb", sheet))


def test_of_an_error_less_is_better(tmp_path: Path) -> None:
    sheet = {**FULL, "metric": "mae", "better": "lower", "ages": ages("c", (20.0, 0.5), (120.0, 0.65), (220.0, 0.9))}
    path = bundle_with(tmp_path / "d.efb", sheet)
    assert edgefuse.load(path).plan.streams[2].max_age_ns == 120_000_000
    config = edgefuse.config.parse_config(b"max_expected: 0.8", "c.yaml")
    result = edgefuse.load(path, config).answer(Tiny().samples())
    assert (result.mode, result.why) == ("abstain", "expected mae 0.9 is above 0.8")
    with pytest.raises(ConfigError, match="min_expected: of mae, lower is better: say max_expected"):
        edgefuse.load(path, edgefuse.config.parse_config(b"min_expected: 0.8", "c.yaml"))


def test_a_floor_needs_a_datasheet(tmp_path: Path) -> None:
    Tiny().write(tmp_path / "t.efb")
    with pytest.raises(ConfigError, match="max_expected: the bundle has no datasheet"):
        edgefuse.load(tmp_path / "t.efb", edgefuse.config.parse_config(b"max_expected: 0.8", "c.yaml"))


def test_an_encoder_that_was_measured_to_be_small_is_given_one_thread_and_no_other(tmp_path: Path) -> None:
    alone = [{**FIGURE, "streams": [name], "latency_ms": ms} for name, ms in (("a", 0.1), ("b", 3.0), ("c", None))]
    engine = edgefuse.load(bundle_with(tmp_path / "d.efb", {**SHEET, "subsets": alone, "latency_of": "a board"}))
    assert [plan.small for plan in engine.plan.streams] == [True, False, False]
    Tiny().write(tmp_path / "unmeasured.efb")
    unmeasured = edgefuse.load(tmp_path / "unmeasured.efb")
    assert not any(plan.small for plan in unmeasured.plan.streams)
