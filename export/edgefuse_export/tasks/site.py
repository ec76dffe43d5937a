"""The task `site`: the simulated railway site, camera, depth, lidar and GPS to what a person does in danger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edgefuse.sources.site import LABELS, OUTPUT_NAME, snapshot
from edgefuse_export.augment import augmented
from edgefuse_export.declare import ClassOutput
from edgefuse_export.errors import ExportError
from edgefuse_export.labelled import Labelled
from edgefuse_export.samples import Sample
from edgefuse_export.settings import Settings
from edgefuse_export.site_data import CHECK_SEED, TEST_SEED, TRAIN_SEED, site_data
from edgefuse_export.site_model import site_streams
from edgefuse_export.task import Task
from edgefuse_export.training import Progress

WORKERS = 2
CHECKED = 8  # moments that the gate checks the site's bundle with


def open_task(place: Path | None, settings: Settings, work: Path, progress: Progress) -> Task:
    """The moments are made in `work`, where they are not there already. ExportError: there is no place to name."""
    if place is not None:
        raise ExportError(f"data 'site' is made, not read: what is {str(place)!r}?")
    return Task(
        name="site",
        output=ClassOutput(OUTPUT_NAME, LABELS),
        train=_data(work / "train", TRAIN_SEED, settings.samples, progress),
        test=_data(work / "test", TEST_SEED, settings.test_samples, progress),
        split=f"simulated sites unseen in training, seeds from {TEST_SEED}",
        streams=site_streams,
        samples=_samples,
        augment=augmented,
        # A model for every subset takes longer than one for a single subset; few streams, lidar alone, took longest.
        defaults={"epochs": 32, "drop_rate": 0.55, "drop_rates": {"lidar": 0.45}},
    )


def _samples() -> Sequence[Sample]:
    return [snapshot(CHECK_SEED + k).payloads for k in range(CHECKED)]


def _data(folder: Path, first_seed: int, samples: int, progress: Progress) -> Labelled:
    workers = WORKERS if samples >= 200 else 1  # below, starting them takes longer

    def shown(rows: Iterator[Any]) -> Iterator[Any]:
        return progress(rows, samples, folder.name)

    return site_data(folder, first_seed, samples, workers, shown)
