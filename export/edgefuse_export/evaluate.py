"""Accuracy of a model on every subset of its streams, each with its 95 % interval: the datasheet of a bundle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgefuse.datasheet import Z_95, Datasheet, SubsetFigure
from edgefuse.operators import subsets
from edgefuse.schema import document_of
from edgefuse_export.labelled import Labelled
from edgefuse_export.models import FusionModel


def wilson(hits: float, n: float) -> tuple[float, float]:
    """The 95 % score interval of a share: hits of n. Wilson 1927, doi 10.1080/01621459.1927.10502953."""
    share, z2 = hits / n, Z_95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


@torch.no_grad()
def evaluate(model: FusionModel, data: Labelled, output: str, split: str, batch: int = 250) -> Datasheet:
    """Accuracy of a class output on all moments of `data`, for every subset; `split` says in words what they are."""
    asked = subsets(list(model.streams))
    right = right_answers(model, data, output, asked, batch)
    figures = [_figure(subset, int(rows.sum()), len(rows)) for subset, rows in zip(asked, right, strict=True)]
    return Datasheet(metric="accuracy", split=split, subsets=tuple(figures))


@torch.no_grad()
def right_answers(
    model: FusionModel, data: Labelled, output: str, asked: Sequence[Sequence[str]], batch: int = 250
) -> list[NDArray[np.bool_]]:
    """For each subset asked about, bool [n]: which moments the likeliest class is right of."""
    model.eval()
    made, labels = embeddings(model, data, batch), torch.from_numpy(data.labels)
    found = []
    for subset in asked:
        present = torch.tensor([name in subset for name in model.streams]).expand(len(labels), -1)
        found.append((model.answer(made, present)[output].argmax(1) == labels).numpy())
    return found


def table(sheet: Datasheet) -> str:
    """The figures as lines for a person."""
    lines = [f"{sheet.metric} by streams present ({sheet.split})"]
    share = sheet.metric == "accuracy"
    for figure in sheet.subsets:
        value, low, high = (f"{100 * x:5.1f}" if share else f"{x:.4g}" for x in (figure.value, figure.low, figure.high))
        unit = " %" if share else ""
        lines.append(f" {value}{unit}  [{low}, {high}]  n = {figure.n}  {', '.join(figure.streams)}")
    return "\n".join(lines)


def as_json(sheet: Datasheet) -> dict[str, Any]:
    """The sheet as `datasheet.json` holds it."""
    return document_of(sheet)


def embeddings(model: FusionModel, data: Labelled, batch: int) -> list[Tensor]:
    """Of all moments, once: every subset is then answered from the same embeddings."""
    index = torch.arange(len(data)).numpy()
    parts = []
    for begin in range(0, len(data), batch):
        inputs = {name: torch.from_numpy(t) for name, t in data.rows(index[begin : begin + batch]).items()}
        present = torch.ones(len(next(iter(inputs.values()))), len(model.streams), dtype=torch.bool)
        parts.append(model.encode(inputs, present))
    return [torch.cat(column) for column in zip(*parts, strict=True)]


def _figure(subset: Sequence[str], hits: int, n: int) -> SubsetFigure:
    low, high = wilson(hits, n)
    return SubsetFigure(streams=tuple(subset), value=hits / n, low=low, high=high, n=n)
