"""The grid of the RGB-D study on clips of the simulated site: forms of encoders, fusions, and two kinds of depth.

In a joint unit encoders and fusion are trained together, from nothing. A unit alone trains one encoder for the camera,
one for measured depth and one for depth told from the camera, each by itself; then every fusion on top of what these
say, with the encoders as they are.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from edgefuse.schema import Strict
from edgefuse_export.clip_encoders import FORMS
from edgefuse_export.declare import Stream
from edgefuse_export.evaluate import embeddings, right_answers
from edgefuse_export.labelled import Labelled
from edgefuse_export.models import FusionModel
from edgefuse_export.seeded import alone
from edgefuse_export.settings import Settings
from edgefuse_export.store import Store
from edgefuse_export.study import SOURCES, Rows, fingerprint_of, packed, unpacked, unseen
from edgefuse_export.task import Task, as_floats
from edgefuse_export.tasks.rgbd import DEFAULTS, EMBEDDING, clips, rgbd_task, told_from_camera
from edgefuse_export.training import Progress, train
from edgefuse_export.workers import worked

NAME = "grid.jsonl"
Depth = Literal["measured", "estimated"]
DEPTHS: tuple[Depth, ...] = ("measured", "estimated")
# The study's seven, by their names here.
FUSIONS = ("sum", "concat", "max", "product", "average", "gated_fusion", "multconcat")
FROZEN_EPOCHS = 30  # of a fusion on finished embeddings: they cost nothing
OWN_SOURCES = ("clip_data", "clip_encoders", "monocular", "grid", "tasks/rgbd")


@dataclass(frozen=True, slots=True)
class Unit:
    """One piece of the grid: of a joint one the fusion and its depth, of one alone neither."""

    form: str
    seed: int
    fusion: str | None = None
    depth: Depth | None = None


class Outcome(Strict):
    """Which of n test clips were answered right, by the name of what answered: bits, packed and in base 64.

    Of a joint unit one, "joint"; of one alone "camera", "depth measured", "depth estimated" and "FUSION DEPTH".
    """

    form: str
    seed: int
    fusion: str | None
    depth: Depth | None
    n: int
    right: dict[str, str]

    @property
    def unit(self) -> Unit:
        return Unit(self.form, self.seed, self.fusion, self.depth)

    def rows(self, name: str) -> Rows:
        """bool [n]."""
        return unpacked(self.right[name], self.n)


@dataclass(frozen=True, slots=True)
class Plan:
    """How the grid is trained, how often, and where clips and finished pieces lie."""

    settings: Settings
    seeds: int
    work: Path


def settings_of(**given: Any) -> Settings:
    """Those of the task, trained on whole moments, as the study's models were."""
    return Settings(**{**DEFAULTS, "subsets": 0, **given})


def grid(plan: Plan, workers: int, progress: Progress) -> list[Outcome]:
    """All outcomes; what `work` already holds of just this plan is not done again."""
    data = _data(plan.work, progress)
    store = Store(plan.work / NAME, fingerprint(plan, data), Outcome, lambda outcome: outcome.unit)
    missing = [unit for unit in units_of(plan.seeds) if unit not in store.outcomes]
    with worked(functools.partial(measure, plan), missing, workers) as outcomes:
        for outcome in progress(outcomes, len(missing), "grid"):
            store.add(outcome)
    return [store.outcomes[unit] for unit in units_of(plan.seeds)]


def units_of(seeds: int) -> Iterator[Unit]:
    """Seed by seed and form by form: the encoders alone, then every fusion with either depth."""
    for seed, form in itertools.product(range(seeds), FORMS):
        yield Unit(form, seed)
        yield from (Unit(form, seed, fusion, depth) for depth in DEPTHS for fusion in FUSIONS)


def measure(plan: Plan, unit: Unit) -> Outcome:
    """Do one piece, in one thread."""
    settings = replace(plan.settings, seed=unit.seed)
    tasks = _tasks(plan, unit.form)
    if unit.fusion is None or unit.depth is None:
        right = _alone(tasks, settings)
    else:
        right = {"joint": _joint(tasks[unit.depth], replace(settings, operator=unit.fusion))}
    bits = {name: packed(rows) for name, rows in right.items()}
    return Outcome(**asdict(unit), n=len(tasks["measured"].test), right=bits)


def fingerprint(plan: Plan, data: Mapping[Depth, tuple[Labelled, Labelled]]) -> str:
    """Of all that outcomes depend on, as that of a study."""
    return fingerprint_of(plan.settings, itertools.chain.from_iterable(data.values()), (*SOURCES, *OWN_SOURCES))


def _joint(task: Task, settings: Settings) -> Rows:
    with alone(settings.seed):
        return _right(train(task, settings, unseen).model, task.test, task)


def _alone(tasks: Mapping[Depth, Task], settings: Settings) -> dict[str, Rows]:
    """Each encoder by itself, and every fusion on what they say."""
    told: dict[str, tuple[Labelled, Labelled]] = {}
    right: dict[str, Rows] = {}
    for name, task, stream in (
        ("camera", tasks["measured"], "camera"),
        *((f"depth {depth}", tasks[depth], "depth") for depth in DEPTHS),
    ):
        own = _of_one_stream(task, stream)
        with alone(settings.seed):
            model = train(own, replace(settings, operator="concat"), unseen).model
            right[name] = _right(model, own.test, own)
            told[name] = _embedded(model, own.train, stream), _embedded(model, own.test, stream)
    for depth, fusion in itertools.product(DEPTHS, FUSIONS):
        task = _of_embeddings(tasks[depth], told["camera"], told[f"depth {depth}"])
        right[f"{fusion} {depth}"] = _joint(task, replace(settings, operator=fusion, epochs=FROZEN_EPOCHS))
    return right


def _of_one_stream(task: Task, stream: str) -> Task:
    """The task with one stream, which then is derived from nothing that it has."""
    only = frozenset({stream})

    def streams() -> Mapping[str, Stream]:
        return {stream: replace(task.streams()[stream], derived_from=None)}

    return replace(task, train=task.train.only(only), test=task.test.only(only), streams=streams)


@torch.no_grad()
def _embedded(model: FusionModel, data: Labelled, stream: str) -> Labelled:
    """What the encoder says of every clip, float32 [n, EMBEDDING]."""
    return Labelled({stream: embeddings(model, data, 100)[0].numpy()}, data.labels)


def _of_embeddings(task: Task, camera: tuple[Labelled, Labelled], depth: tuple[Labelled, Labelled]) -> Task:
    """The task on finished embeddings."""
    parts = [
        Labelled({"camera": c.tensors["camera"], "depth": d.tensors["depth"]}, c.labels)
        for c, d in zip(camera, depth, strict=True)
    ]

    def streams() -> Mapping[str, Stream]:
        return {
            name: Stream("vector", nn.Identity(), EMBEDDING, {"shape": [EMBEDDING]}) for name in ("camera", "depth")
        }

    return replace(task, train=parts[0], test=parts[1], streams=streams, augment=as_floats)


def _right(model: FusionModel, data: Labelled, task: Task) -> Rows:
    return right_answers(model, data, task.output.name, [tuple(model.streams)])[0]


def _tasks(plan: Plan, form: str) -> dict[Depth, Task]:
    return {
        depth: rgbd_task(FORMS[form], train, test, depth == "estimated")
        for depth, (train, test) in _opened(plan.work).items()
    }


@functools.lru_cache(maxsize=1)
def _opened(work: Path) -> dict[Depth, tuple[Labelled, Labelled]]:
    """The clips, once a process."""
    return _data(work, unseen)


def _data(work: Path, progress: Progress) -> dict[Depth, tuple[Labelled, Labelled]]:
    measured = clips(work, progress)
    return {"measured": measured, "estimated": told_from_camera(work, *measured, progress)}
