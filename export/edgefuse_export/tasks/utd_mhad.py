"""The task `utd-mhad`: what a person does, from a depth camera, the skeleton seen in it, and an inertial unit worn.

UTD-MHAD, Chen, Jafari and Kehtarnavaz 2015, doi 10.1109/ICIP.2015.7350781: 861 clips of 27 actions by 8 people. Each
stream is a window over a whole clip. People with odd numbers are trained on, the others measured on, as in the paper.
The skeleton was seen by the depth camera too; the streams are apart here, so that either may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from edgefuse.types import F32, Array
from edgefuse_export.declare import ClassOutput, Stream
from edgefuse_export.errors import ExportError
from edgefuse_export.labelled import Labelled
from edgefuse_export.samples import Sample
from edgefuse_export.sequence_augment import Courses, other_body, other_view, tilts, uniform
from edgefuse_export.sequences import ClipEncoder, MotionInput, SkeletonInput, sequence_encoder
from edgefuse_export.settings import Settings
from edgefuse_export.task import Task
from edgefuse_export.training import Progress

LABELS = (
    *("swipe left", "swipe right", "wave", "clap", "throw", "arm cross", "basketball shoot", "draw X"),
    *("draw circle clockwise", "draw circle counter-clockwise", "draw triangle", "bowling", "boxing"),
    *("baseball swing", "tennis swing", "arm curl", "tennis serve", "push", "knock", "catch", "pickup and throw"),
    *("jog", "walk", "sit to stand", "stand to sit", "lunge", "squat"),
)
STEPS, FRAMES, SIDE = 64, 16, 32  # of the windows of skeleton and inertial unit, and of depth
JOINTS, HIP, SHOULDERS = 20, 3, 1
CROP_PX, BACK_M, REACH_M = 64, 1.0, 2.0  # of the depth picture; see `depth_window`
SHAPES: Mapping[str, tuple[int, ...]] = {
    "depth": (FRAMES, SIDE, SIDE),
    "skeleton": (STEPS, 3 * JOINTS),
    "accelerometer": (STEPS, 3),
    "gyroscope": (STEPS, 3),
}
# Two periods and a little: depth came at some 10 Hz, the skeleton at 20, the inertial unit at 50.
FRESH_MS: Mapping[str, float] = {"depth": 250.0, "skeleton": 120.0, "accelerometer": 60.0, "gyroscope": 60.0}
MAX_AGE_MS = 500.0
# Folder, variable, and shape with 0 for time, of what is in a file.
FILES = (("Depth", "d_depth", (80, 107, 0)), ("Skeleton", "d_skel", (JOINTS, 3, 0)), ("Inertial", "d_iner", (0, 6)))
CHECKED = 8  # clips that the gate checks a bundle with
EMBEDDING = 64

DEFAULTS = {
    "operator": "late_logits",
    "epochs": 80,
    "batch": 32,
    "label_smoothing": 0.1,
    "weight_decay": 0.05,
    "drop_rate": 0.75,
}

_NAME = re.compile(r"a([1-9]\d?)_s([1-9])_t([1-9])_depth\.mat")


def open_task(place: Path | None, settings: Settings, work: Path, progress: Progress) -> Task:
    """ExportError naming the file: nothing there, not a clip, or nobody to train on or to measure on."""
    if place is None:
        raise ExportError("data 'utd-mhad' is read from its folder: name it, as utd-mhad:DIR")
    data = read_clips(place, progress)
    assert data.groups is not None
    train, test = (_rows(data, np.flatnonzero(data.groups % 2 == k)) for k in (1, 0))
    for part, people in ((train, "odd"), (test, "even")):
        if len(part) == 0:
            raise ExportError(f"{place}: no clips of people with {people} numbers")
    return Task(
        name="utd-mhad",
        output=ClassOutput("action", LABELS),
        train=train,
        test=test,
        split=f"{len(test)} clips of people unseen in training, those with even numbers",
        streams=streams,
        samples=lambda: _samples(test),
        augment=augmented,
        defaults=DEFAULTS,
    )


def streams() -> Mapping[str, Stream]:
    """Fresh encoders, 0.5 million weights in all."""
    encoders = {
        "depth": ClipEncoder(SIDE, (32, 48, 16, 96), EMBEDDING, dropout=0.3),
        "skeleton": sequence_encoder(
            SkeletonInput(HIP, SHOULDERS), (6 * JOINTS + 6, 96, 96, 128), EMBEDDING, dropout=0.4
        ),
        "accelerometer": sequence_encoder(MotionInput(2.0), (7, 48, 64, 96), EMBEDDING, dropout=0.3),
        "gyroscope": sequence_encoder(MotionInput(200.0), (7, 48, 64, 96), EMBEDDING, dropout=0.3),
    }
    return {
        name: Stream("vector", e, EMBEDDING, {"shape": list(SHAPES[name])}, FRESH_MS[name], MAX_AGE_MS)
        for name, e in encoders.items()
    }


def read_clips(folder: Path, progress: Progress) -> Labelled:
    """All clips of a folder, by action, person and trial; groups are people. ExportError naming the file."""
    names = clip_names(folder)
    clips = [windows(*read_clip(folder, *name)) for name in progress(iter(names), len(names), "clips")]
    tensors = {stream: np.stack([clip[stream] for clip in clips]) for stream in SHAPES}
    action, person, _ = np.array(names, np.int64).T
    return Labelled(tensors, action - 1, person)


def clip_names(folder: Path) -> list[tuple[int, int, int]]:
    """(action, person, trial) of every clip in a folder. ExportError where it holds none."""
    if not folder.is_dir():
        raise ExportError(f"{folder}: no such folder")
    paths = sorted((folder / "Depth").glob("*.mat"))
    found = [m.groups() for p in paths if (m := _NAME.fullmatch(p.name))]
    names = sorted((int(action), int(person), int(trial)) for action, person, trial in found)
    if not names:
        raise ExportError(f"{folder / 'Depth'}: no clips named aA_sS_tT_depth.mat")
    if (last := names[-1][0]) > len(LABELS):
        raise ExportError(f"{folder / 'Depth'}: action {last}, but there are {len(LABELS)}")
    return names


def read_clip(folder: Path, action: int, person: int, trial: int) -> tuple[Array, Array, Array]:
    """Depth uint16 [80, 107, T/2] in mm, joints [20, 3, T] in m, and inertial [N, 6] in g and degrees/s; see FILES."""
    clip = f"a{action}_s{person}_t{trial}"
    depth, skeleton, inertial = (
        _read(folder / kind / f"{clip}_{kind.lower()}.mat", name, shape) for kind, name, shape in FILES
    )
    return depth, skeleton, inertial


def windows(depth: Array, skeleton: Array, inertial: Array) -> dict[str, F32]:
    """A whole clip, as `read_clip` gives it, to what each stream would have sent: stream -> float32 of SHAPES."""
    joints = np.moveaxis(skeleton, 2, 0) - skeleton[HIP, :, 0]
    unit = resampled(inertial, STEPS)
    return {
        "depth": depth_window(depth),
        "skeleton": resampled(joints.reshape(len(joints), -1), STEPS),  # relative to where the hip is at first
        "accelerometer": np.ascontiguousarray(unit[:, :3]),
        "gyroscope": np.ascontiguousarray(unit[:, 3:]),
    }


def depth_window(clip: Array) -> F32:
    """A clip uint16 [H, W, T] in mm, 0 where nobody is, to float32 [FRAMES, SIDE, SIDE] of heights in metres.

    Heights are taken towards the camera from a plane BACK_M behind the person's median distance at first, at most
    REACH_M, and are 0 where nobody is. The crop of CROP_PX is centred on the person's columns at first and ends two
    rows below the lowest pixel of the clip; each of its cells is the mean of 2 x 2 pixels. At first means in the first
    frame that shows anyone; zeros where none does.
    """
    frames = np.moveaxis(clip, 2, 0).astype(np.float32) / 1000.0
    seen = frames > 0
    if not seen.any():
        return np.zeros((FRAMES, SIDE, SIDE), np.float32)
    first = int(np.argmax(seen.any((1, 2))))
    wall = np.median(frames[first][seen[first]]) + BACK_M
    heights = np.where(seen, np.clip(wall - frames, 0.0, REACH_M), 0.0)
    bottom = int(np.flatnonzero(seen.any((0, 2)))[-1]) + 3
    left = int(np.median(np.flatnonzero(seen[first].any(0)))) - CROP_PX // 2
    padded = np.pad(heights, ((0, 0), (CROP_PX, CROP_PX), (CROP_PX, CROP_PX)))
    crop = padded[:, bottom : bottom + CROP_PX, left + CROP_PX : left + 2 * CROP_PX]
    small = np.stack([cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for frame in crop])
    return resampled(small, FRAMES)


def resampled(values: Array, steps: int) -> F32:
    """float32 [steps, ...] at even times from the first of values [n, ...] to the last, on lines between them."""
    at = np.linspace(0.0, len(values) - 1.0, steps)
    low = np.minimum(at.astype(np.int64), max(len(values) - 2, 0))
    share = (at - low).reshape(-1, *(1,) * (values.ndim - 1))
    line: Array = (1.0 - share) * values[low] + share * values[np.minimum(low + 1, len(values) - 1)]
    return line.astype(np.float32)


def augmented(inputs: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """A batch of some of the four streams, stream -> [B, ...], as float32: later, slower, from elsewhere, noisier.

    One course of time and one tilt of the inertial unit a moment. No mirror images: a swipe left is not one right.
    """
    rows = len(next(iter(inputs.values())))
    courses, tilt = Courses(rows, generator), tilts(rows, 20.0, generator)
    found = {name: courses.of(tensor.to(torch.float32)) for name, tensor in inputs.items()}
    if "depth" in found:
        found["depth"] = other_view(found["depth"], generator)
    if "skeleton" in found:
        found["skeleton"] = other_body(found["skeleton"], generator)
    for name, noise in (("accelerometer", 0.05), ("gyroscope", 10.0)):  # g, degrees/s
        if name in found:
            turned = torch.bmm(found[name], tilt) * uniform(generator, 0.85, 1.15, rows, 1, 1)
            found[name] = turned + noise * torch.randn(turned.shape, generator=generator)
    return found


def _read(path: Path, name: str, shape: tuple[int, ...]) -> Array:
    """The variable `name` of a .mat file: finite numbers of `shape`, where 0 is any length but none."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise ExportError(f"{path}: reading it needs scipy: pip install scipy") from error
    if not path.is_file():
        raise ExportError(f"{path}: no such file")
    try:
        found = loadmat(path, variable_names=[name])
    except Exception as error:  # of a broken file it raises almost anything
        words = " ".join(str(error).split())
        raise ExportError(f"{path}: not a whole MATLAB file: {words or type(error).__name__}") from error
    if name not in found:
        raise ExportError(f"{path}: no variable {name!r}")
    values: Array = found[name]
    want = ", ".join(str(side or "T") for side in shape)
    if not _fits(values.shape, shape):
        raise ExportError(f"{path}: {name}: shape {list(values.shape)}, not [{want}]")
    if values.dtype.kind not in "uif" or not np.isfinite(values).all():
        raise ExportError(f"{path}: {name}: not all finite numbers")
    return values


def _fits(have: tuple[int, ...], want: tuple[int, ...]) -> bool:
    return len(have) == len(want) and all(h == w if w else h > 0 for h, w in zip(have, want, strict=True))


def _rows(data: Labelled, index: Array) -> Labelled:
    assert data.groups is not None
    return Labelled(data.rows(index), data.labels[index], data.groups[index])


def _samples(test: Labelled) -> Sequence[Sample]:
    """Clips spread over all actions."""
    index = np.linspace(0, len(test) - 1, CHECKED).astype(np.int64)
    return [{name: tensor[i] for name, tensor in test.tensors.items()} for i in index]
