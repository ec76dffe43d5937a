"""A fusion that does not fit its streams is refused, naming the field, the stream and the two shapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import edgefuse
from edgefuse import bundle as bundles
from edgefuse.errors import BundleError, ConfigError
from edgefuse.operators import OPERATORS
from tiny import DIM, Tiny

ROUTES = {"gate": "gate.onnx", "gate_streams": ["a"], "branches": [{"streams": ["b"], "file": "branches/b0.onnx"}]}


def fields(**fusion: Any) -> dict[str, Any]:
    made = json.loads(json.dumps(Tiny().fields()))
    made["fusion"] |= fusion
    return dict(made)


def plain(operator: str, **more: Any) -> dict[str, Any]:
    row = OPERATORS[operator]
    return {"operator": operator, "activation": row.activation.name.lower(), "rank": row.default_rank, **more}


@pytest.mark.parametrize(
    ("fusion", "words"),
    [
        (plain("gmu"), r"fusion: operator 'gmu' joins exactly 2 streams, not 3"),
        (plain("gated_fusion"), r"fusion: operator 'gated_fusion' joins exactly 2 streams, not 3"),
        (plain("sum", activation="relu"), r"fusion: activation 'relu': operator 'sum' has 'identity'"),
        (plain("sum", rank=3), r"fusion: operator 'sum' has no rank, the model says 3"),
        (plain("sum", rank=0), r"fusion\.rank: expected int >= 1"),
        (plain("gated", grid=[2, 2]), r"fusion: operator 'gated' does not join feature maps"),
        (plain("sum", grid=[2, 2]), r"streams\.a\.embedding_dim: 4 channels, the fusion joins maps of 8"),
        (plain("sum", grid=[60000, 60000]), r"fusion: \d+ values are more than"),
        (plain("sum", grid=[2, 2, 2]), r"fusion\.grid"),
        (plain("tfn", dim=60000), r"fusion: \d+ values are more than"),
        (plain("sum", routes=ROUTES), r"fusion: routes and operator 'dynamic' go together"),
        (plain("dynamic"), r"fusion: routes and operator 'dynamic' go together"),
        (plain("dynamic", routes={**ROUTES, "gate_streams": ["z"]}), r"fusion\.routes: no stream 'z'"),
        (
            plain("dynamic", routes={**ROUTES, "branches": []}),
            r"fusion\.routes\.branches: expected list of length >= 1",
        ),
        (plain("dynamic", routes=ROUTES), r"gate\.onnx is used but not listed"),
        (plain("graph"), r"fusion: width and operator 'graph' go together"),
        (plain("sum", width=8), r"fusion: width and operator 'graph' go together"),
    ],
)
def test_a_fusion_that_does_not_fit_is_named_with_its_field(fusion: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=words):
        bundles.write(tmp_path / "x.efb", fields(**fusion), Tiny().files())


def test_more_streams_than_a_kernel_takes_are_refused(tmp_path: Path) -> None:
    tiny = Tiny({f"s{i}": 2 for i in range(17)}, "sum")
    with pytest.raises(BundleError, match=r"streams: expected list of length <= 16"):
        tiny.write(tmp_path / "x.efb")


def graph(inputs: dict[str, Any], outputs: dict[str, Any]) -> bytes:
    """A graph that reads what it is given and adds up `a`, whatever else there is."""
    ports = [helper.make_tensor_value_info(n, t, s) for n, (t, s) in inputs.items()]
    made = [helper.make_tensor_value_info(n, t, s) for n, (t, s) in outputs.items()]
    node = helper.make_node("Concat", ["a", "a"], list(outputs), axis=1)
    model = helper.make_model(
        helper.make_graph([node], "g", ports, made), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


EMBEDDINGS = {name: (TensorProto.FLOAT, [1, d + 1]) for name, d in Tiny().dims.items()}
PRESENT = {"present": (TensorProto.BOOL, [1, 3])}
FUSED = {"fused": (TensorProto.FLOAT, [1, DIM])}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            graph(EMBEDDINGS, FUSED),
            r"fusion\.onnx: inputs are \['a', 'b', 'c'\], the manifest needs \['a', 'b', 'c', 'p",
        ),
        (
            graph({**EMBEDDINGS, "present": (TensorProto.BOOL, [1, 4])}, FUSED),
            r"fusion\.onnx: input 'present' is bool \[1, 4\], not bool \[1, 3\]",
        ),
        (
            graph({**EMBEDDINGS, **PRESENT, "b": (TensorProto.FLOAT, [1, 9])}, FUSED),
            r"fusion\.onnx: input 'b' is float32 \[1, 9\], not float32 \[1, 6\]",
        ),
        (graph(EMBEDDINGS | PRESENT, {"joined": FUSED["fused"]}), r"fusion\.onnx: outputs are \['joined'\]"),
        (b"garbage", r"fusion\.onnx: ONNX Runtime refuses it"),
    ],
)
def test_a_graph_with_other_ports_is_refused_at_load(content: bytes, words: str, tmp_path: Path) -> None:
    made = fields(**plain("graph", width=DIM, file="fusion.onnx"))
    made["fallback"] = {"ladder": ["hold", "mask"]}
    files = {**Tiny().files(), "fusion.onnx": content}
    del files["fusion.bin"], files["fallback.bin"]
    bundles.write(tmp_path / "x.efb", made, files)
    with pytest.raises(BundleError, match=words):
        edgefuse.load(tmp_path / "x.efb")


def half(tiny: Tiny, folder: Path) -> edgefuse.Engine:
    tiny.write(folder / "half.efb")
    return edgefuse.load(folder / "half.efb", edgefuse.config.RunConfig(fusion_weights="float16"))


def test_float16_weights_give_the_answer_to_three_digits(tmp_path: Path) -> None:
    tiny = Tiny({"a": 30, "b": 17, "c": 4}, "multconcat")
    samples = tiny.samples()
    have = half(tiny, tmp_path).answer(samples).outputs["way"]
    want = tiny.truth(samples)
    assert not np.array_equal(have, edgefuse.load(tmp_path / "half.efb").answer(samples).outputs["way"])
    np.testing.assert_allclose(have, want, rtol=3e-3, atol=3e-3 * np.abs(want).max())


def test_products_of_large_values_stay_finite_with_float16_weights(tmp_path: Path) -> None:
    tiny = Tiny(dict.fromkeys("abcd", 2), "product")
    for name in tiny.dims:
        tiny.parameters[f"{name}.weight"][:] = 0
        tiny.parameters[f"{name}.bias"][:] = 300  # 300^4 is far beyond what a float16 holds
    tiny.head[0][:] = 0
    tiny.head[0][0] = 1
    assert half(tiny, tmp_path).answer(tiny.samples()).outputs["way"] == pytest.approx(
        300.0**4 + tiny.head[1], rel=1e-6
    )


def test_weights_that_float16_cannot_hold_are_refused_with_the_largest(tmp_path: Path) -> None:
    tiny = Tiny()
    tiny.parameters["b.weight"][1, 2] = 1e5
    with pytest.raises(ConfigError, match=r"fusion_weights: float16 cannot hold weight 100000 of this bundle"):
        half(tiny, tmp_path)
