"""Bench of the fusion kernels: against other runtimes, against what memory allows, and by size; one thread, batch 1.

Everything in a scenario runs interleaved in one run, so each contender finds the caches as the others leave them: its
weights come from beyond L2, as they do after encoders have run. Where a title says so, each is run once more right
before it is timed, so that its weights lie in L2 if they fit. Every result is compared with float64 in the same run.
Ratios come with their spread by tenths; absolute times mean little on another machine.

ONNX Runtime gets MultConcat twice: as edgefuse-export writes it, and with the weights transposed, [D, d], as a
torch.nn.Linear is exported, which it computes faster.

The ceiling of the feature maps is a copy that reads and writes, together, as many bytes as the maps do when each input
is read once and each output written once. It uses stores of the same kind, past the caches, in buffers of its own.
`numpy copy` is the C library's memcpy of the same bytes, for comparison.
"""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgefuse import buffers, kernels
from edgefuse.bench import kernel_peers as peers
from edgefuse.bench.timing import BLOCKS, Contender, interleave
from edgefuse.errors import UsageError
from edgefuse.reference import Activation, Reduce
from edgefuse.types import F32, F64

TOLERANCE = 2e-4  # of the largest value; an error of this size is a wrong formula, not rounding
STREAMS, EMBEDDING, WIDTH, CLASSES = 4, 512, 256, 16
MAP = (64, 100, 100)
GROWTH = {"streams": (2, 4, 8, 16), "width": (64, 128, 256, 512, 1024, 2048)}

Rows = dict[str, tuple[Contender | str, F64]]  # name -> what runs, or why it is left out; what it must give
Pairs = Sequence[tuple[str, str]]  # ratios to give, as (numerator, denominator)


@dataclass(frozen=True, slots=True)
class Layer:
    """Random embeddings [d] and weights [d, D] and biases [D] of each stream."""

    xs: Sequence[F32]
    ws: Sequence[F32]
    bs: Sequence[F32]

    @staticmethod
    def draw(streams: int, embedding: int, width: int) -> Layer:
        draw = functools.partial(_normal, np.random.default_rng(7))
        xs, bs = ([draw(size) for _ in range(streams)] for size in (embedding, width))
        return Layer(xs, [draw(embedding, width) / np.float32(embedding**0.5) for _ in range(streams)], bs)

    def rounded(self) -> Layer:
        """The layer whose weights are the nearest halfs."""
        ws, bs = ([v.astype(np.float16).astype(np.float32) for v in values] for values in (self.ws, self.bs))
        return Layer(self.xs, ws, bs)


def _normal(rng: np.random.Generator, *shape: int) -> F32:
    return rng.standard_normal(shape, np.float32)


def multconcat(layer: Layer, dtype: type[np.generic] = np.float32, present: Sequence[int] = ()) -> Contender:
    """Our kernel as the engine runs it, on weights of its own; `present` are the streams taken, all where empty."""
    n, width = len(layer.xs), layer.bs[0].size
    dims = np.array([x.size for x in layer.xs], np.int64)
    weights = [np.concatenate([w.reshape(-1), b]).astype(dtype) for w, b in zip(layer.ws, layer.bs, strict=True)]
    starts = [np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64) for sizes in (dims, (dims + 1) * width)]
    select = np.array([not present or i in present for i in range(n)], np.uint8)
    x, packed = np.concatenate(layer.xs), buffers.placed(np.concatenate(weights))
    result = {"out": np.zeros((n + 1) * width, np.float32)}
    options = (np.zeros((n, width), np.float32), select, int(Activation.RELU), int(Reduce.PRODUCT), True)
    prepared = kernels.prepared_project(x, dims, starts[0], packed, starts[1], *options, result["out"])

    def run() -> dict[str, F32]:
        prepared()
        return result

    return run


def multconcat_truth(layer: Layer, present: Sequence[int] = ()) -> F64:
    """MultConcat in float64."""
    taken = present or range(len(layer.xs))
    u = [x.astype(float) @ w + b for x, w, b in zip(layer.xs, layer.ws, layer.bs, strict=True)]
    blocks = [np.maximum(v, 0) if i in taken else np.zeros_like(v) for i, v in enumerate(u)]
    return np.concatenate([*blocks, np.prod([blocks[i] for i in taken], axis=0)])


def bench_kernels(*, rounds: int = 2000) -> dict[str, Any]:
    """Time every scenario; JSON-ready figures with their circumstances. Slow scenarios take a fifth of the rounds."""
    few = max(BLOCKS, rounds // 5)
    circumstances = _circumstances(rounds)
    with peers.one_torch_thread():
        d, h, w = MAP
        scenarios = {
            f"MultConcat, {STREAMS} x {EMBEDDING} -> {WIDTH}": _vectors(rounds),
            f"MultConcat, {STREAMS} x {EMBEDDING} -> {WIDTH}, caches warm": _vectors(rounds, warm=True),
            f"MultConcat of feature maps, {STREAMS} x [{d}, {h}, {w}]": _maps(few),
            f"head on {1 << STREAMS} subsets, D = {WIDTH}, K = {CLASSES}": _subsets(rounds),
        }
    return {"circumstances": circumstances, "scenarios": scenarios, "growth": _growth(few)}


def _vectors(rounds: int, *, warm: bool = False) -> dict[str, Any]:
    layer, two = Layer.draw(STREAMS, EMBEDDING, WIDTH), (0, 2)
    halfs, whole = layer.rounded(), (layer.xs, layer.ws, layer.bs)
    rows: Rows = {
        "ours": (multconcat(layer), multconcat_truth(layer)),
        "onnxruntime": (peers.onnx_multconcat(*whole, transposed=False), multconcat_truth(layer)),
        "ours, float16": (multconcat(layer, np.float16), multconcat_truth(halfs)),
        "onnxruntime [D, d]": (peers.onnx_multconcat(*whole, transposed=True), multconcat_truth(layer)),
        "ours, 2 of 4": (multconcat(layer, present=two), multconcat_truth(layer, two)),
        "torch eager": (peers.torch_multconcat(*whole), multconcat_truth(layer)),
    }
    fast, others = ("ours", "ours, float16"), ("onnxruntime", "onnxruntime [D, d]", "torch eager")
    pairs = [(mine, other) for mine in fast for other in others]
    return _measure(rows, [*pairs, ("ours, 2 of 4", "ours")], rounds, warm=warm)


def _maps(rounds: int) -> dict[str, Any]:
    draw = functools.partial(_normal, np.random.default_rng(8))
    maps, (width, height, columns) = [draw(*MAP) for _ in range(STREAMS)], MAP
    u = [np.maximum(x.reshape(-1).astype(float), 0) for x in maps]
    truth = np.concatenate([*u, np.prod(u, axis=0)])
    ours = fuse_maps(np.concatenate(maps, axis=None), STREAMS, width, height * columns, Activation.RELU, Reduce.PRODUCT)
    half = draw((STREAMS * u[0].size + truth.size) // 2)
    to = np.zeros_like(half)

    def numpy_copy() -> dict[str, F32]:
        np.copyto(to, half)
        return {"out": to}

    rows: Rows = {
        "ours": (ours, truth),
        "torch eager": (peers.torch_maps(maps), truth),
        "streaming copy": (
            fuse_maps(half.copy(), 1, 1, half.size, Activation.IDENTITY, Reduce.NONE),
            half.astype(float),
        ),
        "numpy copy": (numpy_copy, half.astype(float)),
    }
    figures = _measure(rows, [("ours", "torch eager"), ("streaming copy", "ours"), ("numpy copy", "ours")], rounds)
    return {**figures, "bytes": 4 * (STREAMS * u[0].size + truth.size)}


def fuse_maps(x: F32, n: int, width: int, cells: int, activation: Activation, reduce: Reduce) -> Contender:
    """Our kernel on n packed maps [width, cells], all present; one map that is left as it is makes a copy."""
    offsets, select = np.arange(n, dtype=np.int64) * width * cells, np.ones(n, np.uint8)
    substitutes, out = np.zeros((n, width), np.float32), np.zeros((n + (reduce > 0)) * width * cells, np.float32)
    options = (int(activation), int(reduce), True, out)

    def run() -> dict[str, F32]:
        kernels.fuse_maps(x, offsets, substitutes, select, cells, *options)
        return {"out": out}

    return run


def _subsets(rounds: int) -> dict[str, Any]:
    draw, masks = functools.partial(_normal, np.random.default_rng(9)), np.arange(1 << STREAMS, dtype=np.uint16)
    h, bias = np.maximum(draw(STREAMS, WIDTH), 0), draw(CLASSES)
    weight, out = draw((STREAMS + 1) * WIDTH, CLASSES), np.zeros((masks.size, CLASSES), np.float32)
    fused = np.array([_fused(h.astype(float), int(mask)) for mask in masks])
    every_truth: F64 = fused @ weight.astype(float) + bias
    head, one = fused[-1].astype(np.float32), every_truth[-1]

    def every() -> dict[str, F32]:
        kernels.subset_head(h, masks, True, int(Reduce.PRODUCT), weight, bias, out)
        return {"out": out}

    rows: Rows = {
        "ours, all subsets": (every, every_truth),
        "numpy, one head": (lambda: {"out": head @ weight + bias}, one),
        "onnxruntime, one head": (peers.onnx_linear(head, weight, bias), one),
    }
    pairs = [("ours, all subsets", name) for name in ("numpy, one head", "onnxruntime, one head")]
    return _measure(rows, pairs, rounds)


def _fused(h: F64, mask: int) -> F64:
    taken = np.array([mask >> i & 1 for i in range(len(h))], bool)
    return np.concatenate([np.where(taken[:, None], h, 0).reshape(-1), np.prod(h[taken], axis=0)])


def _growth(rounds: int) -> dict[str, Any]:
    """Microseconds of our kernel by number of streams and by width, with float and with half weights."""
    tables = {}
    for axis, sizes in GROWTH.items():
        rows: Rows = {}
        for size in sizes:
            layer = Layer.draw(*((size, EMBEDDING, WIDTH) if axis == "streams" else (STREAMS, EMBEDDING, size)))
            rows[f"{size} float32"] = multconcat(layer), multconcat_truth(layer)
            rows[f"{size} float16"] = multconcat(layer, np.float16), multconcat_truth(layer.rounded())
        tables[axis] = _measure(rows, (), rounds)["timings"]
    return tables


def _measure(rows: Rows, pairs: Pairs, rounds: int, *, warm: bool = False) -> dict[str, Any]:
    runs = {name: run for name, (run, _) in rows.items() if not isinstance(run, str)}
    for name, run in runs.items():
        truth = rows[name][1]
        if not np.abs(run()["out"] - truth).max() <= TOLERANCE * np.abs(truth).max():
            raise UsageError(f"bench: {name} does not give the result of float64")
    timings = {t.name: t for t in interleave(runs, rounds, max(2, rounds // 20), warm=warm)}
    taken = [(a, b) for a, b in pairs if a in timings and b in timings]
    return {
        "timings": {name: t.as_json() for name, t in timings.items()},
        "ratio": {f"{a} / {b}": timings[a].ratio_to(timings[b]) for a, b in taken},
        "left_out": {name: run for name, (run, _) in rows.items() if isinstance(run, str)},
    }


def _circumstances(rounds: int) -> dict[str, Any]:
    backend = kernels.backend()
    return {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "kernels": f"{backend.name} ({backend.isa})",
        "threads": 1,
        "rounds": rounds,
        "load_before": round(os.getloadavg()[0], 2),
    }


def describe(figures: dict[str, Any]) -> str:
    """The figures as tables for a person."""
    lines = [", ".join(f"{key} {value}" for key, value in figures["circumstances"].items())]
    for title, scenario in figures["scenarios"].items():
        lines += ["", *_timings(title, scenario["timings"])]
        lines += [f"  {name}: left out, {why}" for name, why in scenario["left_out"].items()]
        lines += [
            f"  {name}: {r['p50']:.2f} (by tenths {r['low']:.2f} to {r['high']:.2f})"
            for name, r in scenario["ratio"].items()
        ]
    for axis, timings in figures["growth"].items():
        lines += ["", *_timings(f"MultConcat by {axis}", timings)]
    return "\n".join(lines)


def _timings(title: str, timings: Mapping[str, Mapping[str, float]]) -> list[str]:
    lines = [title, f"  {'':<22}{'p50 us':>10}{'p90 us':>10}{'p99 us':>10}"]
    for name, t in timings.items():
        told = (t.get(f"p{q}_ms") for q in (50, 90, 99))  # of few rounds there is no p99
        lines.append(f"  {name:<22}" + "".join(f"{'-' if ms is None else f'{1e3 * ms:.1f}':>10}" for ms in told))
    return lines
