"""The contenders of other runtimes for the bench of the kernels: ONNX Runtime on one thread, PyTorch eager.

The engine never needs torch or onnx: each is looked up by name, and a contender whose package is missing says so.
"""

from __future__ import annotations

import functools
import importlib
import operator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from edgefuse.bench.timing import Contender
from edgefuse.pools import pool
from edgefuse.session import Session
from edgefuse.types import F32

OPSET, IR_VERSION = 17, 8  # old enough for every ONNX Runtime that the engine supports


def find(package: str) -> Any:
    """A module by its name, or None where it is not installed."""
    try:
        return importlib.import_module(package)
    except ImportError:
        return None


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Keep PyTorch to one thread, and put its setting back."""
    torch = find("torch")
    before = torch.get_num_threads() if torch else 0
    try:
        if torch:
            torch.set_num_threads(1)
        yield
    finally:
        if torch:
            torch.set_num_threads(before)


def onnx_multconcat(xs: Sequence[F32], ws: Sequence[F32], bs: Sequence[F32], *, transposed: bool) -> Contender | str:
    """MultConcat as the graph that edgefuse-export writes, with bound I/O; or why there is none.

    xs, ws, bs  per stream float32 [d], [d, D], [D]
    transposed  store the weights [D, d], as torch.nn.Linear is exported
    """
    if (onnx := find("onnx")) is None:
        return "onnx is not installed"
    nodes = [_gemm(onnx, f"x{i}", f"w{i}", f"b{i}", f"g{i}", transposed) for i in range(len(xs))]
    nodes += [onnx.helper.make_node("Relu", [f"g{i}"], [f"u{i}"]) for i in range(len(xs))]
    us, last = [f"u{i}" for i in range(len(xs))], "u0"
    for i in range(1, len(xs)):
        nodes.append(onnx.helper.make_node("Mul", [last, us[i]], [last := f"p{i}"]))
    nodes.append(onnx.helper.make_node("Concat", [*us, last], ["out"], axis=1))
    weights = {f"w{i}": np.ascontiguousarray(w.T if transposed else w) for i, w in enumerate(ws)}
    constants = {**weights, **{f"b{i}": b for i, b in enumerate(bs)}}
    feeds = {f"x{i}": x[None] for i, x in enumerate(xs)}
    return _bound(onnx, nodes, constants, feeds, (len(xs) + 1) * bs[0].size)


def onnx_linear(x: F32, weight: F32, bias: F32) -> Contender | str:
    """One linear head, x [width] to [K], with bound I/O; or why there is none."""
    if (onnx := find("onnx")) is None:
        return "onnx is not installed"
    node = _gemm(onnx, "x", "w", "b", "out", True)
    constants = {"w": np.ascontiguousarray(weight.T), "b": bias}
    return _bound(onnx, [node], constants, {"x": x[None]}, bias.size)


def _gemm(onnx: Any, x: str, w: str, b: str, out: str, transposed: bool) -> Any:
    return onnx.helper.make_node("Gemm", [x, w, b], [out], transB=int(transposed))


def _bound(
    onnx: Any, nodes: Sequence[Any], constants: dict[str, F32], feeds: dict[str, F32], width: int
) -> Contender | str:
    if (threads := pool(1).threads) != 1:
        return f"this process has given ONNX Runtime {threads} threads already"
    info = onnx.helper.make_tensor_value_info
    inputs = [info(name, onnx.TensorProto.FLOAT, x.shape) for name, x in feeds.items()]
    outputs = [info("out", onnx.TensorProto.FLOAT, [1, width])]
    held = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = onnx.helper.make_graph(list(nodes), "peer", inputs, outputs, held)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    session, out = Session(model.SerializeToString(), "the bench's graph"), np.zeros((1, width), np.float32)
    session.bind(feeds, {"out": out})

    def run() -> dict[str, F32]:
        session.run()
        return {"out": out[0]}

    return run


def torch_multconcat(xs: Sequence[F32], ws: Sequence[F32], bs: Sequence[F32]) -> Contender | str:
    """MultConcat as one writes it in PyTorch, on weights [D, d] as torch.nn.Linear has them; or why there is none."""
    if (torch := find("torch")) is None:
        return "torch is not installed"
    inputs, biases = ([torch.tensor(value) for value in values] for values in ([x[None] for x in xs], bs))
    weights = [torch.tensor(np.ascontiguousarray(w.T)) for w in ws]
    linear = torch.nn.functional.linear

    def run() -> dict[str, F32]:
        with torch.inference_mode():
            u = [torch.relu(linear(x, w, b)) for x, w, b in zip(inputs, weights, biases, strict=True)]
            return {"out": torch.cat([*u, functools.reduce(operator.mul, u)], dim=1).numpy()[0]}

    return run


def torch_maps(maps: Sequence[F32]) -> Contender | str:
    """MultConcat of feature maps [D, rows, columns] as one writes it in PyTorch; or why there is none."""
    if (torch := find("torch")) is None:
        return "torch is not installed"
    tensors = [torch.tensor(x[None]) for x in maps]

    def run() -> dict[str, F32]:
        with torch.inference_mode():
            u = [torch.relu(x) for x in tensors]
            return {"out": torch.cat([*u, functools.reduce(operator.mul, u)], dim=1).numpy().reshape(-1)}

    return run
