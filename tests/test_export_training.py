"""Training on the simulated site learns, repeats, and hands over a run that the command line turns into a bundle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `export` is not installed")
pytest.importorskip("onnxscript", reason="the extra `export` is not installed")
pytest.importorskip("safetensors", reason="the extra `export` is not installed")

import edgefuse  # noqa: E402
from edgefuse.sources.site import LABELS, OUTPUT_NAME, snapshot  # noqa: E402
from edgefuse.verify import verify  # noqa: E402
from edgefuse_export import (  # noqa: E402
    ExportError,
    Recipe,
    train_verb,
)
from edgefuse_export import site_data as sites  # noqa: E402
from edgefuse_export.augment import augmented, mirrored  # noqa: E402
from edgefuse_export.cli import main  # noqa: E402
from edgefuse_export.evaluate import evaluate, wilson  # noqa: E402
from edgefuse_export.run import recipe_of_run  # noqa: E402
from edgefuse_export.settings import Settings  # noqa: E402
from edgefuse_export.site_data import Labelled, site_data  # noqa: E402
from edgefuse_export.site_model import site_model  # noqa: E402
from edgefuse_export.task import Task  # noqa: E402
from edgefuse_export.tasks.site import open_task  # noqa: E402
from edgefuse_export.training import _Lesson, fresh_model, subset_loss, train  # noqa: E402

torch.set_num_threads(1)  # small tensors: threads on shared cores would mostly wait for each other

ROOT = Path(__file__).resolve().parents[1]
TINY = Settings(samples=32, test_samples=8, epochs=1, batch=8)


def quiet(items: Iterator[Any], *_: object) -> Iterator[Any]:
    return items


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="module")
def data(folder: Path) -> Labelled:
    return site_data(folder / "train", 0, 32, 1, quiet)


@pytest.fixture(scope="module")
def task(data: Labelled, folder: Path) -> Task:
    return open_task(None, TINY, folder, quiet)


def test_moments_are_cached_with_what_they_were_made_from(
    data: Labelled, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(seed: int) -> Any:
        raise AssertionError("made again")

    monkeypatch.setattr(sites, "moment", none)
    again = site_data(folder / "train", 0, 32, 1, quiet)
    assert all(np.array_equal(again.tensors[s], t) for s, t in data.tensors.items())
    with pytest.raises(AssertionError, match="made again"):
        site_data(folder / "train", 1, 32, 1, quiet)
    monkeypatch.undo()
    renewed = site_data(folder / "train", 0, 32, 1, quiet)  # an interrupted change leaves no stale cache behind
    assert all(np.array_equal(renewed.tensors[s], t) for s, t in data.tensors.items())


def test_a_moment_is_what_the_device_makes_of_the_payloads(data: Labelled) -> None:
    seen = snapshot(5)
    assert data.labels[5] == seen.label
    assert data.tensors["camera"].dtype == np.uint8 and data.tensors["depth"].dtype == np.uint16
    np.testing.assert_array_equal(data.tensors["lidar"][5], sites.tensor_of("lidar", seen.payloads["lidar"]))


def test_training_learns_a_small_set_by_heart(task: Task, data: Labelled) -> None:
    trained = train(task, Settings(samples=32, epochs=25, batch=8), quiet)
    sheet = evaluate(trained.model, data, OUTPUT_NAME, "the training set")
    assert trained.losses[-1] < 0.7 * trained.losses[0]
    assert not trained.stopped_early
    assert sheet.subsets[-1].streams == ("camera", "depth", "lidar", "gps")
    assert sheet.subsets[-1].value >= 0.8
    assert len(sheet.subsets) == 15


def test_training_repeats_bit_for_bit(task: Task) -> None:
    first, again = (train(task, TINY, quiet).model.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = train(task, Settings(samples=32, epochs=1, batch=8, seed=1), quiet).model.state_dict()
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_time_running_out_ends_training_between_epochs(task: Task) -> None:
    trained = train(task, TINY, quiet, deadline_s=0.0)
    assert trained.stopped_early
    assert trained.losses == ()


def test_a_specialist_has_its_own_streams_alone(task: Task) -> None:
    model = train(task, TINY, quiet, only=frozenset({"gps", "depth"})).model
    assert list(model.streams) == ["depth", "gps"]


def lesson(task: Task, **changes: Any) -> Any:
    settings = Settings(**{"samples": 32, "epochs": 1, "batch": 8, **changes})
    return _Lesson(fresh_model(task, settings), task.train, settings, task.augment)


def test_few_streams_are_answered_from_every_subset_as_often_as_dropout_would_draw_it(task: Task) -> None:
    rates = {"camera": 0.2, "lidar": 0.9}
    parts, weights = lesson(task, drop_rates=rates, drop_rate=0.5)._parts(3)
    assert parts.shape == (14 * 3, 4)
    masks = parts[::3]
    assert len({tuple(mask.tolist()) for mask in masks}) == 14
    drop = torch.tensor([0.2, 0.5, 0.9, 0.5])
    chance = torch.where(masks, 1 - drop, drop).prod(1)
    torch.testing.assert_close(weights, chance / chance.sum())


def test_of_many_subsets_some_are_drawn_and_none_is_empty(task: Task) -> None:
    parts, weights = lesson(task, subsets=5)._parts(400)
    assert parts.shape == (5 * 400, 4)
    assert parts.any(1).all()
    torch.testing.assert_close(weights, torch.full((5,), 0.2))


def test_without_subsets_the_whole_alone_is_learned_from(task: Task) -> None:
    parts, weights = lesson(task, subsets=0)._parts(3)
    assert len(parts) == 0 and len(weights) == 0


def test_the_loss_weighs_the_whole_the_subsets_and_what_they_learn_of_it() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(9, 5, generator=generator), torch.tensor([0, 4, 2])
    weights = torch.tensor([0.25, 0.75])
    settings = Settings(whole_weight=0.3, distil=0.7, label_smoothing=0.0)

    def ce(z: Any, k: Any) -> Any:
        return -(z - z.logsumexp(1, keepdim=True))[torch.arange(len(k)), k]

    def soft(z: Any) -> Any:
        return torch.softmax(z / 2.0, 1)

    whole = ce(logits[:3], labels).mean()
    parts = 0.25 * ce(logits[3:6], labels).mean() + 0.75 * ce(logits[6:], labels).mean()
    gaps = [(soft(logits[:3]) * (soft(logits[:3]) / soft(z)).log()).sum(1).mean() for z in (logits[3:6], logits[6:])]
    want = 0.3 * whole + 0.7 * parts + 0.7 * 4.0 * (0.25 * gaps[0] + 0.75 * gaps[1])
    torch.testing.assert_close(subset_loss(logits, labels, weights, settings), want)


def test_a_subset_learns_from_the_whole_and_the_whole_not_from_it() -> None:
    logits, labels = torch.randn(4, 3, requires_grad=True), torch.tensor([0, 1])
    gaps = []
    for distil in (0.0, 1.0):
        loss = subset_loss(logits, labels, torch.ones(1), Settings(distil=distil))
        gaps.append(torch.autograd.grad(loss, logits)[0])
    assert torch.equal(gaps[0][:2], gaps[1][:2])
    assert not torch.equal(gaps[0][2:], gaps[1][2:])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"drop_rate": 1.5}, "drop_rate 1.5 is not in"),
        ({"drop_rates": {"gps": -1.0}}, "drop_rates.gps -1.0 is not in"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"subsets": -1}, "subsets must be at least 0"),
    ],
)
def test_settings_that_mean_nothing_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ExportError, match=words):
        Settings(**changes)


def test_a_rate_of_a_stream_that_is_not_there_is_named(task: Task) -> None:
    with pytest.raises(ExportError, match="drop_rates: no stream 'radar'; the model has camera"):
        lesson(task, drop_rates={"radar": 0.5})


def batch(data: Labelled) -> dict[str, Any]:
    return {name: torch.from_numpy(t) for name, t in data.rows(np.arange(6)).items()}


def test_a_mirror_image_swaps_sides_and_twice_is_where_it_was(data: Labelled) -> None:
    inputs = {name: tensor.float() for name, tensor in batch(data).items()}
    rows = torch.tensor([True] * 5 + [False])
    once = mirrored(inputs, rows)
    assert all(torch.equal(once[name][5], inputs[name][5]) for name in inputs)
    assert torch.equal(once["camera"][0, :, 0], inputs["camera"][0, :, -1])
    torch.testing.assert_close(once["gps"][:5, 0], -inputs["gps"][:5, 0])
    torch.testing.assert_close(once["gps"][:, 1:], inputs["gps"][:, 1:])
    twice = mirrored(once, rows)
    inner = slice(2, -2)  # two columns fall off the edge, as the lidar does not sit in the middle
    assert torch.equal(twice["lidar"][:5, :, :, inner], inputs["lidar"][:5, :, :, inner])
    assert torch.equal(twice["camera"], inputs["camera"]) and torch.equal(twice["depth"], inputs["depth"])


def test_augmentation_keeps_shapes_ranges_and_holes(data: Labelled) -> None:
    inputs = batch(data)
    changed = augmented(inputs, torch.Generator().manual_seed(0))
    assert {n: t.shape for n, t in changed.items()} == {n: t.shape for n, t in inputs.items()}
    assert float(changed["camera"].min()) >= 0.0
    assert float(changed["camera"].max()) <= 255.0
    assert int((changed["depth"] > 0).sum()) <= int((inputs["depth"].int() > 0).sum())
    assert all(torch.isfinite(t).all() for t in changed.values())


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    # Computed with R: prop.test(x, n, correct = FALSE), or by the closed form at the ends.
    [(8, 10, 0.4901625, 0.9433178), (0, 10, 0.0, 0.2775328), (10, 10, 0.7224672, 1.0), (50, 100, 0.4038315, 0.5961685)],
)
def test_intervals_are_wilsons(hits: int, n: int, low: float, high: float) -> None:
    assert wilson(hits, n) == pytest.approx((low, high), abs=1e-6)


def last_json(text: str) -> Any:
    return json.loads(text.strip().splitlines()[-1])


def test_the_command_line_goes_from_nothing_to_a_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = tmp_path / "run", tmp_path / "site.efb"
    sizes = ["--samples", "16", "--test-samples", "6", "--epochs", "1", "--json"]
    assert main(["train", "--out", str(run), *sizes]) == 0
    report = last_json(capsys.readouterr().out)
    assert len(report["datasheet"]["subsets"]) == 15
    assert sorted(p.name for p in run.iterdir()) == ["report.json", "run.json", "test", "train", "weights.safetensors"]
    assert main(["export", "--run", str(run), "--out", str(out), "--json"]) == 0
    gate = last_json(capsys.readouterr().out)
    assert gate["passed"] is True
    assert [(s["stage"], s["checks"]) for s in gate["stages"]][1:] == [("graph", 16), ("engine", 16), ("effect", 8)]
    engine = edgefuse.load(out)
    assert all(check.passed for check in verify(engine))
    assert engine.answer(snapshot(1).payloads).expected is not None
    assert engine.bundle.manifest.head.outputs[0].labels == LABELS
    assert str(tmp_path).encode() not in out.read_bytes()


def test_the_shipped_size_stays_within_its_budget() -> None:
    assert sum(p.numel() for p in site_model().parameters()) <= 280_000


def broken_recipe() -> Recipe:
    """A site model that does not look at its GPS."""
    model = site_model()
    with torch.no_grad():
        for parameter in model.encoders[3].parameters():
            parameter.zero_()
    return Recipe(model, "broken", [snapshot(k).payloads for k in range(2)])


def test_a_bundle_that_fails_the_gate_is_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    out = tmp_path / "broken.efb"
    status = main(["export", "--factory", f"{Path(__file__).stem}:broken_recipe", "--out", str(out), "--json"])
    said = capsys.readouterr()
    assert status == 1
    assert not out.exists()
    assert "input 'gps' changes no output" in said.out
    assert last_json(said.out)["passed"] is False
    assert "was not written: 1 checks failed" in said.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "--run", "nowhere"], "nowhere holds no finished run"),
        (["export", "--factory", "nowhere:make"], "--factory nowhere:make: No module named 'nowhere'"),
        (["export", "--factory", "json:loads2"], "has no attribute 'loads2'"),
        (["export", "--factory", "json"], "--factory json: "),
        (["export", "--factory", "time:time"], "returns float, not an edgefuse_export.Recipe"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr().err.strip()
    assert words in said and len(said.splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["fly"], ["train", "--epochs", "0"], ["train", "--operator", "mean"]])
def test_wrong_usage_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: edgefuse-export" in capsys.readouterr().err


def test_help_and_the_simulators_workers_do_without_torch() -> None:
    code = "import sys, edgefuse_export.cli, edgefuse_export.site_data; sys.exit('torch' in sys.modules)"
    folders = {"PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("engine", "export"))}
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ, **folders}, check=False).returncode == 0


@pytest.mark.parametrize("file", ["run.json", "report.json", "weights.safetensors"])
def test_a_damaged_run_is_named(file: str, tmp_path: Path) -> None:
    run = {"run.json": {"settings": TINY.as_json()}, "report.json": {"datasheet": {}}}
    for name, document in run.items():
        (tmp_path / name).write_text(json.dumps(document))
    (tmp_path / "weights.safetensors").write_bytes(b"\0" * 8)
    (tmp_path / file).write_bytes(b"\xff{")
    with pytest.raises(ExportError, match=str(tmp_path)):
        recipe_of_run(tmp_path)


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("0.6", {"drop_rate": 0.6, "drop_rates": {}}),
        ("camera=0.2, gps=0.6", {"drop_rates": {"camera": 0.2, "gps": 0.6}}),
        ("0.55,lidar=0.45", {"drop_rate": 0.55, "drop_rates": {"lidar": 0.45}}),
    ],
)
def test_rates_are_told_of_all_of_some_or_of_all_but_some(text: str, rates: dict[str, object]) -> None:
    assert train_verb._rates(text) == rates


@pytest.mark.parametrize("text", ["often", "0.5,0.6", "camera", "camera=", "camera=0.2,0.5"])
def test_what_is_no_rate_is_named(text: str) -> None:
    with pytest.raises(ExportError, match=f"--drop-rate {text}: not a rate"):
        train_verb._rates(text)
