"""From a FusionModel to one bundle: graphs, weights, golden moments and manifest, written only through the gate."""

from __future__ import annotations

import io
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import numpy as np
import torch
from torch import nn

import edgefuse
from edgefuse import bundle as bundles
from edgefuse.datasheet import Datasheet
from edgefuse.manifest import StreamSpec
from edgefuse.schema import document_of
from edgefuse.types import Array
from edgefuse_export.check import check_model
from edgefuse_export.errors import ExportError
from edgefuse_export.gate import examine, torch_answers
from edgefuse_export.graph_fusion import GraphFusion
from edgefuse_export.graphs.dynamic import Dynamic
from edgefuse_export.models import FusionModel
from edgefuse_export.report import GateReport
from edgefuse_export.routes import route_fields
from edgefuse_export.samples import Sample, tensors_of
from edgefuse_export.subsets import Mask, presence_masks
from edgefuse_export.to_onnx import Graphs, to_onnx
from edgefuse_export.trace import OPSET

GOLDEN = 5  # recorded moments in a bundle, at most


@dataclass(frozen=True, eq=False)
class Recipe:
    """All that goes into one bundle.

    samples     raw payloads of every stream, a few moments: what the gate checks with; the first ones travel as golden
    domain      the world the model was trained on, such as "site"; compared with the source's
    datasheet   measured figures by subset, where there are any
    subset_trained  has the model learned to answer from subsets of its streams? None: nobody says
    provenance  what made the model: seed, data, versions; no paths of machines
    """

    model: FusionModel
    name: str
    samples: Sequence[Sample]
    domain: str = "unknown"
    bundle_version: int = 1
    datasheet: Datasheet | None = None
    provenance: Mapping[str, str | int | float] = field(default_factory=dict)
    subset_trained: bool | None = None


def export_bundle(
    path: str | os.PathLike[str], model: FusionModel, *, name: str, samples: Sequence[Sample], **more: Any
) -> GateReport:
    """Write `model` as a bundle; `more` are further fields of `Recipe`. See `export_recipe`."""
    return export_recipe(path, Recipe(model, name, samples, **more))


def export_recipe(path: str | os.PathLike[str], recipe: Recipe) -> GateReport:
    """Build the bundle, run it through the gate, and write it to `path` if every stage passes.

    Nothing is written otherwise: ExportError lists every failure and carries the gate's report; BundleError where the
    place cannot be written.
    """
    tensors = tensors_of(recipe.model.specs, recipe.samples)
    check_model(recipe.model, tensors)
    fields, files = contents(recipe, tensors, to_onnx(recipe.model))
    data = bundles.assemble(fields, files)
    candidate = bundles.parse(data, os.fspath(path))
    report = examine(candidate, recipe.model, recipe.samples, tensors)
    if not report.passed:
        raise ExportError(*report.failures, report=report)
    bundles.save(path, data)
    return report


def contents(recipe: Recipe, tensors: Mapping[str, Array], graphs: Graphs) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The manifest without `files`, and the files."""
    model = recipe.model
    golden, files = _golden(recipe, tensors)
    files |= {spec.encoder: graphs.encoders[spec.name] for spec in model.specs}
    files |= {"head.onnx": graphs.head, "model.onnx": graphs.model}
    files |= graphs.fusion or {"fusion.bin": _fusion_weights(model)}
    fallback = {**_fallback(model, files), "subset_trained": recipe.subset_trained}
    if recipe.datasheet is not None:
        files["datasheet.json"] = json.dumps(document_of(recipe.datasheet), indent=1).encode()
    fields = {
        "schema_version": 1,
        "name": recipe.name,
        "bundle_version": recipe.bundle_version,
        "domain": recipe.domain,
        "streams": [_stream(model, spec) for spec in model.specs],
        "fusion": _fusion(model),
        "head": {
            "file": "head.onnx",
            "outputs": [_output(model, o.name, o.words) for o in model.outputs],
            "presence_bits": model.presence_bits,
            "linear": type(model.head) is nn.Linear,
        },
        "fallback": fallback,
        "graph": "model.onnx",
        "golden": golden,
        "datasheet": None if recipe.datasheet is None else "datasheet.json",
        "provenance": {**recipe.provenance, **versions()},
    }
    return fields, files


def versions() -> dict[str, str | int]:
    """What the bundle was made with."""
    packages = {name: metadata.version(name) for name in ("torch", "onnx", "onnxruntime", "numpy")}
    return {"edgefuse": edgefuse.__version__, "python": platform.python_version(), **packages, "opset": OPSET}


def _stream(model: FusionModel, spec: StreamSpec) -> dict[str, Any]:
    fields = document_of(spec)
    return fields | ({"embedding_dim": model.fusion.dim} if model.joins_maps else {})  # maps arrive projected


def _fusion(model: FusionModel) -> dict[str, Any]:
    fusion, operator = model.fusion, model.fusion.operator
    fields: dict[str, Any] = {
        "operator": operator.name,
        "dim": fusion.dim,
        "rank": fusion.rank,
        "activation": operator.activation.name.lower(),
        "file": "fusion.bin" if operator.backend == "kernel" else "fusion.onnx",
        "grid": None if fusion.grid is None else list(fusion.grid),
    }
    if isinstance(fusion, GraphFusion) and isinstance(fusion.module, Dynamic):
        fields["routes"] = route_fields(fusion.module, list(model.streams))
    return fields | ({"width": fusion.width} if operator.name == "graph" else {})


def _fusion_weights(model: FusionModel) -> bytes:
    """`fusion.bin`; maps arrive projected, so that only a vector operator has weights here."""
    return b"" if model.fusion.grid is not None else _packed(list(model.fusion.named_arrays().values()))


def _output(model: FusionModel, name: str, said: Mapping[str, object]) -> dict[str, object]:
    return {"name": name, **said, "prior": [float(value) for value in model.prior(name)]}


def _fallback(model: FusionModel, files: dict[str, bytes]) -> dict[str, Any]:
    """The ladder the model was trained for; its blocks [N, dim] go into `files`."""
    blocks = {"mean": model.means, "token": model.fusion.tokens}
    known = {name: block for name, block in blocks.items() if block is not None}
    if known:
        files["fallback.bin"] = _packed(list(known.values()))
    ladder = ["hold", "mask" if model.absent == "identity" else "token"]
    return {"ladder": ladder, "blocks": list(known), "file": "fallback.bin" if known else None}


def _golden(recipe: Recipe, tensors: Mapping[str, Array]) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """A few moments with different streams present: raw payloads, and what torch answers to them."""
    moments: list[dict[str, Any]] = []
    files: dict[str, bytes] = {}
    for k, mask in enumerate(_golden_masks(recipe.model)):
        row = k % len(recipe.samples)
        present = [name for name, on in zip(recipe.model.streams, mask, strict=True) if on]
        answers = torch_answers(recipe.model, {n: t[row : row + 1] for n, t in tensors.items()}, mask)
        inputs = {name: (f"golden/m{k}/{name}.npy", recipe.samples[row][name]) for name in present}
        outputs = {name: (f"golden/m{k}/out_{name}.npy", values[0]) for name, values in answers.items()}
        files |= {file: _npy(array) for file, array in (*inputs.values(), *outputs.values())}
        moments.append({"samples": _names(inputs), "outputs": _names(outputs)})
    return moments, files


def _golden_masks(model: FusionModel) -> list[Mask]:
    """Everything present, then the smallest legal subsets: together they touch every encoder, in few bytes."""
    full, *others = presence_masks(model)[:-1]
    return [full, *sorted(others, key=sum)][:GOLDEN]


def _names(entries: Mapping[str, tuple[str, Array]]) -> dict[str, str]:
    return {name: file for name, (file, _) in entries.items()}


def _packed(blocks: Sequence[torch.Tensor]) -> bytes:
    return b"".join(block.detach().cpu().numpy().astype("<f4").tobytes() for block in blocks)


def _npy(array: Array) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()
