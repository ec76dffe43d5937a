"""A FusionModel as ONNX: encoders and head by torch's exporter, fusion as nodes written from the operator table."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper, inliner, numpy_helper
from onnx import compose as compose_tools
from torch import Tensor, nn

from edgefuse.manifest import StreamSpec
from edgefuse_export.errors import ExportError
from edgefuse_export.models import FusionModel
from edgefuse_export.onnx_fusion import write_fusion

OPSET, IR_VERSION = 18, 9  # ONNX Runtime 1.20 reads both
BATCH = "batch"
VALUES = "values"  # float32 input of an encoder's body, behind the cast

_TENSOR_TYPES = {"uint8": TensorProto.UINT8, "uint16": TensorProto.UINT16, "float32": TensorProto.FLOAT}


@dataclass(frozen=True, slots=True)
class Graphs:
    """The ONNX files of a bundle as bytes: encoders by stream, head, and the whole model."""

    encoders: Mapping[str, bytes]
    head: bytes
    model: bytes


def to_onnx(model: FusionModel) -> Graphs:
    """Export a model, which is put into evaluation mode. ExportError names the part that torch cannot export."""
    model.eval()
    pairs = zip(model.specs, model.encoders, strict=True)
    bodies = {spec.name: encoder_body(spec, encoder) for spec, encoder in pairs}
    head = head_body(model)
    encoders = {spec.name: _checked(_encoder(spec, bodies[spec.name]), spec.name) for spec in model.specs}
    whole = compose(model, bodies, head)
    return Graphs(encoders, _checked(_single(head), "head"), _checked(whole, "model"))


def compose(model: FusionModel, bodies: Mapping[str, Any], head: Any) -> Any:
    """model.onnx: inputs by stream name and `present` bool [B, N], outputs by name [B, K].

    Whatever lies in the input of an absent stream, it is computed and then selected away with Where. The names inside
    begin with a capital or hold a slash, which no stream and no output can.
    """
    graph = helper.make_graph([], "fusion_model", [], [])
    for spec in model.specs:
        graph.input.append(_port(spec.name, spec.tensor_dtype, spec.tensor_shape))
        graph.node.append(_cast(spec.name, f"{spec.name}/{VALUES}"))
        _append(graph, bodies[spec.name].graph, f"{spec.name}/")
    graph.input.append(helper.make_tensor_value_info("present", TensorProto.BOOL, [BATCH, len(model.specs)]))
    write_fusion(graph, model)
    _append(graph, head.graph, "Head/")
    for output in model.outputs:
        prior = numpy_helper.from_array(model.prior(output.name).detach().cpu().numpy(), f"Prior/{output.name}")
        graph.initializer.append(prior)
        graph.node.append(helper.make_node("Where", ["Some", f"Head/{output.name}", prior.name], [output.name]))
        graph.output.append(_port(output.name, "float32", (output.size,)))
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="edgefuse"
    )


def encoder_body(spec: StreamSpec, encoder: nn.Module) -> Any:
    """The encoder from float32 VALUES to `embedding`, with a free batch axis."""
    what = f"stream {spec.name!r}: the encoder"
    return _traced(encoder, (2, *spec.tensor_shape), VALUES, ["embedding"], what)


def _encoder(spec: StreamSpec, body: Any) -> Any:
    """The encoder as its own file: `input` of the tensor's dtype, batch 1."""
    proto = onnx.ModelProto()
    proto.CopyFrom(body)
    proto.graph.input[0].CopyFrom(_port("input", spec.tensor_dtype, spec.tensor_shape))
    proto.graph.node.insert(0, _cast("input", VALUES))
    return _single(proto)


class _Heads(nn.Module):
    """The head with its outputs as a tuple, in the order that the model declares."""

    def __init__(self, model: FusionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, fused: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.model.heads(fused).values())


def head_body(model: FusionModel) -> Any:
    """The head from `fused` [B, width] to its outputs by name, with a free batch axis."""
    names = [output.name for output in model.outputs]
    return _traced(_Heads(model), (2, model.fusion.width), "fused", names, "the head")


def _traced(module: nn.Module, shape: tuple[int, ...], name: str, outputs: list[str], what: str) -> Any:
    """`module` of one float32 input as ONNX with a free batch axis; no names of files or machines stay in it."""
    example = torch.zeros(shape, device=next((p.device for p in module.parameters()), torch.device("cpu")))
    try:
        with _quiet():
            program = torch.onnx.export(
                module.eval(),
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[name],
                output_names=outputs,
                dynamic_shapes=({0: torch.export.Dim(BATCH)},),
                verbose=False,
            )
        assert program is not None
        proto = inliner.inline_local_functions(program.model_proto)
    except Exception as error:
        raise ExportError(f"{what}: torch cannot export it: {' '.join(str(error).split())[:300]}") from error
    del proto.graph.value_info[:]
    _anonymise(proto)
    proto.ir_version, proto.producer_name, proto.producer_version = IR_VERSION, "edgefuse", ""
    return proto


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's deprecations and notes on packages it does not find: nothing that a user can act on."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _anonymise(proto: Any) -> None:
    """Drop what the exporter notes about source files and call stacks."""
    graph = proto.graph
    for holder in (proto, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        holder.ClearField("doc_string")
        holder.ClearField("metadata_props")


def _append(graph: Any, part: Any, prefix: str) -> None:
    """Add the nodes and weights of `part` to `graph`, all their names under `prefix`."""
    named = compose_tools.add_prefix_graph(part, prefix)
    graph.node.extend(named.node)
    graph.initializer.extend(named.initializer)


def _cast(source: str, target: str) -> Any:
    # For float32 too: ONNX Runtime drops a cast that does nothing.
    return helper.make_node("Cast", [source], [target], to=TensorProto.FLOAT)


def _single(proto: Any) -> Any:
    """A copy with batch 1 at every input and output."""
    single = onnx.ModelProto()
    single.CopyFrom(proto)
    for port in (*single.graph.input, *single.graph.output):
        port.type.tensor_type.shape.dim[0].Clear()
        port.type.tensor_type.shape.dim[0].dim_value = 1
    return single


def _port(name: str, dtype: str, shape: Sequence[int]) -> Any:
    return helper.make_tensor_value_info(name, _TENSOR_TYPES[dtype], [BATCH, *shape])


def _checked(proto: Any, what: str) -> bytes:
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"{what}: the exported graph is not valid ONNX: {str(error)[:300]}") from error
    return bytes(proto.SerializeToString())
