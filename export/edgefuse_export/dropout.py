"""Modality dropout: presence masks for training, so that a model learns to answer from every subset of its streams."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from edgefuse_export.errors import ExportError


def modality_dropout(rates: Sequence[float], rows: int, generator: torch.Generator) -> Tensor:
    """Presence masks bool [rows, N]: stream i absent with rates[i], independently, given that not all are absent.

    A row that lost everything is drawn again, so that stream i is absent with (rates[i] - R) / (1 - R), where R is the
    product of all rates. After ModDrop (Neverova et al. 2016, arXiv 1501.00102). Raises ExportError for a rate outside
    [0, 1], or when all are 1.
    """
    if not all(0.0 <= rate <= 1.0 for rate in rates) or math.prod(rates) >= 1.0:
        raise ExportError(f"drop rates {list(rates)}: each must be in [0, 1], and not all 1")
    drop = torch.tensor(rates, dtype=torch.float32)
    present = torch.rand(rows, len(rates), generator=generator) >= drop
    while not (kept := present.any(1)).all():
        lost = ~kept
        present[lost] = torch.rand(int(lost.sum()), len(rates), generator=generator) >= drop
    return present


def close_derived(present: Tensor, names: Sequence[str], parents: Mapping[str, str]) -> Tensor:
    """The masks bool [rows, N] with every stream taken out whose parent (stream -> parent) is absent."""
    closed = present.clone()
    for child, parent in parents.items():
        closed[:, names.index(child)] &= present[:, names.index(parent)]
    return closed
