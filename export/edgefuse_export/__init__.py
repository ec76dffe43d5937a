"""edgefuse_export: from a PyTorch fusion model to one bundle that the edgefuse runtime answers from."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgefuse_export.declare import ClassOutput, RegressionOutput, SimilarityOutput, Stream
    from edgefuse_export.dropout import close_derived, modality_dropout
    from edgefuse_export.encoders import DepthInput, GpsInput, ImageInput
    from edgefuse_export.errors import ExportError
    from edgefuse_export.graph_fusion import OnnxFusion
    from edgefuse_export.graphs.dynamic import Dynamic
    from edgefuse_export.models import FusionModel
    from edgefuse_export.package import Recipe, export_bundle
    from edgefuse_export.report import GateReport
    from edgefuse_export.similarity import SimilarityHead, contrastive_loss

__all__ = [
    "ClassOutput",
    "DepthInput",
    "Dynamic",
    "ExportError",
    "FusionModel",
    "GateReport",
    "GpsInput",
    "ImageInput",
    "OnnxFusion",
    "Recipe",
    "RegressionOutput",
    "SimilarityHead",
    "SimilarityOutput",
    "Stream",
    "close_derived",
    "contrastive_loss",
    "export_bundle",
    "modality_dropout",
]

_HOMES = {
    "declare": ("ClassOutput", "RegressionOutput", "SimilarityOutput", "Stream"),
    "dropout": ("close_derived", "modality_dropout"),
    "encoders": ("DepthInput", "GpsInput", "ImageInput"),
    "errors": ("ExportError",),
    "graph_fusion": ("OnnxFusion",),
    "graphs.dynamic": ("Dynamic",),
    "models": ("FusionModel",),
    "package": ("Recipe", "export_bundle"),
    "report": ("GateReport",),
    "similarity": ("SimilarityHead", "contrastive_loss"),
}


def __getattr__(name: str) -> object:
    # Late, as torch takes seconds to import: `edgefuse-export --help` and the simulator's workers do without it.
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
