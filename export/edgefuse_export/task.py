"""A task: labelled data to train and to measure on, fresh encoders for its streams, and what one answers about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from edgefuse_export.declare import ClassOutput, Stream
from edgefuse_export.labelled import Labelled
from edgefuse_export.samples import Sample

Augment = Callable[[Mapping[str, Tensor], torch.Generator], dict[str, Tensor]]


def as_floats(inputs: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """A batch as it is, in float32: the augmentation that changes nothing."""
    return {name: tensor.to(torch.float32) for name, tensor in inputs.items()}


@dataclass(frozen=True, eq=False)
class Task:
    """One classification problem over named streams.

    name      of the task, the world it is of (a bundle's `domain`), and the bundle
    split     what `test` is, in words, for the datasheet
    streams   fresh streams with encoders, weights drawn from torch's seed, in the order of the bundle
    samples   raw payloads of every stream, a few moments: what the gate checks a bundle with
    augment   a batch, stream -> [B, ...tensor_shape], to float32 of the same shapes and labels
    defaults  settings of a training that differ from those of `training.Settings` here
    """

    name: str
    output: ClassOutput
    train: Labelled
    test: Labelled
    split: str
    streams: Callable[[], Mapping[str, Stream]]
    samples: Callable[[], Sequence[Sample]]
    augment: Augment = as_floats
    defaults: Mapping[str, Any] = field(default_factory=dict)
