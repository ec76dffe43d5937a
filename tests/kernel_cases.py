"""Cases for the tests of the kernels: arguments that fit, and a float64 truth written from the formulas."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from edgefuse import reference, reference_joins, reference_maps, reference_subsets
from edgefuse.joins import SHAPES, Join, Size
from edgefuse.operators import OPERATORS as TABLE
from edgefuse.reference import Activation, Reduce
from edgefuse.types import F32, F64

try:
    from edgefuse import _kernels as cpp
except ImportError:
    cpp = None  # type: ignore[assignment]

EPS = 2.0**-24  # the unit roundoff of float32
NUMPY = SimpleNamespace(
    fuse_project=reference.fuse_project,
    fuse_join=reference_joins.fuse_join,
    fuse_maps=reference_maps.fuse_maps,
    subset_head=reference_subsets.subset_head,
    lidar_grid=reference.lidar_grid,
)
ISAS: list[str] = cpp.isas() if cpp else []
JOINED = {row.join: row for row in TABLE.values() if row.join != Join.NONE}
OPERATORS = [(r, c) for r in Reduce for c in (False, True) if c or r is not Reduce.NONE]


@dataclass
class Project:
    """Arguments of fuse_project over random embeddings, with NaN in every gap between them."""

    dims: tuple[int, ...]
    width: int
    select: tuple[int, ...]
    activation: int = Activation.RELU
    reduce: int = Reduce.PRODUCT
    concat: bool = True
    seed: int = 0
    weights: Any = np.float32
    args: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        rng, dims = np.random.default_rng(self.seed), np.array(self.dims, np.int64)
        offsets, weight_offsets = (starts(sizes) for sizes in (dims, (dims + 1) * self.width))
        x = np.full(int(offsets[-1] + dims[-1]) + 2, np.nan, np.float32)
        weights = np.full(int(weight_offsets[-1] + (dims[-1] + 1) * self.width) + 2, np.nan, np.float32)
        for d, o, w in zip(dims, offsets, weight_offsets, strict=True):
            x[o : o + d] = rng.standard_normal(d)
            weights[w : w + (d + 1) * self.width] = rng.standard_normal((d + 1) * self.width) / np.sqrt(d)
        blocks = len(dims) * self.concat + (self.reduce != Reduce.NONE)
        self.args = {
            "x": x,
            "dims": dims,
            "offsets": offsets,
            "weights": weights.astype(self.weights),
            "weight_offsets": weight_offsets,
            "substitutes": rng.standard_normal((len(dims), self.width)).astype(np.float32),
            "select": np.array(self.select, np.uint8),
            "activation": int(self.activation),
            "reduce": int(self.reduce),
            "concat": self.concat,
            "out": np.full(blocks * self.width, np.nan, np.float32),
        }

    def run(self, path: Any) -> F32:
        out: F32 = np.full_like(self.args["out"], np.nan)
        path.fuse_project(**{**self.args, "out": out})
        return out

    def poison_absent(self) -> None:
        """Put NaN and infinity wherever the kernel has no business to look."""
        a = self.args
        for i, (s, d) in enumerate(zip(self.select, self.dims, strict=True)):
            if s != reference.PRESENT:
                a["x"][a["offsets"][i] :][:d] = np.nan
                a["weights"][a["weight_offsets"][i] :][: (d + 1) * self.width] = np.inf
            if s != reference.SUBSTITUTED:
                a["substitutes"][i] = np.nan


def starts(sizes: Any) -> Any:
    return 1 + np.concatenate(([0], np.cumsum(sizes[:-1] + 3))).astype(np.int64)


def truth(case: Project) -> tuple[F64, F64]:
    """The output in float64, element by element, and how far float32 may be from it."""
    a, blocks, errors = case.args, [], []
    for i, d in enumerate(case.dims):
        w = a["weights"][a["weight_offsets"][i] :][: (d + 1) * case.width].astype(float).reshape(d + 1, case.width)
        x = np.append(a["x"][a["offsets"][i] :][:d].astype(float), 1.0)
        u, size = x @ w, np.abs(x) @ np.abs(w)
        u = np.maximum(u, 0) if case.activation else u
        taken = {0: np.zeros(case.width), 1: u, 2: a["substitutes"][i].astype(float)}[case.select[i]]
        blocks.append(taken)
        errors.append((d + 2) * EPS * size if case.select[i] == 1 else np.zeros(case.width))
    present = [i for i, s in enumerate(case.select) if s]
    parts = [*blocks] if case.concat else []
    slack = [*errors] if case.concat else []
    if case.reduce:
        z, e = folded(case.reduce, [blocks[i] for i in present], [errors[i] for i in present], case.width)
        parts.append(z)
        slack.append(e)
    return np.concatenate(parts), np.concatenate(slack)


def folded(reduce: int, us: list[F64], es: list[F64], width: int) -> tuple[F64, F64]:
    if not us:
        return np.full(width, float(reduce == Reduce.PRODUCT)), np.zeros(width)
    n = len(us)
    if reduce == Reduce.MAX:
        return np.max(us, axis=0), np.max(es, axis=0)
    if reduce == Reduce.JOINT_PRODUCT and n < 2:
        return np.zeros(width), np.zeros(width)
    if reduce in (Reduce.PRODUCT, Reduce.JOINT_PRODUCT):
        most = np.prod([np.abs(u) + e for u, e in zip(us, es, strict=True)], axis=0)
        return np.prod(us, axis=0), (most - np.prod(np.abs(us), axis=0)) + 2 * n * EPS * most + 1e-37
    by = n if reduce == Reduce.AVERAGE else 1
    return np.sum(us, axis=0) / by, (np.sum(es, axis=0) + 2 * n * EPS * np.sum(np.abs(us), axis=0)) / by


def assert_near_truth(case: Project, path: Any) -> None:
    expected, slack = truth(case)
    actual = case.run(path)
    assert actual.shape == expected.shape
    assert (np.abs(actual - expected) <= slack).all()


def map_args(
    select: tuple[int, ...], width: int, cells: int, reduce: int = Reduce.PRODUCT, concat: bool = True, seed: int = 0
) -> dict[str, Any]:
    """Arguments of fuse_maps with relu; NaN fills the gaps between the maps."""
    rng, n, size = np.random.default_rng(seed), len(select), width * cells
    offsets = starts(np.full(n, size))
    x = np.full(int(offsets[-1]) + size + 2, np.nan, np.float32)
    for o in offsets:
        x[o : o + size] = rng.standard_normal(size)
    out = np.full((n * concat + (reduce > 0)) * size, np.nan, np.float32)
    return {"x": x, "offsets": offsets, "substitutes": rng.standard_normal((n, width)).astype(np.float32),
            "select": np.array(select, np.uint8), "cells": cells, "activation": 1, "reduce": int(reduce),
            "concat": concat, "out": out}  # fmt: skip


def subset_args(
    n: int, width: int, classes: int, reduce: int = Reduce.PRODUCT, concat: bool = True, seed: int = 0
) -> dict[str, Any]:
    """Arguments of subset_head for all subsets of n streams."""
    rng, rows = np.random.default_rng(seed), (n * concat + (reduce > 0)) * width
    shapes = {"h": (n, width), "weight": (rows, classes), "bias": (classes,)}
    drawn = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    out = np.full((1 << n, classes), np.nan, np.float32)
    return {**drawn, "masks": np.arange(1 << n, dtype=np.uint16), "concat": concat, "reduce": int(reduce), "out": out}


def join_args(kind: Join, streams: int, dim: int, rank: int, seed: int = 0) -> dict[str, Any]:
    """Arguments that fit; rows of an operator that rectifies are not negative."""
    size, shapes, rng = Size(streams, dim, rank), SHAPES[kind], np.random.default_rng(seed)
    u = rng.standard_normal((streams, shapes.columns(size))).astype(np.float32)
    u = np.abs(u) if JOINED[kind].activation == Activation.RELU else u
    theta = rng.standard_normal(sum(math.prod(s) for s in shapes.theta(size).values())).astype(np.float32) / 2
    out = np.full(shapes.out(size), np.nan, np.float32)
    select = np.ones(streams, np.uint8)
    return {"kind": int(kind), "u": u, "select": select, "theta": theta, "dim": dim, "rank": rank, "out": out}


EDGES = np.array([-1.0, 0.0, 0.5, 2.0], np.float32)
GRID = {"x_min_m": -2.5, "y_min_m": 1.25, "cell_m": 0.7, "z_edges_m": EDGES, "count_cap": 3}


def cloud(n: int, seed: int = 0) -> F32:
    rng = np.random.default_rng(seed)
    return rng.uniform((-4, 0, -1.5, -0.5), (7, 8, 2.5, 1.5), (n, 4)).astype(np.float32)
