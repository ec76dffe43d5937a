"""Training: cross-entropy of the whole set and of random subsets off the same embeddings, one order for a seed."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgefuse.operators import OPERATORS
from edgefuse_export.dropout import close_derived, modality_dropout
from edgefuse_export.labelled import Labelled
from edgefuse_export.models import FusionModel
from edgefuse_export.settings import Settings
from edgefuse_export.task import Augment, Task

Progress = Callable[[Iterator[Any], int, str], Iterator[Any]]
# By the axes of a parameter, what the CPU's convolutions run in: a quarter less time.
CONVOLVED: Mapping[int, torch.memory_format] = {4: torch.channels_last, 5: torch.channels_last_3d}
SOFTEN = 2.0  # temperature at which a subset learns from the whole


@dataclass(frozen=True, slots=True)
class Trained:
    """A model, the mean loss of each epoch, and whether time ran out before all epochs were done."""

    model: FusionModel
    losses: tuple[float, ...]
    stopped_early: bool


def fresh_model(task: Task, settings: Settings, only: frozenset[str] | None = None) -> FusionModel:
    """Untrained, weights drawn from torch's seed. only: of these streams alone. ExportError as of `FusionModel`."""
    streams = {name: s for name, s in task.streams().items() if only is None or name in only}
    row, classes = OPERATORS[settings.operator], task.output.size
    dim = classes if row.classes else settings.dim
    rank = row.default_rank if settings.rank is None else settings.rank
    width = row.width(len(streams), dim, rank) + (len(streams) if settings.presence_bits else 0)
    head = nn.Identity() if row.classes else _head(width, settings.hidden, classes)
    return FusionModel(
        streams,
        settings.operator,
        dim,
        head,
        [task.output],
        settings.absent,
        settings.rank,
        presence_bits=settings.presence_bits,
    )


def train(
    task: Task, settings: Settings, progress: Progress, deadline_s: float = math.inf, only: frozenset[str] | None = None
) -> Trained:
    """Train a fresh model. deadline_s: on `time.monotonic`, after which no further epoch begins.

    only: a model of these streams alone. The same data, settings, machine and threads give the same weights, unless
    time runs out.
    """
    torch.manual_seed(settings.seed)
    model = fresh_model(task, settings, only)
    data = task.train if only is None else task.train.only(only)
    _lay_out(model, CONVOLVED)
    model.fit_prior(task.output.name, torch.from_numpy(data.labels))
    lesson = _Lesson(model, data, settings, task.augment)
    losses: list[float] = []
    for _ in progress(iter(range(settings.epochs)), settings.epochs, "epochs"):
        if time.monotonic() > deadline_s:
            break
        losses.append(lesson.epoch())
    _lay_out(model.eval(), {})
    model.measure_means(inputs for inputs, _ in batches(data, np.arange(len(data)), 250))
    return Trained(model, tuple(losses), len(losses) < settings.epochs)


def learning_rate_factor(step: int, steps: int) -> float:
    """Of the learning rate at a step: a rise over the first tenth, then half a cosine down to 0."""
    rise = max(1, steps // 10)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1.0 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


class _Lesson:
    """A model with its data, its optimiser and its chance; `epoch` goes through the data once."""

    def __init__(self, model: FusionModel, data: Labelled, settings: Settings, augment: Augment) -> None:
        self.model, self.data, self.settings, self.augment = model, data, settings, augment
        self.rates = settings.rates(list(model.streams)) if len(model.streams) > 1 else []
        self.generator = torch.Generator().manual_seed(settings.seed)
        steps = settings.epochs * -(-len(data) // settings.batch)
        self.optimiser = torch.optim.AdamW(
            model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: learning_rate_factor(step, steps)
        )

    def epoch(self) -> float:
        """The mean loss."""
        self.model.train()
        total = 0.0
        order = torch.randperm(len(self.data), generator=self.generator).numpy()
        for inputs, labels in batches(self.data, order, self.settings.batch, alone=False):
            loss = self._loss(self.augment(inputs, self.generator), labels)
            self.optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            self.optimiser.step()
            self.schedule.step()
            total += float(loss.detach()) * len(labels)
        return total / len(self.data)

    def _loss(self, inputs: dict[str, Tensor], labels: Tensor) -> Tensor:
        whole = torch.ones(len(labels), len(self.model.streams), dtype=torch.bool)
        parts, weights = self._parts(len(labels))
        present = torch.cat([whole, parts])
        embeddings = self.model.encode(inputs, whole)
        times = len(present) // len(labels)
        repeated = [e.repeat(times, *(1 for _ in e.shape[1:])) for e in embeddings]
        logits = self.model.answer(repeated, present)[self.model.outputs[0].name]
        loss = subset_loss(logits, labels, weights, self.settings)
        extra = self.model.fusion.auxiliary(repeated, present)
        return loss if extra is None else loss + extra

    def _parts(self, rows: int) -> tuple[Tensor, Tensor]:
        """Presence bool [s rows, N] of s subsets of the streams, row by row the same, and their weights [s].

        All subsets by how often dropout would give them, where there are no more than asked for; else as it draws them.
        """
        names, n, most = list(self.model.streams), len(self.model.streams), self.settings.subsets
        parents = {name: s.derived_from for name, s in self.model.streams.items() if s.derived_from}
        if not self.rates or most == 0:
            return torch.empty(0, n, dtype=torch.bool), torch.empty(0)
        if (1 << n) - 2 <= most:
            masks, weights = self._all(parents)
            return masks.repeat_interleave(rows, 0), weights
        drawn = modality_dropout(self.rates, rows * most, self.generator)
        return close_derived(drawn, names, parents), torch.full((most,), 1.0 / most)

    def _all(self, parents: Mapping[str, str]) -> tuple[Tensor, Tensor]:
        """Every subset but the whole and the empty one, that can be, with its share of what dropout would draw."""
        n = len(self.rates)
        every = torch.tensor(list(itertools.product((True, False), repeat=n)))[1:-1]
        legal = (close_derived(every, list(self.model.streams), parents) == every).all(1)
        masks, rates = every[legal], torch.tensor(self.rates)
        chance = torch.where(masks, 1.0 - rates, rates).prod(1)
        return masks, chance / chance.sum()


def subset_loss(logits: Tensor, labels: Tensor, weights: Tensor, settings: Settings) -> Tensor:
    """Of logits [(1 + s) B, K], the whole set's B rows first, against labels int64 [B]; weights [s] of the subsets.

    whole_weight of the whole set's cross-entropy and the rest of the subsets', plus `distil` times the divergence of
    the subsets' softened answers from the whole set's (Hinton et al. 2015, arXiv 1503.02531), which stay as they are.
    """
    rows, s = len(labels), len(weights)
    whole = functional.cross_entropy(logits[:rows], labels, label_smoothing=settings.label_smoothing)
    if s == 0:
        return whole
    told = functional.cross_entropy(
        logits[rows:], labels.repeat(s), label_smoothing=settings.label_smoothing, reduction="none"
    )
    loss = settings.whole_weight * whole + (1.0 - settings.whole_weight) * _weighted(told, weights)
    if settings.distil == 0.0:
        return loss
    teacher = functional.log_softmax(logits[:rows].detach() / SOFTEN, 1).repeat(s, 1)
    student = functional.log_softmax(logits[rows:] / SOFTEN, 1)
    gap = functional.kl_div(student, teacher, reduction="none", log_target=True).sum(1)
    return loss + settings.distil * SOFTEN**2 * _weighted(gap, weights)


def _weighted(losses: Tensor, weights: Tensor) -> Tensor:
    """The mean of losses [s B] over the rows, by weights [s] over the subsets."""
    return (losses.reshape(len(weights), -1).mean(1) * weights).sum()


def batches(data: Labelled, order: Any, size: int, *, alone: bool = True) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
    """Inputs [b, ...] by stream and labels int64 [b]. alone: a last batch of one row too, which has no variance."""
    for begin in range(0, len(order), size):
        index = order[begin : begin + size]
        if len(index) > 1 or alone or len(order) == 1:
            yield {k: torch.from_numpy(v) for k, v in data.rows(index).items()}, torch.from_numpy(data.labels[index])


def _head(width: int, hidden: int, classes: int) -> nn.Module:
    if hidden == 0:
        return nn.Linear(width, classes)
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, classes))


def _lay_out(model: FusionModel, layouts: Mapping[int, torch.memory_format]) -> None:
    for parameter in model.parameters():
        layout = layouts.get(parameter.dim(), torch.contiguous_format)
        parameter.data = parameter.data.contiguous(memory_format=layout)
