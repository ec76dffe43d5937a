"""Presence masks that the gate goes through: all of them for few streams, a fair choice for many."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgefuse_export.models import FusionModel

Mask = tuple[bool, ...]
ALL_UP_TO = 8  # streams; above, SAMPLED masks at random besides the telling ones
SAMPLED = 200


def presence_masks(model: FusionModel) -> list[Mask]:
    """Masks in the order of the streams, the empty one last; none where a stream is present without its parent."""
    names = list(model.streams)
    parents = {name: stream.derived_from for name, stream in model.streams.items() if stream.derived_from}
    closed = dict.fromkeys(_close(mask, names, parents) for mask in _candidates(len(names)))
    empty = (False,) * len(names)
    return [*(mask for mask in closed if mask != empty), empty]


def mask_array(mask: Mask, rows: int) -> NDArray[np.bool_]:
    """The mask for each of so many rows, bool [rows, N]."""
    return np.tile(np.array(mask, dtype=np.bool_), (rows, 1))


def words(names: Sequence[str], mask: Mask) -> str:
    """The streams present, such as `camera+gps`."""
    return "+".join(name for name, on in zip(names, mask, strict=True) if on) or "none"


def _candidates(n: int) -> list[Mask]:
    if n <= ALL_UP_TO:
        return list(itertools.product((True, False), repeat=n))
    alone = [tuple(j == i for j in range(n)) for i in range(n)]
    without = [tuple(j != i for j in range(n)) for i in range(n)]
    drawn = np.random.default_rng(0).random((SAMPLED, n)) < 0.5
    return [(True,) * n, *alone, *without, *(tuple(bool(on) for on in row) for row in drawn)]


def _close(mask: Mask, names: Sequence[str], parents: Mapping[str, str]) -> Mask:
    on = dict(zip(names, mask, strict=True))
    return tuple(on[name] and on[parents.get(name, name)] for name in names)
