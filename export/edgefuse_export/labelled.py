"""Labelled data as training and measuring take it: tensors by stream, all streams present, and one class a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgefuse.types import Array
from edgefuse_export.errors import ExportError


@dataclass(frozen=True, slots=True)
class Labelled:
    """Moments as tensors, all streams present: stream -> [n, ...tensor_shape] of its dtype, and their truths.

    labels int64 [n] are classes; of a regression they are float64 [n, K] values, NaN where not known.
    groups int64 [n] says which recording, person or site each moment is of; None where every one is of its own.
    """

    tensors: Mapping[str, Array]
    labels: Array
    groups: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, index: NDArray[np.int64]) -> dict[str, Array]:
        """The moments at index int64 [b], copied into memory."""
        return {stream: np.ascontiguousarray(tensor[index]) for stream, tensor in self.tensors.items()}

    def only(self, streams: frozenset[str]) -> Labelled:
        """The same moments as seen by some of the streams."""
        return Labelled({s: t for s, t in self.tensors.items() if s in streams}, self.labels, self.groups)


def read_labelled(folder: Path) -> Labelled:
    """A folder of STREAM.npy [n, ...tensor_shape], labels.npy and, maybe, groups.npy, int64 [n].

    Labels are classes, int64 [n], -1 where not known; of a regression floats [n, K] or [n], NaN where not known.
    The tensors are as the encoders take them: `edgefuse_export.samples.tensor_of` makes one of a raw payload.
    ExportError naming the file that is missing, is no plain array, or has another number of rows.
    """
    if not folder.is_dir():
        raise ExportError(f"{folder}: no such folder")
    arrays = {path.stem: _array(path) for path in sorted(folder.glob("*.npy"))}
    if "labels" not in arrays:
        raise ExportError(f"{folder / 'labels.npy'}: missing")
    n = len(arrays["labels"])
    for name, array in arrays.items():
        if array.ndim < 1 or len(array) != n:
            raise ExportError(f"{folder / name}.npy: {list(array.shape)}, but there are {n} labels")
    labels, groups = _truths(folder, arrays), _whole(folder, arrays, "groups")
    tensors = {name: array for name, array in arrays.items() if name not in ("labels", "groups")}
    if not tensors:
        raise ExportError(f"{folder}: no STREAM.npy beside the labels")
    return Labelled(tensors, labels, groups)


def _truths(folder: Path, arrays: Mapping[str, Array]) -> Array:
    """Classes, or values [n, K] where they are floats."""
    labels = arrays["labels"]
    if labels.dtype.kind == "f" and labels.ndim <= 2:
        return labels.reshape(len(labels), -1).astype(np.float64)
    found = _whole(folder, arrays, "labels")
    assert found is not None
    return found


def _whole(folder: Path, arrays: Mapping[str, Array], name: str) -> NDArray[np.int64] | None:
    """A column of whole numbers."""
    if name not in arrays:
        return None
    array = arrays[name]
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ExportError(f"{folder / name}.npy: {array.dtype} {list(array.shape)}, not whole numbers [n]")
    return array.astype(np.int64)


def _array(path: Path) -> Array:
    try:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ExportError(f"{path}: is not a plain .npy array: {error}") from error
    return array


def first(data: Labelled, most: int) -> Labelled:
    """The first moments, so many at most."""
    index = np.arange(min(most, len(data)))
    return Labelled(data.rows(index), data.labels[index], None if data.groups is None else data.groups[index])


def halves(data: Labelled) -> tuple[Labelled, Labelled]:
    """Two halves, by recording where those are known, else row by row. ExportError where there is but one recording."""
    whose = np.arange(len(data)) if data.groups is None else np.unique(data.groups, return_inverse=True)[1]
    first = whose % 2 == 0
    if first.all():
        raise ExportError("all rows are of one recording: there is nothing to choose by")
    parts = []
    for chosen in (np.flatnonzero(first), np.flatnonzero(~first)):
        groups = None if data.groups is None else data.groups[chosen]
        parts.append(Labelled(data.rows(chosen), data.labels[chosen], groups))
    return parts[0], parts[1]
