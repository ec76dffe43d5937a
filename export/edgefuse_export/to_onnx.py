"""A FusionModel as ONNX: encoders, fusion and head by torch's exporter, and the whole of them as one portable graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from edgefuse.manifest import StreamSpec
from edgefuse_export.errors import ExportError
from edgefuse_export.fusion import Fusion
from edgefuse_export.graph_fusion import GraphFusion, OnnxFusion
from edgefuse_export.graphs.dynamic import Dynamic
from edgefuse_export.models import FusionModel
from edgefuse_export.routes import routed_bodies
from edgefuse_export.trace import BATCH, IR_VERSION, OPSET, rename, traced

VALUES = "values"  # float32 input of an encoder's body, behind the cast

_TENSOR_TYPES = {"uint8": TensorProto.UINT8, "uint16": TensorProto.UINT16, "float32": TensorProto.FLOAT}


@dataclass(frozen=True, slots=True)
class Graphs:
    """The ONNX files of a bundle as bytes: encoders by stream, head, the whole model, and the fusion's by file name."""

    encoders: Mapping[str, bytes]
    head: bytes
    model: bytes
    fusion: Mapping[str, bytes] = field(default_factory=dict)


def to_onnx(model: FusionModel) -> Graphs:
    """Export a model, which is put into evaluation mode. ExportError names the part that torch cannot export."""
    model.eval()
    bodies = {spec.name: encoder_body(model, i) for i, spec in enumerate(model.specs)}
    fusion, head = fusion_body(model), head_body(model)
    encoders = {spec.name: _checked(_encoder(spec, bodies[spec.name]), spec.name) for spec in model.specs}
    whole = compose(model, bodies, fusion, head)
    graphs = {name: _checked(single(body), name) for name, body in fusion_files(model, fusion).items()}
    return Graphs(encoders, _checked(head, "head"), _checked(whole, "model"), graphs)


def compose(model: FusionModel, bodies: Mapping[str, Any], fusion: Any, head: Any) -> Any:
    """model.onnx: inputs by stream name and `present` bool [B, N], outputs by name [B, K].

    Whatever lies in the input of an absent stream, it is computed and then selected away with Where. The names inside
    begin with a capital or hold a slash, which no stream and no output can.
    """
    graph = helper.make_graph([], "fusion_model", [], [])
    for spec in model.specs:
        graph.input.append(_port(spec.name, spec.tensor_dtype, spec.tensor_shape))
        graph.node.append(_cast(spec.name, f"{spec.name}/{VALUES}"))
        append(graph, bodies[spec.name].graph, f"{spec.name}/", {f"{spec.name}/embedding": f"Fusion/{spec.name}"})
    graph.input.append(helper.make_tensor_value_info("present", TensorProto.BOOL, [BATCH, len(model.specs)]))
    fused = "Fusion/fused" if model.presence_bits else "Head/fused"
    append(graph, fusion.graph, "Fusion/", {"Fusion/present": "present", "Fusion/fused": fused})
    graph.node.extend(_bits(fused) if model.presence_bits else ())
    append(graph, head.graph, "Head/", {})
    graph.node.extend(_some())
    graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "Axis"))
    for output in model.outputs:
        prior = numpy_helper.from_array(model.prior(output.name).detach().cpu().numpy(), f"Prior/{output.name}")
        graph.initializer.append(prior)
        graph.node.append(helper.make_node("Where", ["Some", f"Head/{output.name}", prior.name], [output.name]))
        graph.output.append(_port(output.name, "float32", (output.size,)))
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="edgefuse"
    )


def _bits(fused: str) -> list[Any]:
    """What the head reads: the fused vector, and behind it the mask as numbers."""
    cast = helper.make_node("Cast", ["present"], ["Bits"], to=TensorProto.FLOAT)
    return [cast, helper.make_node("Concat", [fused, "Bits"], ["Head/fused"], axis=1)]


def _some() -> list[Any]:
    """`Some` bool [B, 1]: is any stream of the row present?"""
    count = helper.make_node("Cast", ["present"], ["Some/bits"], to=TensorProto.INT32)
    most = helper.make_node("ReduceMax", ["Some/bits", "Axis"], ["Some/any"], keepdims=1)
    return [count, most, helper.make_node("Cast", ["Some/any"], ["Some"], to=TensorProto.BOOL)]


class _Projected(nn.Module):
    """An encoder of maps with its projection: on the device the maps arrive projected."""

    def __init__(self, encoder: nn.Module, projection: nn.Module) -> None:
        super().__init__()
        self.encoder, self.projection = encoder, projection

    def forward(self, x: Tensor) -> Tensor:
        projected: Tensor = self.projection(self.encoder(x))
        return projected


def encoder_body(model: FusionModel, i: int) -> Any:
    """Encoder i from float32 VALUES to `embedding`, with a free batch axis."""
    spec, encoder = model.specs[i], model.encoders[i]
    if isinstance(model.fusion, Fusion) and model.joins_maps:
        encoder = _Projected(encoder, model.fusion.projections[i])
    example = {VALUES: torch.zeros(2, *spec.tensor_shape)}
    return traced(encoder, example, ["embedding"], f"stream {spec.name!r}: the encoder")


def _encoder(spec: StreamSpec, body: Any) -> Any:
    """The encoder as its own file: `input` of the tensor's dtype, batch 1."""
    proto = onnx.ModelProto()
    proto.CopyFrom(body)
    proto.graph.input[0].CopyFrom(_port("input", spec.tensor_dtype, spec.tensor_shape))
    proto.graph.node.insert(0, _cast("input", VALUES))
    return single(proto)


class _Fused(nn.Module):
    """The fusion with its embeddings as arguments, the mask last."""

    def __init__(self, model: FusionModel) -> None:
        super().__init__()
        self.fusion, self.projected = model.fusion, model.joins_maps

    def forward(self, *inputs: Tensor) -> Tensor:
        *embeddings, present = inputs
        if isinstance(self.fusion, Fusion) and self.projected:
            return self.fusion.join(self.fusion.activate(torch.stack(embeddings, dim=1)), present)
        fused: Tensor = self.fusion(embeddings, present)
        return fused


def embedding_inputs(model: FusionModel) -> dict[str, Tensor]:
    """Example embeddings by stream name, batch 2, as they arrive at the fusion."""
    dims = {name: model.fusion.dim if model.joins_maps else stream.dim for name, stream in model.streams.items()}
    shapes = {name: (dim, *(model.fusion.grid or ())) for name, dim in dims.items()}
    return {name: torch.zeros(2, *shape, device=model.device) for name, shape in shapes.items()}


def fusion_body(model: FusionModel) -> Any:
    """The fusion from embeddings by stream name and `present` bool [B, N] to `fused`, with a free batch axis."""
    if isinstance(model.fusion, GraphFusion) and isinstance(model.fusion.module, OnnxFusion):
        return model.fusion.module.graph(OPSET)
    present = torch.ones(2, len(model.specs), dtype=torch.bool, device=model.device)
    return traced(_Fused(model), embedding_inputs(model) | {"present": present}, ["fused"], "the fusion")


def fusion_files(model: FusionModel, whole: Any) -> dict[str, Any]:
    """The graphs by which the device fuses, by file name; none where kernels do. `whole` is the fusion as one graph."""
    if isinstance(model.fusion, Fusion):
        return {}
    if isinstance(model.fusion.module, Dynamic):
        return routed_bodies(model.fusion.module, embedding_inputs(model))
    return {"fusion.onnx": whole}


class _Heads(nn.Module):
    """The head with its outputs as a tuple, in the order that the model declares."""

    def __init__(self, model: FusionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, fused: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.model.heads(fused).values())


def head_body(model: FusionModel) -> Any:
    """The head from `fused` [B, width], or maps [B, width, H, W], to its outputs by name, with a free batch axis."""
    names = [output.name for output in model.outputs]
    return traced(_Heads(model), {"fused": torch.zeros(2, *model.fused_shape)}, names, "the head")


def append(graph: Any, part: Any, prefix: str, renamed: Mapping[str, str]) -> None:
    """Add the nodes and weights of `part` to `graph`, all their names under `prefix`, then some as `renamed` says."""
    own = onnx.GraphProto()
    own.CopyFrom(part)
    rename(own, lambda name: renamed.get(prefix + name, prefix + name))
    graph.node.extend(own.node)
    graph.initializer.extend(own.initializer)


def _cast(source: str, target: str) -> Any:
    # For float32 too: ONNX Runtime drops a cast that does nothing.
    return helper.make_node("Cast", [source], [target], to=TensorProto.FLOAT)


def single(proto: Any) -> Any:
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
