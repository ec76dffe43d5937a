"""Training on the simulated site: cross-entropy with modality dropout, one data order for a seed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgefuse.sources.site import OUTPUT_NAME
from edgefuse_export.augment import augmented
from edgefuse_export.dropout import modality_dropout
from edgefuse_export.labelled import Labelled
from edgefuse_export.models import FusionModel
from edgefuse_export.site_model import site_model

Progress = Callable[[Iterator[Any], int, str], Iterator[Any]]


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a training run depends on. `minutes` stops it early on a slow machine, data included."""

    operator: str = "multconcat"
    dim: int = 64
    samples: int = 9000
    test_samples: int = 2000
    epochs: int = 20
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    label_smoothing: float = 0.02
    drop_rate: float = 0.4
    whole_share: float = 0.3
    seed: int = 0
    minutes: float = 15.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Trained:
    """A model, the mean loss of each epoch, and whether time ran out before all epochs were done."""

    model: FusionModel
    losses: tuple[float, ...]
    stopped_early: bool


def train(data: Labelled, settings: Settings, deadline_s: float, progress: Progress) -> Trained:
    """Train a fresh reference model. deadline_s: on `time.monotonic`, after which no further epoch begins.

    The same data, settings and machine give the same weights, unless time runs out.
    """
    torch.manual_seed(settings.seed)
    model = site_model(settings.operator, settings.dim)
    _lay_out(model, torch.channels_last)  # what the CPU's convolutions run in: a quarter less time
    model.fit_prior(OUTPUT_NAME, torch.from_numpy(data.labels))
    steps = settings.epochs * -(-len(data) // settings.batch)
    optimiser = torch.optim.AdamW(model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: learning_rate_factor(step, steps))
    generator = torch.Generator().manual_seed(settings.seed)
    losses: list[float] = []
    for _ in progress(iter(range(settings.epochs)), settings.epochs, "epochs"):
        if time.monotonic() > deadline_s:
            break
        losses.append(_epoch(model, data, settings, optimiser, schedule, generator))
    _lay_out(model.eval(), torch.contiguous_format)
    model.measure_means(inputs for inputs, _ in _batches(data, np.arange(len(data)), 250))
    return Trained(model, tuple(losses), len(losses) < settings.epochs)


def learning_rate_factor(step: int, steps: int) -> float:
    """Of the learning rate at a step: a rise over the first tenth, then half a cosine down to 0."""
    rise = max(1, steps // 10)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1.0 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def _epoch(
    model: FusionModel,
    data: Labelled,
    settings: Settings,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    generator: torch.Generator,
) -> float:
    model.train()
    loss_of, total = nn.CrossEntropyLoss(label_smoothing=settings.label_smoothing), 0.0
    for inputs, labels in _batches(data, torch.randperm(len(data), generator=generator).numpy(), settings.batch):
        present = masks(settings, len(model.streams), len(labels), generator)
        logits = model(augmented(inputs, generator), present)[OUTPUT_NAME]
        loss = loss_of(logits, labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        total += float(loss.detach()) * len(labels)
    return total / len(data)


def masks(settings: Settings, streams: int, rows: int, generator: torch.Generator) -> Tensor:
    """Presence bool [rows, streams]: a share of rows whole, the rest with streams dropped."""
    whole = torch.rand(rows, 1, generator=generator) < settings.whole_share
    return whole | modality_dropout([settings.drop_rate] * streams, rows, generator)


def _lay_out(model: FusionModel, layout: torch.memory_format) -> None:
    model.to(memory_format=layout)  # type: ignore[call-overload]  # missing in torch's annotations


def _batches(data: Labelled, order: Any, size: int) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
    for begin in range(0, len(order), size):
        index = order[begin : begin + size]
        yield {k: torch.from_numpy(v) for k, v in data.rows(index).items()}, torch.from_numpy(data.labels[index])
