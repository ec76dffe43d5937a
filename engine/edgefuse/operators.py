"""The one table of fusion operators: what each joins, what its parameters are, and what an absent stream means to it.

Every operator here is one algebra: u_i = present ? act(W_i x_i + b_i) : identity, then the blocks u_1 || ... || u_N
where `concat` is set, followed by one reduction over the streams where `reduce` or `gate` is set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgefuse.reference import Activation, Reduce


@dataclass(frozen=True, slots=True)
class Operator:
    """One row: `absent` says in words what a missing stream contributes, `paper` where the operator comes from."""

    name: str
    summary: str
    absent: str
    paper: str
    concat: bool = False
    reduce: Reduce = Reduce.NONE
    gate: bool = False
    activation: Activation = Activation.IDENTITY

    def width(self, streams: int, dim: int) -> int:
        """Length of the fused vector that the head receives."""
        return dim * (streams * self.concat + (self.reduce != Reduce.NONE or self.gate))

    def parameters(self, dims: Mapping[str, int], dim: int) -> dict[str, tuple[int, ...]]:
        """Name -> shape of every parameter, in the order in which `fusion.bin` holds them (float32, C order).

        `<stream>.weight` is [d_i, dim], so that row k holds what input k adds to each output.
        """
        shapes: dict[str, tuple[int, ...]] = {}
        for stream, d in dims.items():
            shapes[f"{stream}.weight"] = (d, dim)
            shapes[f"{stream}.bias"] = (dim,)
        if self.gate:
            shapes["gate.weight"] = (len(dims), dim)
            shapes["gate.bias"] = (len(dims),)
        return shapes


_TEXTBOOK = "Baltrusaitis et al. 2019, arXiv 1705.09406"
_ROWS = (
    Operator("concat", "u_1 || ... || u_N", "a block of zeros", _TEXTBOOK, concat=True),
    Operator("sum", "sum of u_i", "0", _TEXTBOOK, reduce=Reduce.SUM),
    Operator("average", "sum of u_i / number present", "0, and not counted", _TEXTBOOK, reduce=Reduce.AVERAGE),
    Operator("max", "largest u_i, element by element", "left out", _TEXTBOOK, reduce=Reduce.MAX),
    Operator("product", "Hadamard product of u_i", "1", _TEXTBOOK, reduce=Reduce.PRODUCT),
    Operator(
        "multconcat",
        "u_1 || ... || u_N || product of u_i, with ReLU",
        "a block of zeros, and 1 in the product",
        "Amel et al. 2024, arXiv 2406.04349",
        concat=True,
        reduce=Reduce.PRODUCT,
        activation=Activation.RELU,
    ),
    Operator(
        "gated",
        "sum of alpha_i u_i, alpha = softmax over the present of w_i . u_i + c_i",
        "alpha_i = 0; the others share its weight",
        "Arevalo et al. 2017, arXiv 1702.01992, with scalar gates on each stream's own embedding",
        gate=True,
    ),
)

OPERATORS: Mapping[str, Operator] = {row.name: row for row in _ROWS}


def subsets(streams: Sequence[str]) -> list[tuple[str, ...]]:
    """Every non-empty subset of the streams, smallest first, in the order of the streams."""
    n = len(streams)
    masks = sorted(range(1, 1 << n), key=lambda m: (m.bit_count(), [-(m >> i & 1) for i in range(n)]))
    return [tuple(s for i, s in enumerate(streams) if m >> i & 1) for m in masks]
