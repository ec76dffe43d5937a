"""Smaller numbers: the tools' graphs, what is measured of each, what is taken, and what the bundle is after."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `export` is not installed")
pytest.importorskip("onnxscript", reason="the extra `export` is not installed")

from edgefuse import bundle as bundles  # noqa: E402
from edgefuse.config import RunConfig  # noqa: E402
from edgefuse.engine import Engine  # noqa: E402
from edgefuse.errors import BundleError  # noqa: E402
from edgefuse.session import Session  # noqa: E402
from edgefuse.types import Array  # noqa: E402
from edgefuse.verify import golden_samples, verify  # noqa: E402
from edgefuse_export import export_bundle, quantize  # noqa: E402
from edgefuse_export.cli import main  # noqa: E402
from edgefuse_export.errors import ExportError  # noqa: E402
from edgefuse_export.labelled import Labelled  # noqa: E402
from edgefuse_export.lower_precision import in_float16, in_int8  # noqa: E402
from edgefuse_export.parts import FUSION  # noqa: E402
from edgefuse_export.quantize import Ground, Tried, candidates, chosen, ground, lost_by  # noqa: E402
from edgefuse_export.splice import HEAD, spliced  # noqa: E402
from small_model import NAMES, raw_samples, small_model, tensors  # noqa: E402
from tiny import Tiny, linear  # noqa: E402


def quiet(items: Iterator[Any], *_: object) -> Iterator[Any]:
    return items


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("quantize") / "small.efb"
    export_bundle(place, small_model(), name="small", samples=raw_samples(3))
    return place


def rows(n: int = 60, seed: int = 3) -> Labelled:
    """Rows, each labelled as the model answers it from all streams, but for some."""
    given = {name: tensor.numpy() for name, tensor in tensors(n, seed).items()}
    answers = small_model()(tensors(n, seed), torch.ones(n, 3, dtype=torch.bool))["way"].argmax(1).numpy()
    answers[::7] = (answers[::7] + 1) % 3
    return Labelled(given, answers)


@pytest.fixture
def measured(path: Path) -> Ground:
    return ground(bundles.read(path), "way", rows(), 5.0, quiet, rounds=20)


def feeds(n: int = 40) -> list[dict[str, Array]]:
    return [{"input": row[None]} for row in rows(n, 5).tensors["depth"]]


@pytest.mark.parametrize(("precision", "off"), [("float16", 2e-3), ("int8", 5e-2)])
def test_a_graph_in_lower_precision_says_about_the_same_of_other_samples(
    path: Path, precision: str, off: float
) -> None:
    bundle = bundles.read(path)
    whole = bundle["encoders/depth.onnx"]
    small = in_float16(whole) if precision == "float16" else in_int8(whole, feeds())
    before, after = Session(whole, "before"), Session(small, "after")
    assert (before.inputs, before.outputs) == (after.inputs, after.outputs)
    for row in rows(20, 9).tensors["depth"]:
        want, have = (s.compute({"input": row[None]})["embedding"] for s in (before, after))
        np.testing.assert_allclose(have, want, atol=off * float(np.abs(want).max()), rtol=0)
        assert have.tobytes() != want.tobytes()


def test_what_the_tools_refuse_is_one_error() -> None:
    with pytest.raises(ExportError, match=r"float16: ONNX Runtime's tools refuse it"):
        in_float16(b"no graph")
    with pytest.raises(ExportError, match="int8: the graph has no Conv, Gemm, MatMul"):
        in_int8(pooled(), [])


def pooled() -> bytes:
    import onnx

    ports = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, 3]) for n in ("input", "embedding")]
    node = onnx.helper.make_node("Relu", ["input"], ["embedding"])
    return bytes(onnx.helper.make_model(onnx.helper.make_graph([node], "g", ports[:1], ports[1:])).SerializeToString())


def test_a_portable_graph_whose_parts_are_exchanged_for_themselves_answers_bit_for_bit_as_before(path: Path) -> None:
    bundle = bundles.read(path)
    parts = {s.name: bundle[s.encoder] for s in bundle.manifest.streams} | {HEAD: bundle[bundle.manifest.head.file]}
    given = {**rows(8).tensors, "present": np.array([[1, 1, 1], [1, 0, 0], [0, 1, 1], [0, 0, 0]] * 2, np.bool_)}
    want = Session(bundle["model.onnx"], "before").compute(given)
    have = Session(spliced(bundle["model.onnx"], parts), "after").compute(given)
    assert {name: values.tobytes() for name, values in have.items()} == {n: v.tobytes() for n, v in want.items()}


def test_a_portable_graph_that_was_put_together_otherwise_is_refused(path: Path) -> None:
    other = linear("m", "x", "y", np.ones((2, 3), np.float32), np.ones(3, np.float32))
    with pytest.raises(ExportError, match="the portable graph has no part 'depth' of its own"):
        spliced(other, {"depth": bundles.read(path)["encoders/depth.onnx"]})


def test_every_part_is_tried_in_every_precision_and_measured(measured: Ground) -> None:
    tried = candidates(measured, rows(40, 5), quiet)
    assert [(t.part, t.precision) for t in tried] == [
        *((name, precision) for name in (*NAMES, HEAD) for precision in ("float16", "int8")),
        (FUSION, "float16"),
    ]
    for t in tried:
        assert t.time["low"] <= t.time["p50"] <= t.time["high"] and len(t.subset) >= 1
        assert (t.refused is None) == (
            t.lost <= 5.0 and (t.time["low"] <= 1.0 if t.part == FUSION else t.time["high"] < 1.0)
        )
    # Of two files of a few hundred bytes the one of float16 may be larger; the fusion's is half of what it was.
    assert 2 * len(tried[-1].content) == len(measured.bundle["fusion.bin"])


def test_what_is_lost_is_that_of_the_worst_subset(measured: Ground) -> None:
    assert lost_by(measured, {}) == (0.0, ("imu",))
    broken = linear("e", "input", "embedding", np.zeros((3, 2), np.float32), np.zeros(2, np.float32))
    lost, subset = lost_by(measured, {"radar": broken})
    assert lost > 5.0 and "radar" in subset


def test_a_part_that_overflows_is_refused_and_the_others_are_still_tried(measured: Ground) -> None:
    huge = linear("e", "input", "embedding", np.full((3, 2), 3e38, np.float32), np.zeros(2, np.float32))
    told = quantize._tried(measured, "radar", "float16", lambda: huge)
    assert told.refused is not None and "the encoder gives nothing usable: non_finite" in told.refused


def of(part: str, lost: float, p50: float = 0.5, refused: str | None = None, content: bytes = b"") -> Tried:
    return Tried(part, "int8", content, {"p50": p50, "low": p50, "high": p50}, lost, ("imu",), refused)


def test_of_what_pays_the_fastest_is_taken_and_too_much_together_gives_back_the_most_costly(
    measured: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    together: Mapping[frozenset[str], float] = {frozenset({"imu", "radar"}): 7.0, frozenset({"imu"}): 2.0}
    monkeypatch.setattr(quantize, "lost_by", lambda own, parts: (together[frozenset(parts)], ("imu",)))
    slow, quick = of("imu", 2.0, p50=0.9), of("imu", 2.0, p50=0.4)
    best, lost, _ = chosen(measured, [slow, quick, of("radar", 4.0), of("depth", 0.0, refused="not faster")])
    assert (best, lost) == ([quick], 2.0)
    assert chosen(measured, [of("depth", 0.0, refused="not faster")]) == ([], 0.0, ())


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine where eight bits are twice as fast, and float16 is slower."""
    ratios = {"float16": 1.2, "int8": 0.5}
    time = quantize._time

    def told(own: Ground, part: str, content: bytes) -> dict[str, float]:
        time(own, part, content)
        ratio = 1.0 if part == FUSION else ratios["int8" if b"QuantizeLinear" in content else "float16"]
        return {"p50": ratio, "low": ratio, "high": ratio}

    monkeypatch.setattr(quantize, "_time", told)


def folder_of(place: Path, data: Labelled) -> Path:
    place.mkdir()
    for name, tensor in data.tensors.items():
        np.save(place / f"{name}.npy", tensor)
    np.save(place / "labels.npy", data.labels)
    return place


@pytest.mark.usefixtures("eager")
def test_the_bundle_that_is_written_is_whole(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "smaller.efb"
    data = folder_of(tmp_path / "rows", rows(120))
    given = [str(path), "--labelled", str(data), "--out", str(out), "--most-lost", "30", "--rounds", "20", "--json"]
    assert main(["quantize", *given]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document["taken"] == [*NAMES, HEAD, FUSION]
    assert all("not faster" in t["refused"] for t in document["tried"] if t["precision"] == "float16" and t["refused"])
    bundle = bundles.read(out)
    assert all(check.passed for check in verify(Engine(bundle)))
    assert bundle.manifest.provenance["quantized"] == "imu int8, depth int8, radar int8, Head int8, Fusion float16"
    assert not bundle.manifest.head.linear and bundle.manifest.fusion.stored == "float16"
    moment = next(g for g in bundle.manifest.golden if len(g.samples) == 3)
    engine = Engine(bundle)
    answer = engine.answer(golden_samples(bundle, moment)).outputs
    inputs: dict[str, Array] = {"present": np.ones((1, 3), np.bool_)}
    for plan in engine.plan.streams:
        inputs[plan.name] = plan.modality.tensor_from(golden_samples(bundle, moment)[plan.name], plan.params)[None]
    whole = Session(bundle["model.onnx"], "model.onnx").compute(inputs)
    for name, values in answer.items():
        np.testing.assert_allclose(values, whole[name][0], atol=1e-4)
    before = Engine(bundles.read(path)).answer(golden_samples(bundle, moment)).outputs["way"]
    assert answer["way"].tobytes() != before.tobytes()
    np.testing.assert_allclose(answer["way"], before, atol=0.2)


def test_where_nothing_pays_nothing_is_written_and_every_reason_is_told(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantize, "_time", lambda *_: {"p50": 1.5, "low": 1.4, "high": 1.6})
    data, out = folder_of(tmp_path / "rows", rows(40)), tmp_path / "none.efb"
    assert main(["quantize", str(path), "--labelled", str(data), "--out", str(out), "--rounds", "20"]) == 0
    said = capsys.readouterr().out
    assert said.count("not faster: 1.50 of the time") == 9 and "nothing is gained" in said
    assert not out.exists()


def test_moments_without_a_truth_and_unknown_streams_are_refused(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = rows(40)
    unknown = Labelled(data.tensors, np.where(np.arange(40) % 4 == 1, -1, data.labels))
    for folder, words in (
        (folder_of(tmp_path / "unknown", unknown), "moments have no truth"),
        (folder_of(tmp_path / "lacking", data.only(frozenset({"imu"}))), "the data has no stream 'depth'"),
    ):
        assert main(["quantize", str(path), "--labelled", str(folder), "--out", str(tmp_path / "x.efb")]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "x.efb").exists()


def stored(tmp_path: Path, **changes: Any) -> Path:
    """A tiny bundle with its weights in float16."""
    own = Tiny()
    files = own.files()
    files["fusion.bin"] = np.frombuffer(files["fusion.bin"], "<f4").astype("<f2").tobytes()
    fields = own.fields()
    fields["fusion"] |= {"stored": "float16", **changes}
    bundles.write(tmp_path / "stored.efb", fields, files)
    return tmp_path / "stored.efb"


def test_weights_that_are_stored_in_float16_answer_as_weights_that_are_held_so(tmp_path: Path) -> None:
    Tiny().write(tmp_path / "tiny.efb")
    held = Engine(bundles.read(tmp_path / "tiny.efb"), RunConfig(fusion_weights="float16"))
    have = Engine(bundles.read(stored(tmp_path))).answer(Tiny().samples()).outputs["way"]
    np.testing.assert_allclose(have, held.answer(Tiny().samples()).outputs["way"], rtol=2e-3, atol=2e-3)


def test_a_file_of_another_size_than_it_is_said_to_be_stored_in_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"fusion\.bin: has \d+ bytes, the operator needs"):
        Engine(bundles.read(stored(tmp_path, stored="float32")))
