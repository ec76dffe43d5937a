"""What a row of the operator table says, and what follows from it: widths, parameters, costs and refusals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from enum import Enum

from msgspec import Struct

from edgefuse.joins import SHAPES, Join, Size
from edgefuse.reference import Activation, Reduce


class Absent(Enum):
    """What stands for a stream that is absent, where the model has learned no token for it."""

    LEFT_OUT = "left out, as if the operator had never had it"
    ZERO_INPUT = "an embedding of zeros: its projection is the bias"


class Operator(Struct, frozen=True):
    """One fusion operator.

    Run by kernels: u_i = present ? act(W_i^T x_i + b_i) : absent, then the blocks u_1 || ... || u_N where `concat` is
    set and one `reduce` over the streams, or the `join` of the rows instead. Run as a graph, where `graph` gives the
    width of what it makes (None: the bundle says it).

    formula, absent_words, paper, use   for a reader: what it is, what a missing stream means, whence, and when
    exactly     the number of streams, where it is not open
    rank        what the `rank` of a model means to it, "" where it has none
    maps        also joins feature maps [dim, H, W]
    classes     `dim` is the number of classes and the fused vector holds scores: the head passes them on
    """

    name: str
    title: str
    formula: str
    absent_words: str
    paper: str
    use: str
    concat: bool = False
    reduce: Reduce = Reduce.NONE
    activation: Activation = Activation.IDENTITY
    join: Join = Join.NONE
    absent: Absent = Absent.LEFT_OUT
    graph: Callable[[Size], int | None] | None = None
    exactly: int | None = None
    rank: str = ""
    maps: bool = False
    classes: bool = False

    @property
    def backend(self) -> str:
        """`kernel` or `graph`."""
        return "kernel" if self.graph is None else "graph"

    @property
    def multiplies(self) -> bool:
        """Is what it makes a product of the streams and nothing beside? Such projections start near 1."""
        products = self.reduce in (Reduce.PRODUCT, Reduce.JOINT_PRODUCT) and not self.concat
        return products or self.join in (Join.LMF, Join.MFB, Join.MUTAN)

    @property
    def additive(self) -> bool:
        """Is what a linear head makes of it a sum of what each projected stream adds?"""
        return self.backend == "kernel" and self.join == Join.NONE and self.reduce in (Reduce.NONE, Reduce.SUM)

    @property
    def default_rank(self) -> int:
        """What a model that does not say its rank gets."""
        return 4 if self.rank else 1

    def width(self, streams: int, dim: int, rank: int = 1) -> int:
        """Length of the fused vector that the head receives. ValueError for a graph that only its bundle knows."""
        size = Size(streams, dim, rank)
        if self.graph is not None:
            width = self.graph(size)
            if width is None:
                raise ValueError(f"the width of operator {self.name!r} is its graph's")
            return width
        if self.join != Join.NONE:
            return SHAPES[self.join].out(size)
        return dim * (streams * self.concat + (self.reduce != Reduce.NONE))

    def columns(self, streams: int, dim: int, rank: int = 1) -> int:
        """W, the columns of each row u_i."""
        return dim if self.join == Join.NONE else SHAPES[self.join].columns(Size(streams, dim, rank))

    def stand_ins(self, dims: Mapping[str, int], dim: int, rank: int = 1) -> list[int]:
        """How long what stands in for each stream is: a row u_i for kernels, an embedding for a graph."""
        if self.graph is not None:
            return list(dims.values())
        return [self.columns(len(dims), dim, rank)] * len(dims)

    def parameters(self, dims: Mapping[str, int], dim: int, rank: int = 1) -> dict[str, tuple[int, ...]]:
        """Name -> shape of every parameter, in the order in which `fusion.bin` holds them (float32, C order).

        `<stream>.weight` is [d_i, W], so that row k holds what input k adds to each column.
        """
        if self.graph is not None:
            return {}
        columns = self.columns(len(dims), dim, rank)
        shapes: dict[str, tuple[int, ...]] = {}
        for stream, d in dims.items():
            shapes |= {f"{stream}.weight": (d, columns), f"{stream}.bias": (columns,)}
        return shapes | self.theta(len(dims), dim, rank)

    def theta(self, streams: int, dim: int, rank: int = 1) -> dict[str, tuple[int, ...]]:
        """Name -> shape of the join's own parameters."""
        return {} if self.join == Join.NONE else SHAPES[self.join].theta(Size(streams, dim, rank))

    def weights(self, dims: Mapping[str, int], dim: int, rank: int = 1) -> int:
        """Parameters read for one answer with all streams present; one multiplication each, which is the cost."""
        return sum(math.prod(shape) for shape in self.parameters(dims, dim, rank).values())

    def refusal(self, streams: int, dim: int, rank: int, maps: bool) -> str | None:
        """Why the operator does not fit a model of this shape, None where it does."""
        if self.exactly is not None and streams != self.exactly:
            return f"operator {self.name!r} joins exactly {self.exactly} streams, not {streams}"
        if rank != 1 and not self.rank:
            return f"operator {self.name!r} has no rank, the model says {rank}"
        if maps and not self.maps:
            return f"operator {self.name!r} does not join feature maps"
        return None
