"""What a manifest says of the fusion: the operator, its sizes and files, and the routes of dynamic routing."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from edgefuse.operators import OPERATORS
from edgefuse.schema import Dim, FileName, Name, Strict


class BranchSpec(Strict):
    """One branch of dynamic routing: the streams it needs, and its expert as a graph of their embeddings."""

    streams: Annotated[tuple[Name, ...], Meta(min_length=1)]
    file: FileName


class RouteSpec(Strict):
    """Dynamic routing: the gate as a graph of its own streams and `present`, and the branches it picks from."""

    gate: FileName
    gate_streams: Annotated[tuple[Name, ...], Meta(min_length=1)]
    branches: Annotated[tuple[BranchSpec, ...], Meta(min_length=1, max_length=256)]


class FusionSpec(Strict):
    """The operator of the table that joins the embeddings at width `dim`, and `rank` where it has one.

    file    `fusion.bin` for an operator run by kernels, else the graph; with routes, the expert for the rest
    grid    rows and columns of the feature maps that are joined; None where embeddings are vectors
    stored  how `fusion.bin` holds its numbers; in float16 it is half as large, and sums are still of float32
    width   length of the fused vector, or its channels: needed where only the graph knows it
    """

    operator: Name
    dim: Dim
    rank: Dim = 1
    activation: Literal["identity", "relu"]
    file: FileName
    stored: Literal["float32", "float16"] = "float32"
    grid: tuple[Dim, Dim] | None = None
    width: Dim | None = None
    routes: RouteSpec | None = None

    def __post_init__(self) -> None:
        if self.operator not in OPERATORS:
            raise ValueError(f"unknown operator {self.operator!r}; known: {', '.join(OPERATORS)}")
        own = OPERATORS[self.operator].activation.name.lower()
        if self.activation != own:
            raise ValueError(f"activation {self.activation!r}: operator {self.operator!r} has {own!r}")
        if (self.routes is not None) != (self.operator == "dynamic"):
            raise ValueError("routes and operator 'dynamic' go together")
        if self.stored != "float32" and (OPERATORS[self.operator].backend != "kernel" or self.grid is not None):
            raise ValueError("stored is of weights that a kernel reads")
        if (self.width is not None) != (self.operator == "graph"):
            raise ValueError("width and operator 'graph' go together")
