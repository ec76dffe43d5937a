"""The task `digits`: handwritten digits in six views, each a stream; one fold of ten is measured on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from edgefuse_export.declare import ClassOutput, Stream
from edgefuse_export.digits import CLASSES, VIEWS, digits_folder, load_digits, split, stratified_folds
from edgefuse_export.settings import Settings
from edgefuse_export.task import Task
from edgefuse_export.training import Progress

FOLDS = 5
HIDDEN, EMBEDDING = 64, 32
DROPOUT = 0.2


def open_task(place: Path | None, settings: Settings, work: Path, progress: Progress) -> Task:
    """Fold 0 of the dealing by seed 0 is measured on. ExportError: the files are missing or malformed."""
    data = load_digits(digits_folder(place))
    train, test = split(data, stratified_folds(data.labels, FOLDS, 0)[0])
    # Single views, and above all the one of six numbers, take longer than any set of them.
    absence = {"subsets": 62, "drop_rate": 0.8, "drop_rates": {"morphology": 0.6}, "whole_weight": 0.2}
    budget = {"dim": 32, "epochs": 120, "batch": 100, "learning_rate": 3e-3, "label_smoothing": 0.0}
    return Task(
        name="digits",
        output=ClassOutput("digit", [str(k) for k in range(CLASSES)]),
        train=train,
        test=test,
        split=f"a fifth of the digits, stratified, {len(test)} that were not trained on",
        streams=_streams,
        samples=lambda: [{name: view[k] for name, view in test.tensors.items()} for k in range(8)],
        defaults={**budget, **absence},
    )


def _streams() -> Mapping[str, Stream]:
    return {
        name: Stream("vector", _encoder(view.features), EMBEDDING, {"shape": [view.features]})
        for name, view in VIEWS.items()
    }


def _encoder(features: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(features, HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(HIDDEN, EMBEDDING), nn.ReLU()
    )
