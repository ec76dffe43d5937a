"""Accuracy of a model on every subset of its streams, each with its 95 % interval: the datasheet of a bundle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from edgefuse.datasheet import Datasheet, SubsetFigure
from edgefuse.operators import subsets
from edgefuse_export.labelled import Labelled
from edgefuse_export.models import FusionModel

Z_95 = 1.959963984540054


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of a share: hits of n. Wilson 1927, doi 10.1080/01621459.1927.10502953."""
    share, z2 = hits / n, Z_95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


@torch.no_grad()
def evaluate(model: FusionModel, data: Labelled, output: str, split: str, batch: int = 250) -> Datasheet:
    """Accuracy of a class output on all moments of `data`, for every subset; `split` says in words what they are."""
    model.eval()
    embeddings = _embeddings(model, data, batch)
    names, labels = list(model.streams), torch.from_numpy(data.labels)
    figures = [_figure(model, embeddings, subset, output, labels) for subset in subsets(names)]
    return Datasheet(metric="accuracy", split=split, subsets=tuple(figures))


def table(sheet: Datasheet) -> str:
    """The figures as lines for a person."""
    lines = [f"{sheet.metric} by streams present ({sheet.split})"]
    for figure in sheet.subsets:
        interval = f"[{100 * figure.low:5.1f}, {100 * figure.high:5.1f}]"
        lines.append(f"{100 * figure.value:6.1f} %  {interval}  n = {figure.n}  {', '.join(figure.streams)}")
    return "\n".join(lines)


def as_json(sheet: Datasheet) -> dict[str, Any]:
    """The sheet as `datasheet.json` holds it."""
    return sheet.model_dump(mode="json")


def _embeddings(model: FusionModel, data: Labelled, batch: int) -> list[Tensor]:
    """Of all moments, once: every subset is then answered from the same embeddings."""
    index = torch.arange(len(data)).numpy()
    parts = []
    for begin in range(0, len(data), batch):
        inputs = {name: torch.from_numpy(t) for name, t in data.rows(index[begin : begin + batch]).items()}
        present = torch.ones(len(next(iter(inputs.values()))), len(model.streams), dtype=torch.bool)
        parts.append(model.encode(inputs, present))
    return [torch.cat(column) for column in zip(*parts, strict=True)]


def _figure(
    model: FusionModel, embeddings: list[Tensor], subset: Sequence[str], output: str, labels: Tensor
) -> SubsetFigure:
    present = torch.tensor([name in subset for name in model.streams]).expand(len(labels), -1)
    hits = int((model.answer(embeddings, present)[output].argmax(1) == labels).sum())
    low, high = wilson(hits, len(labels))
    return SubsetFigure(streams=tuple(subset), value=hits / len(labels), low=low, high=high, n=len(labels))
