"""Labelled data as training and measuring take it: tensors by stream, all streams present, and one class a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgefuse.types import Array


@dataclass(frozen=True, slots=True)
class Labelled:
    """Moments as tensors, all streams present: stream -> [n, ...tensor_shape] of its dtype, and int64 [n] labels.

    groups int64 [n] says which recording, person or site each moment is of; None where every one is of its own.
    """

    tensors: Mapping[str, Array]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, index: NDArray[np.int64]) -> dict[str, Array]:
        """The moments at index int64 [b], copied into memory."""
        return {stream: np.ascontiguousarray(tensor[index]) for stream, tensor in self.tensors.items()}

    def only(self, streams: frozenset[str]) -> Labelled:
        """The same moments as seen by some of the streams."""
        return Labelled({s: t for s, t in self.tensors.items() if s in streams}, self.labels, self.groups)
