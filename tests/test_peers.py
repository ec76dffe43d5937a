"""Peers: the torch model made from a bundle is the bundle's model, and what cannot be rebuilt says so."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

torch = pytest.importorskip("torch", reason="the extra `export` is not installed")

from edgefuse import bundle as bundles  # noqa: E402
from edgefuse import load  # noqa: E402
from edgefuse.bench.contenders import Coarse, Preparing  # noqa: E402
from edgefuse.bench.moments import moments  # noqa: E402
from edgefuse.doctor import shipped_bundle  # noqa: E402
from edgefuse_export import ExportError, export_bundle  # noqa: E402
from edgefuse_export.from_onnx import GraphModule  # noqa: E402
from edgefuse_export.peers import Whole, peers  # noqa: E402
from small_model import raw_samples, small_model  # noqa: E402

torch.set_num_threads(1)


def test_torch_gives_the_engines_answer_on_the_shipped_bundle() -> None:
    engine = load(shipped_bundle())
    played = moments(engine.bundle)
    make = peers(engine.bundle)["torch eager"]
    assert not isinstance(make, str)
    answer = make(Preparing(engine, played))
    for moment in played[:4]:
        want = engine.answer(moment).outputs["action"]
        np.testing.assert_allclose(answer()["action"], want, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["OpenVINO, fp32", "OpenVINO, its default"])
def test_openvino_gives_the_engines_answer_and_keeps_its_buffers(name: str) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed")
    engine = load(shipped_bundle())
    played = moments(engine.bundle)
    make = peers(engine.bundle)[name]
    assert not isinstance(make, str)
    within = make.tolerance if isinstance(make, Coarse) else 1e-4
    answer = make(Preparing(engine, played))
    gc.collect()
    for moment in played[:4]:
        want = engine.answer(moment).outputs["action"]
        np.testing.assert_allclose(answer()["action"], want, rtol=1e-4, atol=within * np.abs(want).max())


def test_nothing_is_left_of_the_arithmetic_of_shapes() -> None:
    bundle = bundles.read(shipped_bundle())
    names = [type(step[0]) for step in Whole(bundle).encoders[0]._steps]  # type: ignore[union-attr]
    graph = onnx.load_model_from_string(bundle[bundle.manifest.streams[0].encoder]).graph
    shapes = [node for node in graph.node if node.op_type in ("Shape", "Squeeze")]
    assert shapes and len(names) <= len(graph.node) - len(shapes)


def model(*nodes: onnx.NodeProto, shape: tuple[int, ...], **held: np.ndarray) -> bytes:  # type: ignore[type-arg]
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    graph = helper.make_graph(
        list(nodes),
        "g",
        [value],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in held.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


I64 = np.int64


@pytest.mark.parametrize(
    ("node", "shape", "held"),
    [
        (
            helper.make_node("Slice", ["x", "s", "e", "a"], ["y"]),
            (1, 6),
            {"s": I64([1]), "e": I64([99]), "a": I64([1])},
        ),
        (helper.make_node("Gather", ["x", "i"], ["y"], axis=1), (1, 6, 2), {"i": I64([[3, 0]])}),
        (helper.make_node("Reshape", ["x", "s"], ["y"]), (1, 6), {"s": I64([0, 2, -1])}),
        (helper.make_node("Clip", ["x", "l"], ["y"]), (1, 6), {"l": np.float32(0.2)}),
        (helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2]), (1, 3, 4, 4), {}),
        (helper.make_node("GlobalAveragePool", ["x"], ["y"]), (1, 3, 4, 4), {}),
        (helper.make_node("Gemm", ["x", "w"], ["y"]), (1, 3), {"w": np.ones((3, 2), np.float32)}),
        (helper.make_node("Unsqueeze", ["x", "a"], ["y"]), (1, 3), {"a": I64([0, 2])}),
        (helper.make_node("Squeeze", ["x", "a"], ["y"]), (1, 3, 1), {"a": I64([0, 2])}),
    ],
    ids=lambda value: value.op_type if isinstance(value, onnx.NodeProto) else "",
)
def test_operators_do_as_onnx_runtime_does(
    node: onnx.NodeProto, shape: tuple[int, ...], held: dict[str, object]
) -> None:
    from edgefuse.session import Session

    data = model(node, shape=shape, **{name: np.asarray(value) for name, value in held.items()})
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    (given,) = GraphModule(data)(torch.from_numpy(x))
    np.testing.assert_allclose(given.numpy(), Session(data, "test").compute({"x": x})["y"], rtol=1e-6, atol=1e-7)


def test_a_model_that_is_rebuilt_compiles_as_one_graph(tmp_path: Path) -> None:
    """Where torch.compile must break a graph it runs half of it uncompiled, and is no fair peer."""
    path = tmp_path / "m.efb"
    export_bundle(path, small_model(), name="small", samples=raw_samples())
    whole = Whole(load(path).bundle).eval()
    with torch.inference_mode():
        want = whole(*whole.example)
        for have, value in zip(
            torch.compile(whole, fullgraph=True, backend="eager")(*whole.example), want, strict=True
        ):
            torch.testing.assert_close(have, value)


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (helper.make_node("Erf", ["x"], ["y"]), "operator 'Erf'"),
        (helper.make_node("Gemm", ["x", "x"], ["y"], transA=1), "transposed product"),
    ],
)
def test_what_is_not_known_is_named(node: onnx.NodeProto, words: str) -> None:
    with pytest.raises(ExportError, match=words):
        GraphModule(model(node, shape=(2, 2)))


@pytest.mark.parametrize("operator", ["multconcat", "gated"])
def test_other_models_are_rebuilt_too(operator: str, tmp_path: Path) -> None:
    path = tmp_path / "m.efb"
    export_bundle(path, small_model(operator), name="small", samples=raw_samples())
    engine = load(path)
    make = peers(engine.bundle)["torch eager"]
    assert not isinstance(make, str)
    moment = raw_samples(1)[0]
    for name, values in make(Preparing(engine, [moment]))().items():
        np.testing.assert_allclose(values, engine.answer(moment).outputs[name], atol=1e-4, rtol=1e-4)


def test_an_operator_without_a_torch_module_is_left_out_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "g.efb"
    export_bundle(path, small_model("early"), name="small", samples=raw_samples())
    assert peers(bundles.read(path))["torch eager"] == "operator 'early' has no torch module to rebuild it with"
