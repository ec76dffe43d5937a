"""The fusion operators that run as graphs: torch modules for training, traced to ONNX for the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from edgefuse_export.graphs.attention import (
    AttendFusion,
    AttentionPooling,
    CrossAttention,
    SelfCrossAttention,
)
from edgefuse_export.graphs.base import GraphOperator
from edgefuse_export.graphs.bottleneck import Bottleneck
from edgefuse_export.graphs.dynamic import Dynamic
from edgefuse_export.graphs.early import Early
from edgefuse_export.graphs.shaspec import ShaSpec
from edgefuse_export.graphs.tensor import TensorFusion

__all__ = ["GRAPHS", "GraphBuilder", "GraphOperator"]


class GraphBuilder(Protocol):
    """Makes the operator for streams of dims[name] values each; ExportError for what it cannot join."""

    def __call__(
        self, dims: Mapping[str, int], dim: int, rank: int = 4, grid: tuple[int, int] | None = None
    ) -> GraphOperator: ...


GRAPHS: Mapping[str, GraphBuilder] = {
    "early": Early,
    "tfn": TensorFusion,
    "attention_pooling": AttentionPooling,
    "cross_attention": CrossAttention,
    "self_cross_attention": SelfCrossAttention,
    "attend_fusion": AttendFusion,
    "bottleneck": Bottleneck,
    "shaspec": ShaSpec,
    "dynamic": Dynamic,
}
