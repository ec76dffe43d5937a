"""A configuration is plain YAML with known keys; whatever else comes is refused with its path."""

from __future__ import annotations

from pathlib import Path

import pytest

import edgefuse
from edgefuse.config import RunConfig, load_config, parse_config, steps_of
from edgefuse.errors import ConfigError
from tiny import Tiny


def test_nothing_is_a_configuration() -> None:
    assert parse_config(b"", "x.yaml") == RunConfig()


def test_known_keys_are_read() -> None:
    config = parse_config(b"tick_hz: 5\nstreams:\n  camera: {topic: image_02, ladder: [hold, mean]}\n", "x.yaml")
    assert config.tick_hz == 5.0
    assert config.streams["camera"].topic == "image_02"
    assert [step.rung for step in steps_of(config.streams["camera"].ladder or ())] == ["hold", "mean"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"tick_hzz: 5", r"x\.yaml: tick_hzz: unknown key"),
        (b"streams: {camera: {max_age: 5}}", r"streams\.camera\.max_age: unknown key"),
        (b"tick_hz: 1e3", r"tick_hz: expected float, got str \(given '1e3'\)"),
        (b"tick_hz: .nan", r"tick_hz"),
        (b"tick_hz: 0", r"tick_hz: expected float >= 0\.001 \(given "),
        (b"tick_hz: yes", r"tick_hz: "),
        (b"tick_hz: 5\ntick_hz: 6", r"key 'tick_hz' stands twice"),
        (b"ladder: [hold, pray]", r"ladder\.1: must be one of 'hold', 'impute', 'mean', 'token', 'mask'"),
        (b"ladder: []", r"ladder: expected list of length >= 1"),
        (b"seed: 2020-01-01", r"x\.yaml: "),
        (b"- a\n- b", r"not a mapping"),
        (b"a: [", r"not plain YAML"),
        (b"a: !!python/object/apply:os.system ['true']", r"not plain YAML"),
        (b"[" * 5000, r"not plain YAML"),
        (b"\xff\xfe\xfa", r"not plain YAML"),
        (b"faults: [{stream: a, kind: off, from_s: 1}]", r"faults\.0\.to_s: is missing"),
        (b"tick_hz: 1.0e-300", r"tick_hz: expected float >= 0\.001 \(given "),
        (b"wait_ms: 1.0e+305", r"wait_ms: expected float <= 1000000000\.0"),
        (b"deadline_ms: 1.0e+13", r"deadline_ms"),
        (b"streams: {a: {max_age_ms: 1.0e+305}}", r"streams\.a\.max_age_ms"),
        (b"streams: {a: {period_ms: 1.0e-9}}", r"streams\.a\.period_ms"),
        (b"streams: {a: {clock: k, latency_ms: 1.0e+305}}", r"streams\.a\.latency_ms"),
        (b"faults: [{stream: a, kind: off, from_s: 1, to_s: 2, delay_ms: 1.0e+300}]", r"faults\.0\.delay_ms"),
        (b"faults: [{stream: a, kind: off, from_s: 1, to_s: 2, jump_s: 1.0e+300}]", r"faults\.0\.jump_s"),
        (b"? [1, 2]\n: 3", r"not plain YAML: .*a key is no plain value"),
    ],
)
def test_what_is_wrong_is_named_with_its_path(text: bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        parse_config(text, "x.yaml")
    assert str(caught.value).startswith("x.yaml: ")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        load_config(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("streams: {zebra: {fresh_ms: 5}}", r"run\.yaml: streams\.zebra: no such stream in the bundle; it has a, b, c"),
        ("streams: {a: {fresh_ms: 500}}", r"streams\.a: max_age_ms 300\.0 is below fresh_ms 500\.0"),
        ("streams: {a: {checks: {min_points: 5}}}", r"streams\.a\.checks: min_points: unknown key"),
        ("streams: {a: {preprocess: {shape: [9]}}}", r"streams\.a: preprocessing gives float32 \[9\]"),
        ("streams: {a: {preprocess: {size: 9}}}", r"run\.yaml: streams\.a\.preprocess: size: unknown key"),
        ("streams: {a: {derived_from: a}}", r"streams\.a\.derived_from: no other stream 'a'"),
        ("streams: {a: {checks: {stuck_samples: 1}}}", r"streams\.a\.checks: stuck_samples: must be 0 or at least 2"),
        ("streams: {a: {checks: {stuck_samples: -1}}}", r"streams\.a\.checks: stuck_samples"),
        ("streams: {a: {derived_from: zebra}}", r"streams\.a\.derived_from: no other stream 'zebra'"),
    ],
)
def test_a_change_that_does_not_fit_the_bundle_is_named(tmp_path: Path, text: str, words: str) -> None:
    Tiny().write(tmp_path / "tiny.efb")
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(edgefuse.EdgefuseError, match=words):
        edgefuse.load(tmp_path / "tiny.efb", tmp_path / "run.yaml")


def test_a_rung_without_its_embeddings_is_refused(tmp_path: Path) -> None:
    tiny = Tiny()
    files = {name: content for name, content in tiny.files().items() if name != "fallback.bin"}
    edgefuse.bundle.write(tmp_path / "bare.efb", tiny.fields(fallback={}), files)
    with pytest.raises(ConfigError, match=r"streams\.a\.ladder: rung 'mean': the bundle holds no such embeddings"):
        edgefuse.load(tmp_path / "bare.efb", RunConfig(ladder=("hold", "mean")))
