"""Mock-ups: any sizes become a bundle that the engine trusts and the bench can time; bad sizes are named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `export` is not installed")

from edgefuse import load  # noqa: E402
from edgefuse.bench.moments import Feed, moments  # noqa: E402
from edgefuse.errors import ConfigError  # noqa: E402
from edgefuse_export.cli import main  # noqa: E402
from edgefuse_export.mockup import MockupSpec, StreamSize, load_spec, mockup  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
SMALL = """
name: small
operator: sum
dim: 8
streams:
  front: {kind: camera, sensor: [160, 120], tensor: [32, 24], channels: 4, stages: 2, dim: 8}
  range: {kind: depth, sensor: [80, 60], tensor: [32, 24], channels: 4, stages: 2, dim: 8}
  top: {kind: lidar, points: 5000, tensor: [32, 32], channels: 4, stages: 2, dim: 8}
  fix: {kind: gps, dim: 8}
  imu: {kind: vector, values: [20, 6], dim: 8}
"""


def test_every_kind_of_sensor_becomes_a_stream_that_the_engine_trusts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.yaml").write_text(SMALL)
    out = tmp_path / "s.efb"
    assert main(["mockup", str(tmp_path / "s.yaml"), "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.strip().splitlines()[-1])["passed"] is True
    engine = load(out)
    assert engine.plan.names == ("front", "range", "top", "fix", "imu")
    feed = Feed(engine, moments(engine.bundle))
    feed.settle()
    assert feed.answer().mode == "full"


def test_payloads_and_tensors_have_the_sizes_asked_for() -> None:
    recipe = mockup(load_spec(ROOT / "configs" / "mockups" / "edge.yaml"))
    moment = recipe.samples[0]
    assert moment["camera"].shape == (480, 640, 3) and moment["camera"].dtype == np.uint8
    assert moment["depth"].shape == (480, 640) and moment["depth"].dtype == np.uint16
    assert moment["lidar"].shape == (60_000, 4)
    shapes = {spec.name: spec.tensor_shape for spec in recipe.model.specs}
    assert shapes["camera"] == (224, 224, 3) and shapes["lidar"] == (6, 256, 256)


def test_the_same_seed_draws_the_same_model() -> None:
    spec = MockupSpec(streams={"a": StreamSize(kind="vector", values=(4,), dim=3)}, dim=5)
    first, again = (list(mockup(spec).model.state_dict().values()) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("streams: {}", "streams"),
        ("streams: {a: {kind: radar}}", "streams.a.kind"),
        ("streams: {a: {kind: camera, tensor: [4, 4]}}", "streams.a.tensor"),
        ("streams: {a: {kind: gps}}\noperator: magic", "operator: no operator 'magic'"),
        ("streams: {a: {kind: gps, size: 3}}", "size"),
    ],
)
def test_a_bad_size_is_named_with_its_place(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"m\.yaml: .*{words}"):
        load_spec(tmp_path / "m.yaml")
