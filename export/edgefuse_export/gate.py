"""The export gate: torch, the portable graph and the engine must agree on every subset, or nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from edgefuse.bundle import Bundle
from edgefuse.engine import Engine
from edgefuse.errors import EdgefuseError
from edgefuse.session import Port, Session
from edgefuse.types import Array
from edgefuse.verify import TOLERANCE, distance
from edgefuse_export.effect import effect_stage
from edgefuse_export.models import FusionModel
from edgefuse_export.report import GateReport, StageReport
from edgefuse_export.samples import Sample
from edgefuse_export.subsets import Mask, mask_array, presence_masks, words

Answers = Mapping[str, Array]  # output -> float32 [S, K]


def examine(bundle: Bundle, model: FusionModel, samples: Sequence[Sample], tensors: Mapping[str, Array]) -> GateReport:
    """Run every stage on a candidate bundle; `tensors` are the samples, preprocessed, stream -> [S, ...]."""
    masks = presence_masks(model)
    truth = {mask: torch_answers(model, tensors, mask) for mask in masks}
    stages = (
        _stage("interface", None, lambda report: _interface(report, bundle)),
        _stage("graph", TOLERANCE, lambda report: _graph(report, bundle, tensors, truth)),
        _stage("engine", TOLERANCE, lambda report: _engine(report, bundle, samples, truth)),
        _stage("effect", None, lambda report: effect_stage(report, bundle, model.specs, samples, tensors, masks)),
    )
    return GateReport(stages, sum(len(content) for content in bundle.files.values()), bundle.sha256)


@torch.no_grad()
def torch_answers(model: FusionModel, tensors: Mapping[str, Array], mask: Mask) -> dict[str, Array]:
    """What the torch model answers to samples [S, ...] with the streams of `mask` present: output -> float32 [S, K]."""
    model.eval()
    inputs = {name: torch.from_numpy(tensor).to(model.device) for name, tensor in tensors.items()}
    rows = len(next(iter(tensors.values())))
    answers = model(inputs, torch.from_numpy(mask_array(mask, rows)))
    return {name: values.cpu().numpy() for name, values in answers.items()}


def _stage(name: str, bound: float | None, run: Callable[[StageReport], None]) -> StageReport:
    """A stage that cannot even run has failed, and the next one still runs."""
    report = StageReport(name, bound)
    try:
        run(report)
    except EdgefuseError as error:
        report.check(str(error))
    return report


def _interface(report: StageReport, bundle: Bundle) -> None:
    """Names, dtypes and shapes of every graph against the manifest."""
    for file, inputs, outputs in _ports(bundle):
        report.check(_refusal(bundle, file, inputs, outputs))


def _refusal(bundle: Bundle, file: str, inputs: Mapping[str, Port], outputs: Mapping[str, Port]) -> str | None:
    try:
        Session(bundle[file], file).expect(inputs, outputs)
    except EdgefuseError as error:
        return str(error)
    return None


def _ports(bundle: Bundle) -> list[tuple[str, dict[str, Port], dict[str, Port]]]:
    manifest = bundle.manifest
    sizes = {output.name: len(output.prior) for output in manifest.head.outputs}
    width = len(manifest.streams)
    whole = {s.name: Port(s.tensor_dtype, (None, *s.tensor_shape)) for s in manifest.streams}
    grid = manifest.fusion.grid or ()
    encoders = [
        (
            s.encoder,
            {"input": Port(s.tensor_dtype, (1, *s.tensor_shape))},
            {"embedding": Port("float32", (1, s.embedding_dim, *grid))},
        )
        for s in manifest.streams
    ]
    return [
        *encoders,
        (manifest.head.file, {"fused": Port("float32", (1, *manifest.head_shape))}, _float_ports(sizes, 1)),
        (manifest.graph, {**whole, "present": Port("bool", (None, width))}, _float_ports(sizes, None)),
    ]


def _graph(report: StageReport, bundle: Bundle, tensors: Mapping[str, Array], truth: Mapping[Mask, Answers]) -> None:
    """torch against model.onnx, with garbage in the inputs of absent streams."""
    session = Session(bundle[bundle.manifest.graph], bundle.manifest.graph)
    names = bundle.manifest.stream_names
    for mask, want in truth.items():
        rows = len(next(iter(tensors.values())))
        inputs = {n: tensors[n] if on else garbage(tensors[n]) for n, on in zip(names, mask, strict=True)}
        _compare(report, session.compute({**inputs, "present": mask_array(mask, rows)}), want, words(names, mask))


def _engine(report: StageReport, bundle: Bundle, samples: Sequence[Sample], truth: Mapping[Mask, Answers]) -> None:
    """torch against the engine as the device runs it, from raw payloads; the empty set must give the prior."""
    engine, names = Engine(bundle), bundle.manifest.stream_names
    for mask, want in truth.items():
        present = [name for name, on in zip(names, mask, strict=True) if on]
        results = [engine.answer({name: sample[name] for name in present}) for sample in samples]
        have = {output: np.stack([result.outputs[output] for result in results]) for output in want}
        _compare(report, have, want, words(names, mask))


def garbage(tensor: Array) -> Array:
    """What an absent input may hold at worst: NaN, or the largest number where there is no NaN."""
    worst = np.nan if tensor.dtype.kind == "f" else np.iinfo(tensor.dtype).max
    return np.full_like(tensor, worst)


def _compare(report: StageReport, have: Mapping[str, Array], want: Answers, where: str) -> None:
    for output, values in want.items():
        report.measure(distance(have[output], values), f"subset {where}: output {output!r}")


def _float_ports(sizes: Mapping[str, int], batch: int | None) -> dict[str, Port]:
    return {name: Port("float32", (batch, size)) for name, size in sizes.items()}
