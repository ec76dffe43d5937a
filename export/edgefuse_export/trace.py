"""A torch module as ONNX by torch's exporter: free batch axis, named ports, and nothing of the machine left in it."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import onnx_ir
import torch
from onnx_ir.passes import Sequential
from onnx_ir.passes import common as passes
from onnxscript.optimizer import fold_constants_ir
from torch import Tensor, nn

from edgefuse_export.errors import ExportError

OPSET, IR_VERSION = 18, 9  # ONNX Runtime 1.20 reads both
BATCH = "batch"


def traced(module: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str], what: str) -> Any:
    """`module` of the inputs, in their order, as ONNX with a free batch axis. ExportError naming `what` it is."""
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    batch = torch.export.Dim(BATCH)
    axes = tuple({0: batch} for _ in inputs)
    try:
        with _quiet():
            program = torch.onnx.export(
                module.eval(),
                tuple(tensor.to(device) for tensor in inputs.values()),
                dynamo=True,
                opset_version=OPSET,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes=(axes,) if _variadic(module) else axes,
                optimize=False,
                verbose=False,
            )
        assert program is not None
        proto = onnx_ir.to_proto(_tidied(program.model, list(inputs)))
    except Exception as error:
        raise ExportError(f"{what}: torch cannot export it: {' '.join(str(error).split())[:300]}") from error
    del proto.graph.value_info[:]
    proto.ir_version = IR_VERSION
    return anonymised(proto)


def _tidied(model: onnx_ir.Model, inputs: Sequence[str]) -> onnx_ir.Model:
    """The graph with functions inlined and constants computed, and nothing else changed.

    The exporter's own optimizer also rewrites by patterns, and takes 1e-8 for 0 and 1.00001 for 1 in them: a model's
    x / (|x| + 1e-8) would divide by zero on the device.
    """
    passes.InlinePass()(model)
    fold_constants_ir(model)
    Sequential(
        passes.RemoveUnusedNodesPass(),
        passes.RemoveUnusedOpsetsPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.OutputFixPass(),  # an output that is an input gets a node of its own
    )(model)
    for value, name in zip(model.graph.inputs, inputs, strict=True):
        value.name = name  # where it went straight to an output, it has been called like that output
    passes.NameFixPass()(model)
    return model


def _variadic(module: nn.Module) -> bool:
    """Does its forward take *inputs? Their axes are then stated as one tuple."""
    return any(p.kind == p.VAR_POSITIONAL for p in inspect.signature(module.forward).parameters.values())


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


def anonymised(proto: Any) -> Any:
    """`proto` itself, without what exporters and authors note about source files, call stacks and themselves."""
    proto.producer_name, proto.producer_version = "edgefuse", ""
    for holder in (proto, *(thing for graph in graphs_of(proto.graph) for thing in (graph, *_things(graph)))):
        holder.ClearField("doc_string")
        holder.ClearField("metadata_props")
    return proto


def rename(graph: Any, new: Callable[[str], str]) -> None:
    """Give every value and node of a graph, and of the graphs within it, its new name; an empty name means none."""
    for own in graphs_of(graph):
        for thing in _things(own):
            thing.name = thing.name and new(thing.name)
        for node in own.node:
            node.input[:] = [name and new(name) for name in node.input]
            node.output[:] = [name and new(name) for name in node.output]


def graphs_of(graph: Any) -> Iterator[Any]:
    """The graph and, level by level, those that its nodes hold: the branches of an If, the body of a Loop."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from graphs_of(inner)


def _things(graph: Any) -> Iterator[Any]:
    """All in a graph that has a name and notes."""
    yield from (*graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info)
