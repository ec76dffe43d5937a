"""A training run as a folder: settings, weights and figures, made by `train` and read back by `export`."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from tqdm import tqdm

from edgefuse.complaints import complaint
from edgefuse.datasheet import Datasheet
from edgefuse.files import write_whole
from edgefuse.schema import validate
from edgefuse_export.errors import ExportError
from edgefuse_export.evaluate import as_json, evaluate
from edgefuse_export.models import FusionModel
from edgefuse_export.package import Recipe
from edgefuse_export.settings import Settings
from edgefuse_export.task import Task
from edgefuse_export.tasks import open_task
from edgefuse_export.training import Trained, fresh_model, train

NAMES = {"weights": "weights.safetensors", "run": "run.json", "report": "report.json"}


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: what it was trained on, the settings, the model in evaluation mode, and what was measured."""

    task: Task
    settings: Settings
    model: FusionModel
    sheet: Datasheet


def train_run(folder: Path, data: str, given: Mapping[str, Any]) -> tuple[Datasheet, dict[str, Any]]:
    """Make or read data, train, measure, and write weights.safetensors, run.json and report.json. Gives the figures.

    given: the settings that are not to be the task's own. ExportError where the folder cannot be written.
    """
    begin = time.monotonic()
    try:
        task = open_task(data, Settings(**given), folder, progress)
        settings = Settings(**{**task.defaults, **given})
        made_s = time.monotonic() - begin
        trained = train(task, settings, progress, begin + 60.0 * settings.minutes)
        sheet = evaluate(trained.model, task.test, task.output.name, task.split)
        report = _report(settings, trained, sheet, made_s, time.monotonic() - begin)
        _write(folder, data, settings, trained, report)
    except OSError as error:
        raise ExportError(f"{folder}: {error.strerror or error}") from error
    return sheet, report


def open_run(folder: Path) -> Run:
    """A finished run. ExportError where the folder holds none."""
    try:
        known = json.loads((folder / NAMES["run"]).read_text())
        report = json.loads((folder / NAMES["report"]).read_text())
        settings = Settings(**known["settings"])
        task = open_task(known["data"], settings, folder, progress)
        model = load_weights(fresh_model(task, settings), folder / NAMES["weights"])
        sheet = validate(Datasheet, report["datasheet"])
    except OSError as error:
        raise ExportError(f"{folder} holds no finished run: {error.filename}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError) as error:
        what = complaint(error) if isinstance(error, ValueError) else f"{type(error).__name__} {error}"
        raise ExportError(f"{folder} holds no run of this version: {what}") from error
    return Run(task, settings, model, sheet)


def recipe_of_run(folder: Path) -> Recipe:
    """The bundle of a finished run. ExportError where the folder holds none."""
    run = open_run(folder)
    keys = ("epochs", "batch", "learning_rate", "seed")
    task, settings = run.task, run.settings
    provenance: dict[str, str | int | float] = {"command": "edgefuse-export train", "samples": len(task.train)}
    provenance |= {key: getattr(settings, key) for key in keys} | settings.recipe
    return Recipe(
        run.model,
        task.name,
        task.samples(),
        domain=task.name,
        datasheet=run.sheet,
        provenance=provenance,
        subset_trained=settings.subsets > 0,
    )


def recipe_of_factory(name: str) -> Recipe:
    """What the function `package.module:function` returns; modules of the working directory are found too."""
    module_name, _, function = name.partition(":")
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as a plain string, the way Python itself puts it there
    try:
        recipe = getattr(importlib.import_module(module_name), function)()
    except (ImportError, AttributeError, ExportError) as error:
        raise ExportError(f"--factory {name}: {error}") from error
    except Exception as error:  # a user's function raises what it likes
        raise ExportError(f"--factory {name}: {type(error).__name__}: {' '.join(str(error).split())}") from error
    if not isinstance(recipe, Recipe):
        raise ExportError(f"--factory {name}: returns {type(recipe).__name__}, not an edgefuse_export.Recipe")
    return recipe


def load_weights(model: FusionModel, path: Path) -> FusionModel:
    """Fill a model from a safetensors file, the measured means with it where there are any."""
    try:
        state = load_file(path)
        model.means = state.pop("means", None)
        model.load_state_dict(state, strict=False)
    except (SafetensorError, RuntimeError) as error:
        raise ExportError(f"{path}: {' '.join(str(error).split())[:300]}") from error
    missing = set(model.state_dict()) - set(state) - {"means"}
    if missing:
        raise ExportError(f"{path}: lacks {', '.join(sorted(missing))}")
    return model.eval()


def progress(items: Iterator[Any], total: int, what: str) -> Iterator[Any]:
    """The items, with a bar on stderr where that is a terminal."""
    yield from tqdm(items, total=total, desc=what, file=sys.stderr, mininterval=1.0, disable=None)


def _report(settings: Settings, trained: Trained, sheet: Datasheet, made_s: float, whole_s: float) -> dict[str, Any]:
    return {
        "datasheet": as_json(sheet),
        "losses": [round(loss, 5) for loss in trained.losses],
        "stopped_early": trained.stopped_early,
        "parameters": sum(p.numel() for p in trained.model.parameters()),
        "seconds": {"data": round(made_s, 1), "total": round(whole_s, 1)},
        "operator": settings.operator,
    }


def _write(folder: Path, data: str, settings: Settings, trained: Trained, report: dict[str, Any]) -> None:
    state = {name: value.contiguous() for name, value in trained.model.state_dict().items()}
    threads = torch.get_num_threads()
    run = {"data": data, "settings": settings.as_json(), "torch": torch.__version__, "threads": threads}
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / NAMES["weights"], save(state))
    write_whole(folder / NAMES["run"], json.dumps(run, indent=1).encode())
    write_whole(folder / NAMES["report"], json.dumps(report, indent=1, allow_nan=False).encode())
