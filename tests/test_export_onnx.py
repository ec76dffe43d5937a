"""The exported graphs say what torch says, for every operator and every mask, in plain ONNX Runtime."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `export` is not installed")
pytest.importorskip("onnxscript", reason="the extra `export` is not installed")

import onnx  # noqa: E402
import onnxruntime as ort  # noqa: E402
from torch import nn  # noqa: E402

from edgefuse.pools import pool  # noqa: E402
from edgefuse.types import Array  # noqa: E402
from edgefuse_export import ExportError, FusionModel  # noqa: E402
from edgefuse_export.to_onnx import compose, encoder_body, fusion_body, head_body, to_onnx  # noqa: E402
from edgefuse_export.trace import IR_VERSION, OPSET  # noqa: E402
from small_model import NAMES, encoders, small_model, tensors  # noqa: E402

MASKS = list(itertools.product((True, False), repeat=3))
# The fusion of every operator is held against the others in test_operators.py; here it is the way through a model.
POLICIES = [("multconcat", "identity"), ("multconcat", "token"), ("max", "identity"), ("lmf", "identity")]
POLICIES += [("gated", "token"), ("attention_pooling", "identity"), ("dynamic", "identity")]


# Tracing takes seconds, so that the parts that models share are traced once.
@functools.cache
def shared_parts() -> tuple[dict[str, nn.Module], dict[str, Any]]:
    parts = encoders()
    model = small_model(parts=parts)
    return parts, {spec.name: encoder_body(model, i) for i, spec in enumerate(model.specs)}


@functools.cache
def whole(operator: str, absent: str) -> tuple[FusionModel, bytes]:
    parts, bodies = shared_parts()
    model = small_model(operator, absent, parts)
    return model, compose(model, bodies, fusion_body(model), head_body(model)).SerializeToString()


def session(content: bytes) -> ort.InferenceSession:
    """Plain ONNX Runtime; where this process has a shared pool already, it takes no session without it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.use_per_session_threads = not pool().shared
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def answers(content: bytes, inputs: dict[str, Array]) -> dict[str, Array]:
    running = session(content)
    names = [port.name for port in running.get_outputs()]
    return dict(zip(names, running.run(names, inputs), strict=True))


@pytest.mark.parametrize(("operator", "absent"), POLICIES)
def test_one_file_serves_all_masks_with_a_mask_for_each_row(operator: str, absent: str) -> None:
    model, content = whole(operator, absent)
    inputs, present = tensors(len(MASKS)), torch.tensor(MASKS)
    want = model(inputs, present)
    have = answers(content, {**{n: t.numpy() for n, t in inputs.items()}, "present": present.numpy()})
    assert list(have) == ["way", "speed"]
    for name, values in want.items():
        np.testing.assert_allclose(have[name], values.detach().numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("operator", "absent"), POLICIES)
def test_garbage_in_absent_inputs_changes_no_bit(operator: str, absent: str) -> None:
    _, content = whole(operator, absent)
    clean = {name: tensor.numpy() for name, tensor in tensors(len(MASKS)).items()}
    present = np.array(MASKS)
    for worst in (np.nan, np.inf, -3e38):
        dirty = {name: tensor.copy() for name, tensor in clean.items()}
        for i, name in enumerate(NAMES):
            dirty[name][~present[:, i]] = worst if dirty[name].dtype.kind == "f" else 65535
        before, after = (answers(content, {**inputs, "present": present}) for inputs in (clean, dirty))
        assert all(before[name].tobytes() == after[name].tobytes() for name in before)


def test_parts_have_the_interface_of_the_bundle_and_agree_with_torch() -> None:
    model = small_model("gated")
    graphs, inputs = to_onnx(model), tensors(1)
    for spec, encoder in zip(model.specs, model.encoders, strict=True):
        port = session(graphs.encoders[spec.name]).get_inputs()[0]
        types = {"tensor(float)": "float32", "tensor(uint16)": "uint16"}
        assert (port.name, types[port.type], port.shape) == ("input", spec.tensor_dtype, [1, *spec.tensor_shape])
        have = answers(graphs.encoders[spec.name], {"input": inputs[spec.name].numpy()})["embedding"]
        np.testing.assert_allclose(have, encoder(inputs[spec.name].float()).detach().numpy(), rtol=1e-5, atol=1e-5)
    fused = torch.randn(1, model.fusion.width)
    have = answers(graphs.head, {"fused": fused.numpy()})
    assert list(have) == ["way", "speed"]
    np.testing.assert_allclose(have["speed"], model.heads(fused)["speed"].detach().numpy(), rtol=1e-5, atol=1e-6)
    for content in (*graphs.encoders.values(), graphs.head, graphs.model):
        assert_portable(content)


def assert_portable(content: bytes) -> None:
    proto = onnx.load_from_string(content)
    onnx.checker.check_model(proto, full_check=True)
    assert (proto.ir_version, [(o.domain, o.version) for o in proto.opset_import]) == (IR_VERSION, [("", OPSET)])
    assert not proto.functions
    assert all(node.domain == "" for node in proto.graph.node)
    for trace in (b".py", b"/work", b"/home", b"site-packages", b"stack_trace"):
        assert trace not in content


def test_names_of_streams_do_not_meet_names_inside_the_graph() -> None:
    proto = onnx.load_from_string(whole("multconcat", "identity")[1])
    inner = {name for node in proto.graph.node for name in node.output}
    assert {name for name in inner if "/" not in name} == {"Some", "way", "speed"}
    assert all(name.split("/")[0] in (*NAMES, "Fusion", "Head", "Some") for name in inner if "/" in name)


class Branching(nn.Module):
    """Depends on the values it is given, which no graph can."""

    def forward(self, x: Any) -> Any:
        return x[:, :2] if float(x.sum()) > 0 else x[:, 1:]


def test_an_encoder_that_cannot_be_traced_is_named() -> None:
    model = small_model(parts={**encoders(), "radar": Branching()})
    with pytest.raises(ExportError, match="stream 'radar': the encoder: torch cannot export it"):
        encoder_body(model, 2)
