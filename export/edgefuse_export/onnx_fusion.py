"""Fusion as ONNX nodes, written from the operator table: portable ones only, absent streams selected with Where."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edgefuse.reference import Activation, Reduce
from edgefuse.types import Array
from edgefuse_export.fusion import IDENTITY
from edgefuse_export.models import FusionModel

_REDUCE_NODE = {Reduce.SUM: "Add", Reduce.AVERAGE: "Add", Reduce.MAX: "Max", Reduce.PRODUCT: "Mul"}


def write_fusion(graph: Any, model: FusionModel) -> None:
    """Add what makes `Head/fused` [B, width] and `Some` bool [B, 1] of each `<stream>/embedding` and of `present`."""
    writer = _Writer(graph)
    count = writer.node("ReduceSum", [writer.floats("present"), writer.ints([1])], keepdims=1)
    writer.node("Greater", [count, writer.constant(np.float32(0))], output="Some")
    fusion, operator = model.fusion, model.fusion.operator
    masks = [writer.node("Gather", ["present", writer.ints([i])], axis=1) for i in range(len(model.specs))]
    streams = _projected(writer, model)
    parts = []
    if operator.concat:
        parts += _selected(writer, model, masks, streams, 0.0)
    if operator.reduce != Reduce.NONE:
        rows = _selected(writer, model, masks, streams, IDENTITY[operator.reduce])
        parts.append(_reduced(writer, operator.reduce, rows, count, fusion.tokens is not None))
    if fusion.gate is not None:
        parts.append(_gated(writer, model, _selected(writer, model, masks, streams, 0.0)))
    writer.node("Concat", parts, axis=1, output="Head/fused")


def _projected(writer: _Writer, model: FusionModel) -> list[str]:
    arrays = {name: p.detach().cpu().numpy() for name, p in model.fusion.named_arrays().items()}
    streams = []
    for name in model.streams:
        weights = [writer.constant(arrays[f"{name}.{part}"]) for part in ("weight", "bias")]
        u = writer.node("Gemm", [f"{name}/embedding", *weights])
        streams.append(writer.node("Relu", [u]) if model.fusion.operator.activation == Activation.RELU else u)
    return streams


def _selected(
    writer: _Writer, model: FusionModel, masks: Sequence[str], streams: Sequence[str], otherwise: float
) -> list[str]:
    """u_i where stream i is present; elsewhere its token, or a row of `otherwise`."""
    shape, tokens = (len(streams), model.fusion.dim), model.fusion.tokens
    rows = np.full(shape, otherwise, np.float32) if tokens is None else tokens.detach().cpu().numpy()
    triples = zip(masks, streams, rows, strict=True)
    return [writer.node("Where", [mask, u, writer.constant(row)]) for mask, u, row in triples]


def _reduced(writer: _Writer, reduce: Reduce, rows: list[str], count: str, tokens: bool) -> str:
    total = rows[0]
    for row in rows[1:]:
        total = writer.node(_REDUCE_NODE[reduce], [total, row])
    if reduce == Reduce.AVERAGE:
        one = writer.constant(np.float32(1))
        by = writer.constant(np.float32(len(rows))) if tokens else writer.node("Max", [count, one])
        return writer.node("Div", [total, by])
    if reduce == Reduce.MAX and not tokens:
        return writer.node("Where", ["Some", total, writer.constant(np.float32(0))])
    return total


def _gated(writer: _Writer, model: FusionModel, rows: list[str]) -> str:
    gate = model.fusion.gate
    assert gate is not None
    weight, bias = gate.weight.detach().cpu().numpy(), gate.bias.detach().cpu().numpy()
    pairs = zip(rows, weight, bias, strict=True)
    logits = [
        writer.node("Gemm", [row, writer.constant(w[:, None]), writer.constant(b.reshape(1))]) for row, w, b in pairs
    ]
    logit = writer.node("Concat", logits, axis=1)
    if model.fusion.tokens is None:
        barred = writer.node("Where", ["present", logit, writer.constant(np.float32(-np.inf))])
        logit = writer.node("Where", ["Some", barred, logit])  # a softmax over nothing would be NaN
    alpha = writer.node("Softmax", [logit], axis=1)
    shares = [writer.node("Gather", [alpha, writer.ints([i])], axis=1) for i in range(len(rows))]
    parts = [writer.node("Mul", [share, row]) for share, row in zip(shares, rows, strict=True)]
    return _reduced(writer, Reduce.SUM, parts, "", True)


class _Writer:
    """Adds nodes and constants to a graph under names of its own."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._names = (f"Fusion/{i}" for i in itertools.count())

    def node(self, kind: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        name = output or next(self._names)
        self._graph.node.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(self, value: Array | np.float32) -> str:
        name = next(self._names)
        self._graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def ints(self, values: list[int]) -> str:
        return self.constant(np.array(values, np.int64))

    def floats(self, name: str) -> str:
        return self.node("Cast", [name], to=TensorProto.FLOAT)
