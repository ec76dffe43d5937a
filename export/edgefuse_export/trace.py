"""A torch module as ONNX by torch's exporter: free batch axis, named ports, and nothing of the machine left in it."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from onnx import inliner
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


def _anonymise(proto: Any) -> None:
    """Drop what the exporter notes about source files and call stacks."""
    graph = proto.graph
    for holder in (proto, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        holder.ClearField("doc_string")
        holder.ClearField("metadata_props")
