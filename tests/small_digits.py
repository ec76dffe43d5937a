"""A few digits made up in the layout of the real files, and outcomes of trainings that never were."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgefuse.types import Array
from edgefuse_export.benchmark_store import Outcome

# Written down from the data set's own description, not from the loader.
FILES: Mapping[str, tuple[str, int]] = {
    "fourier": ("mfeat-fou.csv", 76),
    "profiles": ("mfeat-fac.csv", 216),
    "karhunen": ("mfeat-kar.csv", 64),
    "pixels": ("mfeat-pix.csv", 240),
    "zernike": ("mfeat-zer.csv", 47),
    "morphology": ("mfeat-mor.csv", 6),
}


def small_digits(each: int = 6, seed: int = 0) -> tuple[dict[str, Array], Array]:
    """View -> float64 [10 each, features] with three decimals, and labels [10 each], sorted as in the files."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(10), each)
    views = {}
    for name, (_, features) in FILES.items():
        points = rng.normal(size=(10, features))
        views[name] = np.round(100.0 + 5.0 * (points[labels] + 0.5 * rng.normal(size=(len(labels), features))), 3)
    return views, labels


def write_digits(folder: Path, views: Mapping[str, Array], labels: Array) -> Path:
    """The six files, lines ending as they do in the real ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (file, features) in FILES.items():
        rows = [",".join([*(f"{x:.3f}" for x in row), str(k)]) for row, k in zip(views[name], labels, strict=True)]
        header = ",".join([*map(str, range(features)), "0"])
        (folder / file).write_bytes("".join(f"{line}\r\n" for line in [header, *rows]).encode())
    return folder


def an_outcome(fold: int = 0, accuracy: float = 0.5, operator: str = "sum", **given: float) -> Outcome:
    """The same accuracy for all 63 subsets, but for those given, as a_b=0.9."""
    names = ["+".join(view for i, view in enumerate(FILES) if k >> i & 1) for k in range(1, 64)]
    figures = {name: given.get(name.replace("+", "_"), accuracy) for name in names}
    return Outcome(operator=operator, seed=0, fold=fold, loss=0.1, accuracy=figures)
