"""Cases for the tests of the kernels: arguments that fit, and a float64 truth written from the formulas."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgefuse import reference
from edgefuse.reference import Activation, Reduce
from edgefuse.types import F32, F64

try:
    from edgefuse import _kernels as cpp
except ImportError:
    cpp = None  # type: ignore[assignment]

EPS = 2.0**-24  # the unit roundoff of float32
ISAS: list[str] = cpp.isas() if cpp else []
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
            "weights": weights,
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
    if reduce == Reduce.PRODUCT:
        most = np.prod([np.abs(u) + e for u, e in zip(us, es, strict=True)], axis=0)
        return np.prod(us, axis=0), (most - np.prod(np.abs(us), axis=0)) + 2 * n * EPS * most + 1e-37
    by = n if reduce == Reduce.AVERAGE else 1
    return np.sum(us, axis=0) / by, (np.sum(es, axis=0) + 2 * n * EPS * np.sum(np.abs(us), axis=0)) / by


def assert_near_truth(case: Project, path: Any) -> None:
    expected, slack = truth(case)
    actual = case.run(path)
    assert actual.shape == expected.shape
    assert (np.abs(actual - expected) <= slack).all()


def gate_args(n: int, width: int, select: tuple[int, ...], seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    h, weight = rng.standard_normal((2, n, width)).astype(np.float32)
    bias, out, alpha = rng.standard_normal(n).astype(np.float32), *(np.full(k, np.nan, np.float32) for k in (width, n))
    return {"h": h, "select": np.array(select, np.uint8), "gate_weight": weight / 4, "gate_bias": bias, "out": out,
            "alpha": alpha}  # fmt: skip


EDGES = np.array([-1.0, 0.0, 0.5, 2.0], np.float32)
GRID = {"x_min_m": -2.5, "y_min_m": 1.25, "cell_m": 0.7, "z_edges_m": EDGES, "count_cap": 3}


def cloud(n: int, seed: int = 0) -> F32:
    rng = np.random.default_rng(seed)
    return rng.uniform((-4, 0, -1.5, -0.5), (7, 8, 2.5, 1.5), (n, 4)).astype(np.float32)
