"""A bundle measures itself: on rows, on sequences, for every subset, rung and age; and is written again with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `export` is not installed")
pytest.importorskip("onnxscript", reason="the extra `export` is not installed")

import edgefuse  # noqa: E402
from edgefuse.datasheet import Datasheet, SubsetFigure, read_datasheet  # noqa: E402
from edgefuse.offline import Offline  # noqa: E402
from edgefuse.schema import document_of, validate  # noqa: E402
from edgefuse.sources import Source, numbered  # noqa: E402
from edgefuse.types import Sample  # noqa: E402
from edgefuse.verify import verify  # noqa: E402
from edgefuse_export import export_bundle  # noqa: E402
from edgefuse_export.cli import main  # noqa: E402
from edgefuse_export.datasheet import asked_subsets, measure  # noqa: E402
from edgefuse_export.errors import ExportError  # noqa: E402
from edgefuse_export.estimate import estimate_of  # noqa: E402
from edgefuse_export.evaluate import table  # noqa: E402
from edgefuse_export.held_out import Moments, moments_of, of_labelled, record  # noqa: E402
from edgefuse_export.labelled import read_labelled  # noqa: E402
from edgefuse_export.retrofit import retrofit  # noqa: E402
from edgefuse_export.score import standard_error  # noqa: E402
from small_model import LABELS, NAMES, raw_samples, small_model, tensors  # noqa: E402

MS = 1_000_000


def quiet(items: Iterator[Any], *_: object) -> Iterator[Any]:
    return items


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "small.efb"
    model = small_model()
    model.measure_means([tensors(6)])
    export_bundle(path, model, name="small", samples=raw_samples())
    return path


@pytest.fixture
def offline(path: Path) -> Offline:
    return Offline(edgefuse.load(path).bundle)


@pytest.fixture(scope="module")
def rows(path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of labelled tensors; the label is what the whole model says, but for every fourth row."""
    folder = tmp_path_factory.mktemp("rows")
    given = {name: tensor.numpy() for name, tensor in tensors(80).items()}
    with torch.no_grad():
        labels = small_model()({n: torch.from_numpy(t) for n, t in given.items()})["way"].argmax(1).numpy()
    labels[::4] = (labels[::4] + 1) % 3
    for name, tensor in given.items():
        dtype = np.uint16 if name == "depth" else np.float32
        np.save(folder / f"{name}.npy", tensor.astype(dtype))
    np.save(folder / "labels.npy", labels)
    return folder


def moments(offline: Offline, rows: Path) -> Moments:
    return of_labelled(offline, read_labelled(rows), quiet)


def test_every_subset_is_measured_as_torch_would_measure_it(offline: Offline, rows: Path) -> None:
    found = measure(offline, "way", "made up", moments(offline, rows), None, quiet).sheet
    data = read_labelled(rows)
    assert [f.streams for f in found.subsets] == asked_subsets(NAMES)
    masked = [*(f for f in found.rungs if f.rung == "mask"), found.subsets[-1]]
    assert [f.streams for f in masked] == asked_subsets(NAMES)
    model = small_model()
    for figure in masked:
        inputs = {n: torch.from_numpy(np.array(data.tensors[n], np.float32)) for n in figure.streams}
        with torch.no_grad():
            right = (model(inputs)["way"].argmax(1).numpy() == data.labels).mean()
        assert figure.value == pytest.approx(right)
        assert figure.low < figure.value < figure.high
    assert all(f.n == 80 and f.latency_ms is not None and f.latency_ms > 0.0 for f in found.subsets)
    assert found.subsets[-1].value == 0.75


def test_rungs_are_measured_and_the_best_is_named(offline: Offline, rows: Path) -> None:
    found = measure(offline, "way", "made up", moments(offline, rows), None, quiet)
    rungs = {f.rung for f in found.sheet.rungs}
    assert rungs == {"mask", "mean"}
    means = {r: np.mean([f.value for f in found.sheet.rungs if f.rung == r]) for r in rungs}
    assert found.rung == max(means, key=lambda r: means[r] - 0.002 * (r == "mean"))


def test_rows_without_a_label_are_left_out_and_said(offline: Offline, rows: Path) -> None:
    whole = moments(offline, rows)
    whole.labels[:10] = -1
    found = measure(offline, "way", "made up", whole, None, quiet)
    assert found.sheet.subsets[0].n == 70
    assert found.notes[0] == "10 of 80 moments have no label and were left out"


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.zeros_like, r"holds 1 class\(es\)"),
        (lambda x: np.full_like(x, -1), r"holds 0 class\(es\)"),
        (lambda x: x + 1, "label 3: output 'way' has 3 classes"),
    ],
)
def test_labels_that_nothing_can_be_measured_on_are_refused(
    labels: Any, words: str, offline: Offline, rows: Path
) -> None:
    whole = moments(offline, rows)
    with pytest.raises(ExportError, match=words):
        measure(offline, "way", "made up", Moments(whole.embeddings, labels(whole.labels)), None, quiet)


def test_a_regression_is_measured_by_its_mean_absolute_error_and_less_is_better(offline: Offline, rows: Path) -> None:
    data = read_labelled(rows)
    model, given = small_model(), {n: torch.from_numpy(np.array(t, np.float32)) for n, t in data.tensors.items()}
    with torch.no_grad():
        truth = model(given)["speed"].numpy() + np.where(np.arange(80) % 2, 0.25, -0.75)[:, None]
    whole = replace(of_labelled(offline, data, quiet), labels=truth.astype(np.float64))
    sheet = measure(offline, "speed", "made up", whole, None, quiet).sheet
    assert (sheet.metric, sheet.better, sheet.output) == ("mean absolute error", "lower", "speed")
    assert sheet.subsets[-1].value == pytest.approx(0.5, abs=1e-5)
    assert sheet.subsets[-1].high - sheet.subsets[-1].value == pytest.approx(1.96 * 0.25 / np.sqrt(79), rel=1e-3)
    masked = [*(f for f in sheet.rungs if f.rung == "mask"), sheet.subsets[-1]]
    for figure in masked:
        with torch.no_grad():
            told = model({n: given[n] for n in figure.streams})["speed"].numpy()
        assert figure.value == pytest.approx(float(np.abs(told - truth).mean()), rel=1e-4)
    assert all(f.ece is None and f.bias == () for f in sheet.subsets)
    assert validate(Datasheet, document_of(sheet)).worse(0.6, 0.5)
    assert "%" not in table(sheet) and f"{sheet.subsets[0].value:.4g}  [" in table(sheet)
    with pytest.raises(ExportError, match="output 'speed' is no class output"):
        retrofit(offline, "speed", whole, whole, quiet)
    with pytest.raises(ExportError, match=r"labels\.npy has to hold whole numbers"):
        retrofit(offline, "way", whole, whole, quiet)


def test_values_that_are_not_known_are_left_out_and_others_of_the_wrong_shape_are_named(
    offline: Offline, rows: Path
) -> None:
    whole = moments(offline, rows)
    values = np.linspace(0.0, 1.0, 80)[:, None]
    values[:5] = np.nan
    found = measure(offline, "speed", "made up", replace(whole, labels=values), None, quiet)
    assert found.sheet.subsets[0].n == 75 and found.notes[0].startswith("5 of 80 moments have no label")
    for output, labels, words in (
        ("speed", np.zeros((80, 2)), r"output 'speed' is of 1 value\(s\): labels.npy has to be \[n, 1\]"),
        ("way", np.zeros((80, 1)), "output 'way' is of classes: labels.npy has to hold whole numbers"),
        ("speed", np.full((80, 1), np.nan), "no moment of the held-out data has a truth"),
        ("mood", values, "output 'mood' cannot be measured; those that can: way, speed"),
    ):
        with pytest.raises(ExportError, match=words):
            measure(offline, output, "made up", replace(whole, labels=labels), None, quiet)


def test_an_error_of_recordings_that_are_alike_within_is_less_sure() -> None:
    errors, groups = np.repeat([0.0, 1.0, 2.0, 3.0], 25), np.repeat(np.arange(4), 25)
    assert standard_error(errors, None) == pytest.approx(errors.std(ddof=1) / 10.0)
    assert standard_error(errors, groups) == pytest.approx(np.std([0, 1, 2, 3], ddof=1) / 2.0)
    assert standard_error(errors, np.zeros(100, np.int64)) == errors.std()


def test_an_interval_that_is_wider_than_asked_for_is_refused_with_how_many_it_takes(
    offline: Offline, rows: Path
) -> None:
    with pytest.raises(
        ExportError, match=r"of 7 subsets have wider intervals than \+-0\.02; .* n = 80: it takes about"
    ):
        measure(offline, "way", "made up", moments(offline, rows), None, quiet, within=0.02)


class Steps(Source):
    """Three streams at 10 Hz whose payloads say when they were taken; the truth changes every second."""

    def samples(self) -> Iterator[Sample]:
        payloads = raw_samples(1)[0]
        for k in range(60):
            for name in NAMES:
                yield Sample(name, k * 100 * MS, payloads[name] if name != "radar" else np.full(3, k, np.float32))

    def truth(self, t_ns: int) -> dict[str, str]:
        return {"way": LABELS[t_ns // 1_000_000_000 % 3]}


def test_a_sequence_is_asked_at_its_ticks_with_the_samples_that_had_come(offline: Offline) -> None:
    kept = record(offline, Steps(), "way", 10.0)
    now = moments_of([kept, kept], offline)
    assert len(now) == 120 and now.groups is not None and list(np.unique(now.groups)) == [0, 1]
    assert now.age_ms is not None and (now.age_ms == 0.0).all()
    old = moments_of([kept], offline, aged=2, by_ms=250.0)
    assert old.age_ms is not None
    np.testing.assert_array_equal(old.age_ms[:, 2], 300.0)
    np.testing.assert_array_equal(old.age_ms[:, 0], 0.0)
    np.testing.assert_array_equal(old.embeddings[2], now.embeddings[2][: len(old)])
    assert list(old.labels) == list(now.labels[3:60])


def test_ages_are_measured_up_to_twice_what_may_be_held(offline: Offline) -> None:
    kept = [record(offline, Steps(), "way", 10.0)]
    found = measure(
        offline, "way", "s", moments_of(kept, offline), lambda i, ms: moments_of(kept, offline, i, ms), quiet
    )
    at = {name: [f.age_ms for f in found.sheet.age_curve(name)] for name in NAMES}
    assert at["imu"] == [0.0, 100.0, 200.0, 400.0]
    assert at["radar"] == [0.0, 100.0, 200.0, 400.0, 700.0]


def test_of_many_streams_some_subsets_are_asked_about() -> None:
    names = [f"s{k}" for k in range(10)]
    asked = asked_subsets(names)
    assert len(set(asked)) == len(asked) <= 221
    assert {(n,) for n in names} <= set(asked) and tuple(names) in asked
    assert all(tuple(n for n in names if n != lost) in asked for lost in names)


def test_of_subsets_that_were_not_measured_the_expectation_is_told_from_the_others_with_its_error() -> None:
    names = [f"s{k}" for k in range(10)]
    worth = dict(zip(names, np.linspace(0.01, 0.09, 10).tolist(), strict=True))

    def truth(streams: Any) -> float:
        return 0.3 + sum(worth[n] for n in streams) - 0.002 * len(streams) ** 2

    def figures(spread: float) -> list[SubsetFigure]:
        off = np.random.default_rng(0).normal(0.0, spread, len(asked_subsets(names)))
        values = [truth(s) + o for s, o in zip(asked_subsets(names), off.tolist(), strict=True)]
        kept = zip(asked_subsets(names), values, strict=True)
        return [SubsetFigure(streams=s, value=v, low=v, high=v, n=9) for s, v in kept]

    told = estimate_of(names, figures(0.0))
    assert told is not None and told.error < 1e-9
    assert told.of(["s1", "s5"]) == pytest.approx(truth(["s1", "s5"]))
    noisy = estimate_of(names, figures(0.02))
    assert noisy is not None and noisy.error == pytest.approx(0.02, rel=0.2)
    few = ["a", "b"]
    whole = [SubsetFigure(streams=s, value=0.5, low=0.4, high=0.6, n=9) for s in asked_subsets(few)]
    assert estimate_of(few, whole) is None


def test_a_span_of_seeds_is_as_many_sources() -> None:
    assert numbered("site:seed=8..10&duration_s=5") == [f"site:seed={k}&duration_s=5" for k in (8, 9, 10)]
    assert numbered("kitti:a..b") == ["kitti:a..b"]


def test_the_verb_writes_a_bundle_that_says_what_to_expect(
    path: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "measured.efb"
    assert main(["datasheet", str(path), "--labelled", str(rows), "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    engine = edgefuse.load(out)
    sheet = read_datasheet(engine.bundle)
    assert sheet is not None and document_of(sheet) == told["datasheet"]
    assert engine.bundle.manifest.fallback.ladder == ("hold", told["rung"])
    expected = engine.answer(raw_samples()[0]).expected
    assert expected is not None and expected.value == 0.75
    assert all(check.passed for check in verify(engine))
    before = edgefuse.load(path).bundle.files
    changed = {n for n, c in engine.bundle.files.items() if before.get(n) != c}
    assert {n for n in changed if not n.startswith("golden/")} == {"datasheet.json"}
    assert not any(n.startswith("golden/m0/") for n in changed)  # there every stream is present


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: (f / "labels.npy").unlink(), "labels.npy: missing"),
        (lambda f: np.save(f / "imu.npy", np.zeros((3, 4, 3), np.float32)), "but there are 80 labels"),
        (lambda f: np.save(f / "imu.npy", np.zeros((80, 4, 2), np.float32)), r"stream 'imu': rows of float32 \[4, 2\]"),
        (lambda f: (f / "imu.npy").unlink(), "the data has no stream 'imu'"),
        (lambda f: (f / "imu.npy").write_text("x"), "imu.npy: is not a plain .npy array"),
        (
            lambda f: np.save(f / "labels.npy", np.zeros((80, 2), int)),
            r"labels.npy: int64 \[80, 2\], not whole numbers",
        ),
    ],
)
def test_a_folder_that_does_not_fit_is_named(
    change: Any, words: str, path: Path, rows: Path, tmp_path: Path, offline: Offline
) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    for file in rows.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    change(folder)
    with pytest.raises(ExportError, match=words):
        moments(offline, folder)
