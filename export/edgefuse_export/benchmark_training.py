"""One training of the operator benchmark: the same encoders, budget and dropout for every operator, on one split.

What is trained and measured is a FusionModel in evaluation mode, which is what the exporter exports.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from edgefuse.operators import OPERATORS
from edgefuse_export.benchmark_store import JOINER, Outcome, Unit
from edgefuse_export.declare import ClassOutput, Stream
from edgefuse_export.digits import CLASSES, VIEWS, split, stratified_folds
from edgefuse_export.dropout import modality_dropout
from edgefuse_export.evaluate import evaluate
from edgefuse_export.labelled import Labelled
from edgefuse_export.models import FusionModel
from edgefuse_export.seeded import alone
from edgefuse_export.training import learning_rate_factor

OUTPUT = "digit"


@dataclass(frozen=True, slots=True)
class Protocol:
    """Everything but the operator that a training depends on; `seeds` says only how often it is done.

    hidden, embedding   widths of the encoders, Linear -> ReLU -> Linear; `hidden` is the head's too
    drop_rate           of every stream in training, independently, never all at once
    """

    folds: int = 5
    seeds: int = 3
    epochs: int = 100
    batch: int = 200
    learning_rate: float = 3e-3
    drop_rate: float = 0.3
    hidden: int = 64
    embedding: int = 32


@dataclass(frozen=True, slots=True)
class Shape:
    """What an operator is run with: its `dim`, and the head behind it."""

    dim: int = 32
    head: Literal["mlp", "identity"] = "mlp"


# Tensor fusion grows as (dim + 1) to the streams; what is stacked are votes on the classes.
SHAPES: Mapping[str, Shape] = {"late_stacking": Shape(CLASSES), "tfn": Shape(2)}


def shape_of(operator: str) -> Shape:
    """Operators whose fused vector holds scores are as wide as there are classes, and their head passes them on."""
    return Shape(CLASSES, "identity") if OPERATORS[operator].classes else SHAPES.get(operator, Shape())


def measure(data: Labelled, protocol: Protocol, unit: Unit) -> Outcome:
    """Train one operator on all folds but one, and measure it there on every subset of the views."""
    train, test = split(data, stratified_folds(data.labels, protocol.folds, unit.seed)[unit.fold])
    seed = 1000 * unit.seed + unit.fold
    with alone(seed):
        model, loss = trained(unit.operator, train, protocol, torch.Generator().manual_seed(seed))
        sheet = evaluate(model, test, OUTPUT, "the fold that was left out")
    accuracy = {JOINER.join(figure.streams): figure.value for figure in sheet.subsets}
    return Outcome(**asdict(unit), loss=loss if math.isfinite(loss) else None, accuracy=accuracy)


def fresh_model(operator: str, protocol: Protocol) -> FusionModel:
    """Untrained, weights drawn from torch's seed, the encoders' first."""
    shape, row = shape_of(operator), OPERATORS[operator]
    streams = {name: _stream(view.features, protocol) for name, view in VIEWS.items()}
    width = row.width(len(streams), shape.dim, row.default_rank)
    head = nn.Identity() if shape.head == "identity" else _mlp(width, protocol.hidden, CLASSES)
    return FusionModel(streams, operator, shape.dim, head, [ClassOutput(OUTPUT, [str(k) for k in range(CLASSES)])])


def trained(operator: str, data: Labelled, protocol: Protocol, generator: torch.Generator) -> tuple[FusionModel, float]:
    """A model in evaluation mode and the mean loss of its last epoch; the generator draws order and masks."""
    model, loss = fresh_model(operator, protocol), math.nan
    model.fit_prior(OUTPUT, torch.from_numpy(data.labels))
    optimiser = torch.optim.Adam(model.parameters(), protocol.learning_rate)
    steps = protocol.epochs * math.ceil(len(data) / protocol.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: learning_rate_factor(step, steps))
    model.train()
    for _ in range(protocol.epochs):
        losses = []
        for inputs, present, labels in _batches(data, protocol, generator):
            batch_loss = nn.functional.cross_entropy(model(inputs, present)[OUTPUT], labels)
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(batch_loss)
            optimiser.step()
            schedule.step()
            losses.append(float(batch_loss.detach()))
        loss = sum(losses) / len(losses)
    return model.eval(), loss


def _batches(
    data: Labelled, protocol: Protocol, generator: torch.Generator
) -> Iterator[tuple[dict[str, Tensor], Tensor, Tensor]]:
    """One epoch: inputs [b, ...] by stream, present bool [b, N], labels int64 [b]."""
    for rows in torch.split(torch.randperm(len(data), generator=generator), protocol.batch):
        inputs = {name: torch.from_numpy(view)[rows] for name, view in data.tensors.items()}
        present = modality_dropout([protocol.drop_rate] * len(VIEWS), len(rows), generator)
        yield inputs, present, torch.from_numpy(data.labels)[rows]


def _stream(features: int, protocol: Protocol) -> Stream:
    encoder = _mlp(features, protocol.hidden, protocol.embedding)
    return Stream("vector", encoder, protocol.embedding, {"shape": [features]})


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
