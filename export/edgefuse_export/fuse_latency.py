"""How long the engine's fuse stage takes for a model on this machine, without its encoders and head."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from edgefuse import bundle as bundles
from edgefuse.fuse import fusion_of
from edgefuse.fusion_base import Fusion
from edgefuse.reference import PRESENT
from edgefuse_export.fusion import Fusion as KernelOperator
from edgefuse_export.models import FusionModel
from edgefuse_export.package import Recipe, contents
from edgefuse_export.samples import tensors_of
from edgefuse_export.to_onnx import Graphs, fusion_body, fusion_files, single

CALLS = 200


def fuse_latency() -> Callable[[FusionModel], float]:
    """A function that takes one measurement: the median over calls with all streams present, in microseconds.

    It keeps what it has built of each model, so that rounds of measurements can take turns.
    """
    built: dict[int, Fusion] = {}

    def measure(model: FusionModel) -> float:
        if id(model) not in built:
            built[id(model)] = _fusion(model)
        return _median_us(built[id(model)])

    return measure


def _fusion(model: FusionModel) -> Fusion:
    """The fuse stage alone: the other graphs are never opened, so they need not be there."""
    moment = {spec.name: np.zeros(spec.tensor_shape, spec.tensor_dtype) for spec in model.specs}
    recipe = Recipe(model.eval(), "fuse", [moment])
    bodies = {} if isinstance(model.fusion, KernelOperator) else fusion_files(model, fusion_body(model))
    files = {name: single(body).SerializeToString() for name, body in bodies.items()}
    graphs = Graphs(dict.fromkeys(model.streams, b"-"), b"-", b"-", files)
    parts = contents(recipe, tensors_of(model.specs, recipe.samples), graphs)
    return fusion_of(bundles.parse(bundles.assemble(*parts), "fuse"))


def _median_us(fusion: Fusion) -> float:
    rng = np.random.default_rng(0)
    for view in fusion.embeddings:
        view[:] = rng.standard_normal(view.size)
    fusion.select[:] = PRESENT
    took_ns = []
    for _ in range(CALLS):
        begin = time.perf_counter_ns()
        fusion.run()
        took_ns.append(time.perf_counter_ns() - begin)
    return statistics.median(took_ns) / 1e3
