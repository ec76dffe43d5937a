"""Nothing leaves the workstation that torch, the portable graph and the engine do not answer alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `export` is not installed")
pytest.importorskip("onnxscript", reason="the extra `export` is not installed")

import onnx  # noqa: E402
from onnx import helper, numpy_helper  # noqa: E402
from torch import nn  # noqa: E402

import edgefuse  # noqa: E402
from edgefuse.datasheet import Datasheet, SubsetFigure  # noqa: E402
from edgefuse.errors import BundleError  # noqa: E402
from edgefuse.verify import verify  # noqa: E402
from edgefuse_export import ClassOutput, ExportError, FusionModel, GateReport, Recipe, Stream, export_bundle  # noqa: E402
from edgefuse_export import package as packaging  # noqa: E402
from edgefuse_export.report import describe  # noqa: E402
from edgefuse_export.subsets import presence_masks  # noqa: E402
from edgefuse_export.to_onnx import Graphs, to_onnx  # noqa: E402
from small_model import LABELS, NAMES, TwoHeads, encoders, raw_samples, small_model  # noqa: E402

SHEET = Datasheet(
    metric="accuracy", split="test", subsets=(SubsetFigure(streams=("imu",), value=0.5, low=0.4, high=0.6, n=9),)
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[FusionModel, Graphs]:
    """A model with its graphs: tracing takes seconds, so most tests share them."""
    model = small_model()
    model.means = torch.randn(3, 4)
    return model, to_onnx(model)


def export(
    monkeypatch: pytest.MonkeyPatch, exported: tuple[FusionModel, Graphs], path: Path, **changes: Any
) -> GateReport:
    """Export the shared model as if its graphs were just traced, with some of them changed."""
    model, graphs = exported
    monkeypatch.setattr(packaging, "to_onnx", lambda _: replace(graphs, **changes))
    return export_bundle(path, model, name="small", samples=raw_samples(), datasheet=SHEET, domain="test")


def refused(
    monkeypatch: pytest.MonkeyPatch, exported: tuple[FusionModel, Graphs], folder: Path, **changes: Any
) -> list[str]:
    """The failures of an export that writes nothing."""
    with pytest.raises(ExportError) as caught:
        export(monkeypatch, exported, folder / "out.efb", **changes)
    assert not list(folder.iterdir())
    assert caught.value.report is not None and not caught.value.report.passed
    assert list(caught.value.problems) == caught.value.report.failures
    return list(caught.value.problems)


def test_a_sound_model_passes_and_the_engine_reproduces_its_golden_moments(
    monkeypatch: pytest.MonkeyPatch, exported: tuple[FusionModel, Graphs], tmp_path: Path
) -> None:
    report = export(monkeypatch, exported, tmp_path / "small.efb")
    engine = edgefuse.load(tmp_path / "small.efb")
    checks = verify(engine)
    assert set(checks[0].streams) == set(NAMES)
    assert len({check.streams for check in checks}) == len(checks) >= 4
    assert all(check.passed for check in checks)
    assert report.passed and report.sha256 == engine.bundle.sha256
    assert [(s.stage, s.checks) for s in report.stages] == [
        ("interface", 5),
        ("graph", 16),
        ("engine", 16),
        ("effect", 6),
    ]
    assert json.loads(json.dumps(report.as_json(), allow_nan=False))["passed"] is True
    assert "passed  engine" in describe(report)


def test_the_bundle_says_what_the_model_is(
    monkeypatch: pytest.MonkeyPatch, exported: tuple[FusionModel, Graphs], tmp_path: Path
) -> None:
    export(monkeypatch, exported, tmp_path / "small.efb")
    engine = edgefuse.load(tmp_path / "small.efb")
    manifest, model = engine.bundle.manifest, exported[0]
    assert manifest.streams == model.specs
    assert (manifest.domain, manifest.fallback.ladder, manifest.fallback.blocks) == (
        "test",
        ("hold", "mask"),
        ("mean",),
    )
    means = np.frombuffer(engine.bundle["fallback.bin"], "<f4").reshape(3, 4)
    np.testing.assert_array_equal(means, model.means)
    assert engine.datasheet == SHEET
    assert manifest.provenance["torch"] == torch.__version__
    np.testing.assert_allclose(np.exp(manifest.head.outputs[0].prior), [3 / 9, 2 / 9, 4 / 9], rtol=1e-6)


def test_the_same_model_gives_the_same_bytes(exported: tuple[FusionModel, Graphs]) -> None:
    model, graphs = exported
    again = to_onnx(model)
    assert again == graphs


def test_tokens_travel_and_stand_in_on_the_device(tmp_path: Path) -> None:
    model = vectors(2, absent="token")
    export_bundle(tmp_path / "small.efb", model, name="small", samples=ramps(2))
    bundle = edgefuse.load(tmp_path / "small.efb").bundle
    assert (bundle.manifest.fallback.ladder, bundle.manifest.fallback.blocks) == (("hold", "token"), ("token",))
    np.testing.assert_array_equal(np.frombuffer(bundle["fallback.bin"], "<f4"), model.fusion.tokens.detach().flatten())


def change_weight(content: bytes, change: Callable[[Any], None]) -> bytes:
    """The same graph with its largest float weight changed in place."""
    proto = onnx.load_from_string(content)
    floats = [w for w in proto.graph.initializer if w.data_type == onnx.TensorProto.FLOAT]
    weight = max(floats, key=lambda w: numpy_helper.to_array(w).size)
    array = numpy_helper.to_array(weight).copy()
    change(array)
    weight.CopyFrom(numpy_helper.from_array(array, weight.name))
    return bytes(proto.SerializeToString())


def grow(array: Any) -> None:
    array += 0.01


def test_an_altered_model_graph_is_named_with_every_subset_that_differs(
    monkeypatch: pytest.MonkeyPatch, exported: tuple[FusionModel, Graphs], tmp_path: Path
) -> None:
    altered = change_weight(exported[1].model, grow)
    problems = refused(monkeypatch, exported, tmp_path, model=altered)
    assert {p.split(":")[0] for p in problems} == {"graph"}
    assert any("subset imu+depth+radar: output 'way': max abs error" in p for p in problems)
    assert not any("subset none" in p for p in problems)


def test_an_altered_encoder_fails_on_the_engine_only_where_it_is_used(
    monkeypatch: pytest.MonkeyPatch, exported: tuple[FusionModel, Graphs], tmp_path: Path
) -> None:
    altered = {**exported[1].encoders, "radar": change_weight(exported[1].encoders["radar"], grow)}
    problems = refused(monkeypatch, exported, tmp_path, encoders=altered)
    assert {p.split(":")[0] for p in problems} == {"engine"}
    assert all("radar" in p.split(":")[1] for p in problems)


def test_a_graph_with_another_interface_is_named_and_the_other_stages_still_run(
    monkeypatch: pytest.MonkeyPatch, exported: tuple[FusionModel, Graphs], tmp_path: Path
) -> None:
    problems = refused(monkeypatch, exported, tmp_path, head=exported[1].encoders["radar"])
    assert any(p.startswith("interface: head.onnx: inputs are ['input']") for p in problems)
    assert any(p.startswith("engine: ") for p in problems)
    assert not any(p.startswith("graph: ") for p in problems)


def test_a_presence_bit_that_nothing_reads_is_named(
    monkeypatch: pytest.MonkeyPatch, exported: tuple[FusionModel, Graphs], tmp_path: Path
) -> None:
    proto = onnx.load_from_string(exported[1].model)
    proto.graph.initializer.append(numpy_helper.from_array(np.array([[True, True, False]]), "Forced"))
    for node in proto.graph.node:
        node.input[:] = ["Heard" if name == "present" else name for name in node.input]
    proto.graph.node.insert(0, helper.make_node("Or", ["present", "Forced"], ["Heard"]))
    problems = refused(monkeypatch, exported, tmp_path, model=proto.SerializeToString())
    dead = [p for p in problems if p.startswith("effect: ")]
    assert dead == [
        f"effect: presence of {n!r} changes no output: the model does not hear it" for n in ("imu", "depth")
    ]
    assert any(p.startswith("graph: subset radar") for p in problems)


def test_an_input_that_the_model_does_not_use_is_named(tmp_path: Path) -> None:
    model = vectors(2)
    with torch.no_grad():
        model.encoders[0].weight.zero_()
    with pytest.raises(ExportError) as caught:
        export_bundle(tmp_path / "out.efb", model, name="small", samples=ramps(2))
    assert caught.value.problems == ("effect: input 's0' changes no output: the model does not use it",)
    assert not list(tmp_path.iterdir())


def nan_weight(model: FusionModel) -> FusionModel:
    with torch.no_grad():
        model.fusion.projections[2].weight[0, 0] = float("nan")
    return model


BROKEN: dict[str, Callable[[], FusionModel]] = {
    "weight 'fusion.projections.2.weight' holds values that are not finite": lambda: nan_weight(small_model()),
    "stream 'radar': the encoder gives [B, 3], not [B, 2]": lambda: small_model(
        parts={**encoders(), "radar": nn.Identity()}
    ),
    "stream 'radar': the encoder gives [B], not [B, 2]": lambda: small_model(
        parts={**encoders(), "radar": nn.Flatten(0)}
    ),
    "stream 'radar': the encoder fails on a tensor [B, 3]": lambda: small_model(
        parts={**encoders(), "radar": nn.Linear(4, 2)}
    ),
    "the head fails on a fused vector [B, 16]": lambda: small_model(head=TwoHeads(15)),
    "the head gives ['action'], the outputs are ['way', 'speed']": lambda: small_model(head=OneHead("action")),
}


class OneHead(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name, self.linear = name, nn.Linear(16, 3)

    def forward(self, fused: Any) -> Any:
        return {self.name: self.linear(fused)}


@pytest.mark.parametrize("message", BROKEN)
def test_a_broken_model_is_refused_by_name_before_anything_is_traced(
    message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(packaging, "to_onnx")
    with pytest.raises(ExportError) as caught:
        export_bundle(tmp_path / "out.efb", BROKEN[message](), name="small", samples=raw_samples())
    assert message in str(caught.value)
    assert caught.value.report is None
    assert not list(tmp_path.iterdir())


def test_labels_that_do_not_count_up_are_named_with_both_shapes(tmp_path: Path) -> None:
    model = small_model(head=nn.Linear(16, 4))
    model.outputs = model.outputs[:1]
    with pytest.raises(ExportError, match=r"output 'way': the head gives \[B, 4\], not \[B, 3\]"):
        export_bundle(tmp_path / "out.efb", model, name="small", samples=raw_samples())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("radar"), "samples.1: no payload of stream 'radar'"),
        (lambda s: s.update(sonar=s["radar"]), "samples.1: no stream 'sonar'"),
        (lambda s: s.update(radar=s["radar"].astype(np.float64)), "samples.1.radar: the device refuses it: bad_dtype"),
        (lambda s: s.update(radar=s["radar"] * np.nan), "samples.1.radar: the device refuses it: non_finite"),
        (lambda s: s.update(depth=s["depth"] * 0), "samples.1.depth: the device refuses it: too_few_pixels"),
    ],
)
def test_samples_that_the_device_would_refuse_are_named(
    change: Callable[[dict[str, Any]], object], message: str, tmp_path: Path
) -> None:
    samples = raw_samples()
    change(samples[1])
    with pytest.raises(ExportError) as caught:
        export_bundle(tmp_path / "out.efb", small_model(), name="small", samples=samples)
    assert message in str(caught.value)


def test_no_samples_is_an_error() -> None:
    with pytest.raises(ExportError, match="no samples"):
        export_bundle("never.efb", small_model(), name="small", samples=[])


def test_a_place_that_cannot_be_written_is_a_bundle_error(
    monkeypatch: pytest.MonkeyPatch, exported: tuple[FusionModel, Graphs], tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match="cannot be written"):
        export(monkeypatch, exported, tmp_path / "no" / "such" / "folder.efb")


def test_masks_are_all_subsets_up_to_eight_streams_and_a_fair_choice_above() -> None:
    assert len(presence_masks(vectors(4))) == len(presence_masks(vectors(4, derived={}))) == 16
    assert len(presence_masks(vectors(8))) == 256
    many = presence_masks(vectors(12))
    assert len(many) == len(set(many)) <= 256
    assert {sum(mask) for mask in many} >= {0, 1, 11, 12}
    assert not any(mask[1] and not mask[0] for mask in presence_masks(vectors(4, derived={"s1": "s0"})))


def vectors(n: int, derived: dict[str, str] | None = None, absent: Any = "identity") -> FusionModel:
    """Streams of one number each, averaged."""
    parents = derived or {}
    torch.manual_seed(4)
    streams = {
        f"s{i}": Stream("vector", nn.Linear(1, 1), 1, {"shape": [1]}, derived_from=parents.get(f"s{i}"))
        for i in range(n)
    }
    return FusionModel(streams, "average", 1, nn.Linear(1, 3), [ClassOutput("way", LABELS)], absent)


def ramps(streams: int) -> list[dict[str, Any]]:
    return [{f"s{i}": np.array([k + i], np.float32) for i in range(streams)} for k in range(3)]


def test_a_recipe_has_the_defaults_of_a_first_bundle() -> None:
    recipe = Recipe(small_model(), "small", raw_samples())
    assert (recipe.domain, recipe.bundle_version, recipe.datasheet) == ("unknown", 1, None)
