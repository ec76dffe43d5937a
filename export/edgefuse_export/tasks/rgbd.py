"""The task `rgbd`: what goes on at the site, from a clip of its camera and one of depth, measured or told from that.

After the RGB-D study of railway construction sites, Amel et al. 2024, doi 10.3390/electronics13122294, on data that
anyone can make. `rgbd:FORM` has the encoders of that form; with `rgbd:FORM-estimated` depth is told from the camera, by
a network that was trained on other sites.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgefuse.sources.site import DEPTH_RANGE_M, LABELS, OUTPUT_NAME
from edgefuse_export import monocular
from edgefuse_export.clip_data import COLS, FRAMES, ROWS, clip_data
from edgefuse_export.clip_encoders import FORMS, ColourInput, Form, RangeInput
from edgefuse_export.declare import ClassOutput, Stream
from edgefuse_export.errors import ExportError, kept_in
from edgefuse_export.labelled import Labelled
from edgefuse_export.monocular import estimated, train_monocular
from edgefuse_export.samples import Sample
from edgefuse_export.settings import Settings
from edgefuse_export.task import Task
from edgefuse_export.training import Progress

TRAIN, TEST, TO_TELL_DEPTH = 1600, 600, 300  # clips
TRAIN_SEED, TEST_SEED, DEPTH_SEED = 0, 1_000_000, 2_000_000
EMBEDDING, WORKERS, CHECKED = 64, 2, 8
SHAPES: Mapping[str, tuple[int, ...]] = {"camera": (FRAMES, ROWS, COLS, 3), "depth": (FRAMES, ROWS, COLS)}
DEFAULTS = {"epochs": 10, "batch": 16, "learning_rate": 1e-3, "weight_decay": 0.05}


def open_task(place: Path | None, settings: Settings, work: Path, progress: Progress) -> Task:
    """The clips are made in `work`, where they are not there already. ExportError for a form that there is not."""
    form, _, depth = str(place or "slowfast").partition("-")
    if form not in FORMS or depth not in ("", "estimated"):
        raise ExportError(f"data 'rgbd:{place}': forms are {', '.join(FORMS)}, each also as FORM-estimated")
    train, test = clips(work, progress)
    if depth:
        train, test = told_from_camera(work, train, test, progress)
    return rgbd_task(FORMS[form], train, test, bool(depth))


def rgbd_task(form: Form, train: Labelled, test: Labelled, derived: bool) -> Task:
    """With encoders of this form; derived: depth is there only where the camera is."""
    return Task(
        name="rgbd",
        output=ClassOutput(OUTPUT_NAME, LABELS),
        train=train,
        test=test,
        split=f"{len(test)} clips of simulated sites unseen in training",
        streams=lambda: streams(form, derived),
        samples=lambda: _samples(test),
        augment=augmented,
        defaults=DEFAULTS,
    )


def clips(work: Path, progress: Progress) -> tuple[Labelled, Labelled]:
    """Those to train on and those to measure on."""
    return _clips(work, "train", TRAIN_SEED, TRAIN, progress), _clips(work, "test", TEST_SEED, TEST, progress)


def told_from_camera(work: Path, train: Labelled, test: Labelled, progress: Progress) -> tuple[Labelled, Labelled]:
    """The same clips with depth told from the camera, by a network trained on sites of its own; kept in `work`."""
    own = _clips(work, "depth", DEPTH_SEED, TO_TELL_DEPTH, progress)
    folder, wanted = work / "estimated", _made_from(own, train, test)
    note = folder / "made_from"
    with kept_in(folder):
        if not note.is_file() or note.read_text() != wanted:
            note.unlink(missing_ok=True)
            network = train_monocular(own, progress)
            folder.mkdir(parents=True, exist_ok=True)
            for name, data in (("train", train), ("test", test)):
                np.save(folder / f"{name}.npy", estimated(network, data.tensors["camera"]), allow_pickle=False)
            note.write_text(wanted)
    return _with_depth(train, folder / "train.npy"), _with_depth(test, folder / "test.npy")


def _with_depth(data: Labelled, file: Path) -> Labelled:
    depth = np.load(file, mmap_mode="r", allow_pickle=False)
    return Labelled({"camera": data.tensors["camera"], "depth": depth}, data.labels)


def _made_from(*clips: Labelled) -> str:
    """What the estimates depend on: the clips, the network, torch."""
    digest = hashlib.sha256(Path(monocular.__file__).read_bytes() + torch.__version__.encode())
    for data in clips:
        for tensor in data.tensors.values():
            digest.update(np.ascontiguousarray(tensor).tobytes())
    return digest.hexdigest()


def streams(form: Form, derived: bool) -> Mapping[str, Stream]:
    """Fresh encoders of camera and depth."""
    encoders = {
        "camera": nn.Sequential(ColourInput(), form(3, EMBEDDING)),
        "depth": nn.Sequential(RangeInput(DEPTH_RANGE_M), form(2, EMBEDDING)),
    }
    parents = {"depth": "camera"} if derived else {}
    return {
        name: Stream("vector", e, EMBEDDING, {"shape": list(SHAPES[name])}, derived_from=parents.get(name))
        for name, e in encoders.items()
    }


def augmented(inputs: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Half of the batch mirrored, all streams alike, and the camera brighter or darker. The rules know no left."""
    rows = len(next(iter(inputs.values())))
    mirrored = torch.rand(rows, generator=generator) < 0.5
    found = {n: torch.where(_as(mirrored, x), x.flip(3), x) for n, x in inputs.items()}
    if "camera" in found:
        light = 0.8 + 0.4 * torch.rand(rows, generator=generator)
        found["camera"] = (found["camera"] * _as(light, found["camera"])).clamp(0.0, 1.0)
    return found


def _as(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *(1,) * (like.ndim - 1))


def _clips(work: Path, name: str, first_seed: int, count: int, progress: Progress) -> Labelled:
    def shown(rows: Iterator[Any]) -> Iterator[Any]:
        return progress(rows, count, f"{name} clips")

    return clip_data(work / name, first_seed, count, WORKERS if count >= 50 else 1, shown)


def _samples(test: Labelled) -> Sequence[Sample]:
    index = np.linspace(0, len(test) - 1, CHECKED).astype(np.int64)
    return [{name: np.asarray(tensor[i]) for name, tensor in test.tensors.items()} for i in index]
