"""A ready ONNX fusion with branches of its own travels whole, and nothing of its author does."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `export` is not installed")
pytest.importorskip("onnxscript", reason="the extra `export` is not installed")

import onnx  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from torch import nn  # noqa: E402

import edgefuse  # noqa: E402
from edgefuse_export import ClassOutput, ExportError, FusionModel, Stream, export_bundle  # noqa: E402
from edgefuse_export.graph_fusion import OnnxFusion  # noqa: E402

STREAMS = {"a": 4, "b": 5}
AUTHOR = "somebody in particular"


def branched() -> bytes:
    """[a, b] with absent ones 0; halved, by a branch that reads names of the graph around it, unless both are there."""
    port, node = helper.make_tensor_value_info, helper.make_node
    inner = port("inner", TensorProto.FLOAT, None)
    whole = helper.make_graph([node("Identity", ["joined"], ["inner"])], "whole", [], [inner], doc_string=AUTHOR)
    part = helper.make_graph([node("Mul", ["joined", "half"], ["inner"])], "part", [], [inner])
    nodes = [
        node("Split", ["present"], ["has_a", "has_b"], axis=1, num_outputs=2),
        node("Where", ["has_a", "a", "zero"], ["u_a"]),
        node("Where", ["has_b", "b", "zero"], ["u_b"]),
        node("Concat", ["u_a", "u_b"], ["joined"], axis=1),
        node("Cast", ["present"], ["bits"], to=TensorProto.FLOAT),
        node("ReduceMin", ["bits"], ["least"], keepdims=0),
        node("Cast", ["least"], ["both"], to=TensorProto.BOOL),
        node("If", ["both"], ["fused"], then_branch=whole, else_branch=part, doc_string=AUTHOR),
    ]
    held = [numpy_helper.from_array(np.float32(v), n) for n, v in {"half": 0.5, "zero": 0.0}.items()]
    inputs = [port("a", TensorProto.FLOAT, ["B", 3]), port("b", TensorProto.FLOAT, ["B", 3])]
    inputs += [port("present", TensorProto.BOOL, ["B", 2])]
    graph = helper.make_graph(nodes, "fusion", inputs, [port("fused", TensorProto.FLOAT, ["B", 6])], held)
    opsets = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9, doc_string=AUTHOR, producer_name=AUTHOR)
    model.metadata_props.add(key="author", value=AUTHOR)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def model_with(fusion: OnnxFusion) -> FusionModel:
    torch.manual_seed(1)
    streams = {name: Stream("vector", nn.Linear(d, 3), 3, {"shape": [d]}) for name, d in STREAMS.items()}
    return FusionModel(streams, fusion, 3, nn.Linear(6, 2), [ClassOutput("way", ["left", "right"])])


def test_a_branch_that_reads_around_itself_answers_on_the_device_as_here(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    samples = [{n: rng.normal(size=d).astype(np.float32) for n, d in STREAMS.items()} for _ in range(6)]
    model = model_with(OnnxFusion(branched(), list(STREAMS)))
    assert export_bundle(tmp_path / "m.efb", model, name="m", samples=samples).passed
    engine = edgefuse.load(tmp_path / "m.efb")
    for names in (("a", "b"), ("a",), ("b",)):
        given = {name: samples[0][name] for name in names}
        want = model({name: torch.tensor(value)[None] for name, value in given.items()})["way"][0].detach().numpy()
        np.testing.assert_allclose(engine.answer(given).outputs["way"], want, rtol=1e-5, atol=1e-6)
    for file in ("fusion.onnx", "model.onnx"):
        assert AUTHOR.encode() not in engine.bundle[file]


def test_a_model_that_holds_a_ready_graph_can_be_copied() -> None:
    model = model_with(OnnxFusion(branched(), list(STREAMS)))
    inputs = {name: torch.ones(2, d) for name, d in STREAMS.items()}
    assert torch.equal(copy.deepcopy(model)(inputs)["way"], model(inputs)["way"])


@pytest.mark.parametrize("source", [None, 3, ["fusion.onnx"]])
def test_what_is_neither_path_nor_bytes_is_refused(source: object) -> None:
    with pytest.raises(ExportError, match="takes a path or the bytes of an ONNX file, not "):
        OnnxFusion(source, list(STREAMS))  # type: ignore[arg-type]
