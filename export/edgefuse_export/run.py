"""A training run as a folder: settings, weights and figures, made by `train` and read back by `export`."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from tqdm import tqdm

from edgefuse.datasheet import Datasheet
from edgefuse.files import write_whole
from edgefuse.schema import complaint, validate
from edgefuse.sources.site import OUTPUT_NAME, snapshot
from edgefuse_export.errors import ExportError
from edgefuse_export.evaluate import as_json, evaluate
from edgefuse_export.labelled import Labelled
from edgefuse_export.models import FusionModel
from edgefuse_export.package import Recipe
from edgefuse_export.site_data import CHECK_SEED, TEST_SEED, TRAIN_SEED, site_data
from edgefuse_export.site_model import site_model
from edgefuse_export.training import Settings, Trained, train

WORKERS = 2
CHECKED = 8  # moments that the gate checks the site's bundle with


def train_run(folder: Path, settings: Settings) -> tuple[Datasheet, dict[str, Any]]:
    """Make data, train, measure, and write weights.safetensors, run.json and report.json. Gives the figures.

    ExportError where the folder cannot be written.
    """
    begin = time.monotonic()
    deadline_s = begin + 60.0 * settings.minutes
    try:
        training = _data(folder / "train", TRAIN_SEED, settings.samples)
        testing = _data(folder / "test", TEST_SEED, settings.test_samples)
        made_s = time.monotonic() - begin
        trained = train(training, settings, deadline_s, _progress)
        split = f"simulated sites unseen in training, seeds from {TEST_SEED}"
        sheet = evaluate(trained.model, testing, OUTPUT_NAME, split)
        report = _report(settings, trained, sheet, made_s, time.monotonic() - begin)
        _write(folder, settings, trained, report)
    except OSError as error:
        raise ExportError(f"{folder}: {error.strerror or error}") from error
    return sheet, report


def recipe_of_run(folder: Path) -> Recipe:
    """The bundle of a finished run. ExportError where the folder holds none."""
    try:
        settings = Settings(**json.loads((folder / "run.json").read_text())["settings"])
        report = json.loads((folder / "report.json").read_text())
        model = load_weights(site_model(settings.operator, settings.dim), folder / "weights.safetensors")
        sheet = validate(Datasheet, report["datasheet"])
    except OSError as error:
        raise ExportError(f"{folder} holds no finished run: {error.filename}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError) as error:
        what = complaint(error) if isinstance(error, ValueError) else f"{type(error).__name__} {error}"
        raise ExportError(f"{folder} holds no run of this version: {what}") from error
    samples = [snapshot(CHECK_SEED + k).payloads for k in range(CHECKED)]
    keys = ("samples", "epochs", "batch", "learning_rate", "drop_rate", "seed")
    provenance = {"command": "edgefuse-export train", **{key: settings.as_json()[key] for key in keys}}
    return Recipe(model, "site", samples, domain="site", datasheet=sheet, provenance=provenance)


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


def _data(folder: Path, first_seed: int, samples: int) -> Labelled:
    workers = WORKERS if samples >= 200 else 1  # below, starting them takes longer
    return site_data(folder, first_seed, samples, workers, lambda rows: _progress(rows, samples, folder.name))


def _progress(items: Iterator[Any], total: int, what: str) -> Iterator[Any]:
    yield from tqdm(items, total=total, desc=what, file=sys.stderr, mininterval=1.0)


def _report(settings: Settings, trained: Trained, sheet: Datasheet, made_s: float, whole_s: float) -> dict[str, Any]:
    return {
        "datasheet": as_json(sheet),
        "losses": [round(loss, 5) for loss in trained.losses],
        "stopped_early": trained.stopped_early,
        "parameters": sum(p.numel() for p in trained.model.parameters()),
        "seconds": {"data": round(made_s, 1), "total": round(whole_s, 1)},
        "operator": settings.operator,
    }


def _write(folder: Path, settings: Settings, trained: Trained, report: dict[str, Any]) -> None:
    state = {name: value.contiguous() for name, value in trained.model.state_dict().items()}
    run = {"settings": settings.as_json(), "torch": torch.__version__, "threads": torch.get_num_threads()}
    write_whole(folder / "weights.safetensors", save(state))
    write_whole(folder / "run.json", json.dumps(run, indent=1).encode())
    write_whole(folder / "report.json", json.dumps(report, indent=1, allow_nan=False).encode())
