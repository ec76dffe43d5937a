"""An answer abstains where what this device demands is not met, and says in words what that is."""

from __future__ import annotations

from pathlib import Path

import pytest

import edgefuse
from edgefuse.config import parse_config
from edgefuse.modes import Demands, judged_mode
from edgefuse.types import Expected, Mode, Reason, State, Trust
from tiny import Tiny

EXPECTED = Expected("accuracy", 0.7, 0.6, 0.8, 100)


def streams(**states: State) -> dict[str, Trust]:
    return {name: Trust(state, "ok") for name, state in states.items()}


@pytest.mark.parametrize(
    ("demands", "given", "mode", "why"),
    [
        (Demands(), streams(camera="fresh", gps="fresh"), "full", None),
        (Demands((("gps",),)), streams(camera="fresh", gps="absent"), "abstain", "needs gps"),
        (Demands((("gps",),)), streams(camera="fresh", gps="held"), "degraded", None),
        (Demands((("gps",),)), streams(camera="fresh", gps="imputed"), "abstain", "needs gps"),
        (Demands((("camera", "gps"),)), streams(camera="fresh", gps="absent"), "degraded", None),
        (
            Demands((("camera", "depth"),)),
            streams(camera="absent", depth="absent", gps="fresh"),
            "abstain",
            "needs camera or depth",
        ),
        (
            Demands(min_expected=0.75),
            streams(camera="fresh", gps="absent"),
            "abstain",
            "expected accuracy 0.7 is below 0.75",
        ),
        (Demands(min_expected=0.7), streams(camera="fresh", gps="absent"), "degraded", None),
        (Demands((("gps",),), 0.99), streams(camera="absent", gps="absent"), "blind", None),
    ],
)
def test_the_mode_and_why(demands: Demands, given: dict[str, Trust], mode: Mode, why: str | None) -> None:
    assert judged_mode(given, EXPECTED, demands) == (mode, why)


def test_a_stream_that_was_not_asked_for_is_there() -> None:
    reason: Reason = "not_asked"
    given = {"camera": Trust("fresh", "ok"), "gps": Trust("absent", "ok", reason)}
    assert judged_mode(given, None, Demands((("gps",),), 0.9)) == ("full", None)


def test_an_engine_abstains_with_its_outputs_and_the_reason_in_the_line(tmp_path: Path) -> None:
    tiny = Tiny()
    tiny.write(tmp_path / "tiny.efb")
    config = parse_config(b"require: [c, {any_of: [a, b]}]", "x.yaml")
    engine = edgefuse.load(tmp_path / "tiny.efb", config)
    samples = tiny.samples()
    free = edgefuse.load(tmp_path / "tiny.efb").answer({"a": samples["a"]})
    result = engine.answer({"a": samples["a"]})
    assert (result.mode, result.why, result.as_json()["why"]) == ("abstain", "needs c", "needs c")
    assert result.outputs["way"].tobytes() == free.outputs["way"].tobytes()
    assert engine.answer({"c": samples["c"]}).why == "needs a or b"
    assert engine.answer({"c": samples["c"], "b": samples["b"]}).mode == "degraded"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("require: [sonar]", r"x\.yaml: require\.0: no stream 'sonar' in the bundle; it has a, b, c"),
        ("require: [a, {any_of: [b, sonar]}]", r"require\.1: no stream 'sonar'"),
        ("require: [{any_of: []}]", r"require\.0"),
        ("min_expected: 0.5", r"x\.yaml: min_expected: the bundle has no datasheet"),
        (
            "executor: workers\ndeadline_ms: 5",
            r"x\.yaml: deadline_ms: with executor workers a tick waits for no encoder",
        ),
    ],
)
def test_demands_that_mean_nothing_are_refused(tmp_path: Path, text: str, words: str) -> None:
    Tiny().write(tmp_path / "tiny.efb")
    config = tmp_path / "x.yaml"
    config.write_text(text)
    with pytest.raises(edgefuse.ConfigError, match=words):
        edgefuse.load(tmp_path / "tiny.efb", config)
