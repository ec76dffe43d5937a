"""From ONNX: a graph of ours as a torch module again, operator by operator, for running it as PyTorch would."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from edgefuse_export.errors import ExportError

Value = Tensor | None
Attributes = Mapping[str, Any]
Operator = Callable[[Sequence[Any], Attributes], Any]
DTYPES = {
    1: torch.float32,
    2: torch.uint8,
    4: torch.int32,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
}


# Whose inputs behind the first say how, not what: plain numbers, or torch.compile would break the graph at each.
SET_BY_INPUTS = ("ReduceMean", "Reshape", "Slice", "Squeeze", "Unsqueeze")


class GraphModule(nn.Module):
    """The module of a graph with one input; forward gives its outputs as a list, named by `outputs`.

    What depends on shapes alone is computed once, for a batch of one. ExportError: an operator that is not known here.
    """

    def __init__(self, model: bytes) -> None:
        super().__init__()
        graph = onnx.load_model_from_string(model).graph
        held = {value.name: torch.from_numpy(numpy_helper.to_array(value).copy()) for value in graph.initializer}
        (self.input,) = (value.name for value in graph.input if value.name not in held)
        self.outputs = [value.name for value in graph.output]
        self._settings: dict[str, list[int]] = {}
        self._steps = self._folded(graph, held)
        self._held = {}
        for k, (name, value) in enumerate(held.items()):
            self.register_buffer(f"held_{k}", value)
            self._held[name] = f"held_{k}"

    def forward(self, tensor: Tensor) -> list[Tensor]:
        values: dict[str, Any] = {self.input: tensor, "": None}
        for operator, inputs, outputs, attributes in self._steps:
            values[outputs[0]] = operator([self._value(values, name) for name in inputs], attributes)
        return [values[name] for name in self.outputs]

    def _value(self, values: Mapping[str, Any], name: str) -> Any:
        """What is computed, or held: as a tensor, or as whole numbers where they are settings."""
        if name in values:
            return values[name]
        return self._settings[name] if name in self._settings else getattr(self, self._held[name])

    def _folded(self, graph: Any, held: dict[str, Tensor]) -> list[tuple[Operator, list[str], list[str], Attributes]]:
        """The steps that depend on the input; what the others give is put into `held`."""
        values: dict[str, Any] = {"": None, **held, self.input: _example(graph, self.input)}
        steps: list[tuple[Operator, list[str], list[str], Attributes]] = []
        for node in graph.node:
            if node.op_type not in OPERATORS or len(node.output) != 1:
                raise ExportError(f"operator {node.op_type!r} is not known here in torch")
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            step = OPERATORS[node.op_type], list(node.input), list(node.output), attributes
            values[node.output[0]] = step[0]([values[name] for name in node.input], attributes)
            if node.op_type in ("Shape", "Constant") or all(name in held or not name for name in node.input):
                held[node.output[0]] = values[node.output[0]]
            else:
                steps.append((step[0], self._named(node, held), *step[2:]))
        return steps

    def _named(self, node: Any, held: Mapping[str, Tensor]) -> list[str]:
        """The inputs of a step; those that are settings go under names of their own, as numbers."""
        names = list(node.input)
        for k in range(1, len(names) if node.op_type in SET_BY_INPUTS else 0):
            if names[k] in held:
                names[k], value = f"{names[k]}, as settings", held[names[k]]
                self._settings[names[k]] = _numbers(value)
        return names


def _example(graph: Any, name: str) -> Tensor:
    kind = next(value.type.tensor_type for value in graph.input if value.name == name)
    return torch.zeros([axis.dim_value or 1 for axis in kind.shape.dim], dtype=DTYPES[kind.elem_type])


def _numbers(given: Any) -> list[int]:
    """Settings as they are while the module is made, and after."""
    return given if isinstance(given, list) else given.reshape(-1).tolist()


def _conv(given: Sequence[Any], attributes: Attributes) -> Any:
    x, weight, *bias = given
    axes = weight.ndim - 2
    pads = attributes.get("pads", [0] * 2 * axes)
    if pads[:axes] != pads[axes:]:
        raise ExportError("a convolution padded by unequal amounts is not known here in torch")
    convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[axes - 1]
    strides, dilations = (attributes.get(name, [1] * axes) for name in ("strides", "dilations"))
    return convolve(x, weight, bias[0] if bias else None, strides, pads[:axes], dilations, attributes.get("group", 1))


def _gemm(given: Sequence[Any], attributes: Attributes) -> Tensor:
    a, b, *c = given
    if attributes.get("transA", 0) or attributes.get("alpha", 1.0) != 1.0 or attributes.get("beta", 1.0) != 1.0:
        raise ExportError("a scaled or transposed product is not known here in torch")
    return functional.linear(a, b if attributes.get("transB", 0) else b.T, c[0] if c else None)


def _batch_norm(given: Sequence[Any], attributes: Attributes) -> Tensor:
    x, scale, bias, mean, variance = given
    return functional.batch_norm(x, mean, variance, scale, bias, eps=attributes.get("epsilon", 1e-5))


def _slice(given: Sequence[Any], attributes: Attributes) -> Any:
    x, starts, ends, *more = given
    axes = _numbers(more[0]) if more else range(len(starts))
    steps = _numbers(more[1]) if len(more) > 1 else [1] * len(starts)
    for axis, start, end, step in zip(axes, _numbers(starts), _numbers(ends), steps, strict=True):
        index: list[Any] = [slice(None)] * x.ndim
        index[axis] = slice(start, end, step)
        x = x[tuple(index)]
    return x


def _pool(given: Sequence[Any], attributes: Attributes) -> Any:
    kernel, axes = attributes["kernel_shape"], len(attributes["kernel_shape"])
    pads = attributes.get("pads", [0] * 2 * axes)
    pool = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)[axes - 1]
    return pool(given[0], kernel, attributes.get("strides", kernel), pads[:axes])


def _mean(given: Sequence[Any], attributes: Attributes) -> Any:
    axes = _numbers(given[1]) if len(given) > 1 else attributes["axes"]
    return given[0].mean(dim=axes, keepdim=bool(attributes.get("keepdims", 1)))


def _clip(given: Sequence[Any], attributes: Attributes) -> Any:
    low, high = (*given[1:], None, None)[:2]
    return given[0].clamp(low, high)


def _axes(given: Sequence[Any], apply: Callable[[Any, int], Any], order: Callable[[list[int]], list[int]]) -> Any:
    x = given[0]
    for axis in order(_numbers(given[1])):
        x = apply(x, axis)
    return x


def _squeeze(given: Sequence[Any], attributes: Attributes) -> Any:
    if len(given) == 1:
        return given[0].squeeze()
    return _axes(given, lambda x, axis: x.squeeze(axis), lambda axes: sorted(axes, reverse=True))


OPERATORS: Mapping[str, Operator] = {
    "Add": lambda x, _: x[0] + x[1],
    "BatchNormalization": _batch_norm,
    "Cast": lambda x, a: x[0].to(DTYPES[a["to"]]),
    "Clip": _clip,
    "Concat": lambda x, a: torch.cat([v.reshape(1) if v.ndim == 0 else v for v in x], a["axis"]),
    "Constant": lambda _, a: torch.from_numpy(numpy_helper.to_array(a["value"]).copy()),
    "Conv": _conv,
    "Div": lambda x, _: x[0] / x[1] if x[0].is_floating_point() else x[0] // x[1],
    "Flatten": lambda x, a: x[0].flatten(a.get("axis", 1)),
    "Gather": lambda x, a: torch.index_select(x[0], a.get("axis", 0), x[1].reshape(-1)).reshape(
        *x[0].shape[: a.get("axis", 0)], *x[1].shape, *x[0].shape[a.get("axis", 0) + 1 :]
    ),
    "Gemm": _gemm,
    "GlobalAveragePool": lambda x, _: x[0].mean(dim=tuple(range(2, x[0].ndim)), keepdim=True),
    "Greater": lambda x, _: x[0] > x[1],
    "Identity": lambda x, _: x[0],
    "MatMul": lambda x, _: x[0] @ x[1],
    "MaxPool": _pool,
    "Mul": lambda x, _: x[0] * x[1],
    "ReduceMean": _mean,
    "Relu": lambda x, _: torch.relu(x[0]),
    "Reshape": lambda x, _: x[0].reshape([n or x[0].shape[k] for k, n in enumerate(_numbers(x[1]))]),
    "Shape": lambda x, a: torch.tensor(list(x[0].shape)[a.get("start", 0) : a.get("end")]),
    "Sigmoid": lambda x, _: torch.sigmoid(x[0]),
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Sub": lambda x, _: x[0] - x[1],
    "Tanh": lambda x, _: torch.tanh(x[0]),
    "Transpose": lambda x, a: x[0].permute(a["perm"]),
    "Unsqueeze": lambda x, _: _axes(x, lambda v, k: v.unsqueeze(k), sorted),
    "Where": lambda x, _: torch.where(x[0], x[1], x[2]),
}
