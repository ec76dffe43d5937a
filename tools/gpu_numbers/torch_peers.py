"""What one would use instead, in PyTorch: imported only where torch is there. Arrays lie at `place`, such as "cuda"."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable

import numpy as np
import torch

from edgefuse.algebra import Operator
from edgefuse.bench.kernels import Layer
from edgefuse.reference import Activation, Reduce
from edgefuse.types import F32, Array

Tensors = list[torch.Tensor]


class TorchQueue:
    """The stream that torch queues on, with marks as of a `Device`."""

    def __init__(self) -> None:
        self._events: list[torch.cuda.Event] = []

    def mark(self, again: int = -1) -> int:
        if again < 0:
            self._events.append(torch.cuda.Event(enable_timing=True))  # type: ignore[no-untyped-call]
            again = len(self._events) - 1
        self._events[again].record()
        return again

    def wait(self) -> None:
        torch.cuda.synchronize()

    def captured(self, work: Callable[[], object]) -> Callable[[], object]:
        """What `work` queues, as one CUDA graph."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            work()
        return graph.replay

    def elapsed_ms(self, begin: int, end: int) -> float:
        return float(self._events[begin].elapsed_time(self._events[end]))


class Kept:
    """A computation, and what it gave last."""

    def __init__(self, compute: Callable[[], torch.Tensor]) -> None:
        self._compute = compute

    def __call__(self) -> None:
        self._last = self._compute()

    def result(self) -> Array:
        """The last one, float32, flat, on the host."""
        found: Array = self._last.float().cpu().numpy().reshape(-1)
        return found


class MultConcat(torch.nn.Module):
    """As one writes it: a linear layer a stream, relu, then all side by side with their product."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Linear(*w.shape) for w in layer.ws)
        for own, w, b in zip(self.layers, layer.ws, layer.bs, strict=True):
            own.load_state_dict({"weight": torch.tensor(np.ascontiguousarray(w.T)), "bias": torch.tensor(b)})
        self.requires_grad_(False)

    def forward(self, xs: Tensors) -> torch.Tensor:
        """Embeddings [1, d] to [1, (N + 1) * D]."""
        u = [torch.relu(own(x)) for own, x in zip(self.layers, xs, strict=True)]
        return torch.cat([*u, functools.reduce(operator.mul, u)], dim=1)


def exactly() -> None:
    """Float32 as float32: else torch may multiply with fewer bits than the others."""
    torch.set_float32_matmul_precision("highest")


def multconcat(layer: Layer, place: str, *, compiled: bool) -> Kept:
    """Eager, or compiled into CUDA graphs."""
    module, xs = MultConcat(layer).to(place), [torch.tensor(x[None], device=place) for x in layer.xs]
    if not compiled:
        return Kept(lambda: module(xs))
    for x in xs:
        torch._dynamo.mark_static_address(x)  # else each run copies it to where the graph reads
    run = torch.compile(module, mode="reduce-overhead")
    return Kept(lambda: run(xs))


def fuse_maps(joined: Operator, maps: F32, place: str, sets: int = 1) -> Kept:
    """Maps [1, D, rows, columns] by a reduction, and side by side where the operator keeps them; of one set in turn."""
    fold = {Reduce.SUM: operator.add, Reduce.PRODUCT: operator.mul}[joined.reduce]
    turns = itertools.cycle([[torch.tensor(x[None], device=place) for x in maps] for _ in range(sets)])

    def compute() -> torch.Tensor:
        xs = next(turns)
        u = [torch.relu(x) for x in xs] if joined.activation == Activation.RELU else xs
        z = functools.reduce(fold, u)
        return torch.cat([*u, z], dim=1) if joined.concat else z

    return Kept(compute)


def matmul(a: Array, b: Array, place: str) -> Kept:
    """Of two matrices, in their own type."""
    left, right = torch.tensor(a, device=place), torch.tensor(b, device=place)
    return Kept(lambda: left @ right)


def first_rows(kept: Kept, rows: int, columns: int) -> Callable[[], Array]:
    """The first rows of a result, [rows, columns]."""
    return lambda: kept.result().reshape(-1, columns)[:rows]
