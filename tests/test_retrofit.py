"""Stand-ins fitted on a finished bundle: ridge against least squares, thin maps against the best, and the choice."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `export` is not installed")
pytest.importorskip("onnxscript", reason="the extra `export` is not installed")

from torch import nn  # noqa: E402

import edgefuse  # noqa: E402
from edgefuse import bundle as bundles  # noqa: E402
from edgefuse.config import RunConfig  # noqa: E402
from edgefuse.engine import Engine  # noqa: E402
from edgefuse.errors import BundleError  # noqa: E402
from edgefuse.impute import shapes  # noqa: E402
from edgefuse.offline import Offline  # noqa: E402
from edgefuse.types import Array  # noqa: E402
from edgefuse.verify import verify  # noqa: E402
from edgefuse_export import ClassOutput, FusionModel, Stream, export_bundle  # noqa: E402
from edgefuse_export.cli import main  # noqa: E402
from edgefuse_export.errors import ExportError  # noqa: E402
from edgefuse_export.fold import folded  # noqa: E402
from edgefuse_export.held_out import of_labelled  # noqa: E402
from edgefuse_export.labelled import Labelled, halves  # noqa: E402
from edgefuse_export.retrofit import Moment2, Nearest, retrofit  # noqa: E402
from tiny import DIM, Tiny, linear  # noqa: E402

EXPLAIN = RunConfig(explain=True)

torch.set_num_threads(1)  # small tensors: threads on shared cores would mostly wait for each other

PATTERN = (True, False, True)


def quiet(items: Iterator[Any], *_: object) -> Iterator[Any]:
    return items


def drawn(n: int = 500) -> tuple[list[Array], list[Array]]:
    """Embeddings of three streams that know of each other, and rows that are made of them."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(n, 3))
    embeddings = [(common @ rng.normal(size=(3, d)) + 0.3 * rng.normal(size=(n, d)) + 1.0) for d in (4, 5, 3)]
    rows = [np.maximum(e @ rng.normal(size=(e.shape[1], 6)), 0.0) for e in embeddings]
    return embeddings, rows


def test_without_a_penalty_the_map_is_least_squares() -> None:
    embeddings, rows = drawn()
    x = np.hstack([embeddings[0], embeddings[2], np.ones((500, 1))])
    want = np.linalg.lstsq(x, rows[1], rcond=None)[0]
    np.testing.assert_allclose(Moment2.of(embeddings, rows).ridge(PATTERN, 0.0), want, rtol=1e-4, atol=1e-5)


def test_the_penalty_is_ridges_and_spares_the_constant() -> None:
    embeddings, rows = drawn()
    second = Moment2.of(embeddings, rows)
    x = np.hstack([embeddings[0], embeddings[2]])
    size = 0.1 * np.mean([(e**2).mean(0) for e in np.hsplit(np.hstack(embeddings), 12)])
    centred = x - x.mean(0)
    slope = np.linalg.solve(centred.T @ centred / 500 + size * np.eye(7), centred.T @ (rows[1] - rows[1].mean(0)) / 500)
    found = second.ridge(PATTERN, 0.1)
    np.testing.assert_allclose(found[:-1], slope, rtol=1e-6)
    np.testing.assert_allclose(found[-1], rows[1].mean(0) - x.mean(0) @ slope, rtol=1e-6)


def test_a_penalty_beyond_measure_tells_the_mean() -> None:
    embeddings, rows = drawn()
    found = Moment2.of(embeddings, rows).ridge(PATTERN, 1e9)
    np.testing.assert_allclose(found[-1], rows[1].mean(0), rtol=1e-4)
    np.testing.assert_allclose(found[:-1], 0.0, atol=1e-6)


def test_a_thin_map_is_the_nearest_of_its_rank() -> None:
    embeddings, rows = drawn()
    second = Moment2.of(embeddings, rows)
    full = second.ridge(PATTERN, 0.0)
    x = np.hstack([embeddings[0], embeddings[2], np.ones((500, 1))])
    for rank in (1, 2, 4):
        narrow, wide = second.thin(PATTERN, full, rank)
        assert narrow.shape == (8, rank) and wide.shape == (rank, 6)
        u, s, v = np.linalg.svd(x @ full, full_matrices=False)
        np.testing.assert_allclose(x @ narrow @ wide, (u[:, :rank] * s[:rank]) @ v[:rank], rtol=1e-6, atol=1e-6)


def test_the_nearest_are_averaged() -> None:
    embeddings, rows = drawn(40)
    out = [np.full(6, np.nan) for _ in range(3)]
    query = [e[7] for e in embeddings]
    Nearest(embeddings, rows).fill(np.array([1, 0, 1], np.uint8), [False, True, False], query, out)
    gaps = [sum(((embeddings[i][k] - query[i]) ** 2).sum() for i in (0, 2)) for k in range(40)]
    np.testing.assert_allclose(out[1], rows[1][np.argsort(gaps)[:10]].mean(0))
    assert np.isnan(out[0]).all() and np.isnan(out[2]).all()


@functools.cache
def wide_awake(seed: int = 0) -> tuple[FusionModel, Labelled]:
    """A model that was trained on whole moments alone, and moments whose streams mostly say the same."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=600)
    say = np.eye(3, dtype=np.float32)[labels]
    given = {n: (say + 0.25 * rng.normal(size=(600, 3))).astype(np.float32) for n in ("a", "b", "c")}
    streams = {n: Stream("vector", nn.Sequential(nn.Linear(3, 8), nn.ReLU()), 8, {"shape": [3]}) for n in given}
    model = FusionModel(streams, "product", 8, nn.Linear(8, 3), [ClassOutput("way", ["x", "y", "z"])])
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(150):
        logits = model({n: torch.from_numpy(v) for n, v in given.items()})["way"]
        optimiser.zero_grad()
        nn.functional.cross_entropy(logits, torch.from_numpy(labels)).backward()
        optimiser.step()
    return model.eval(), Labelled(given, labels)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle and labelled rows beside it."""
    folder = tmp_path_factory.mktemp("retrofit")
    model, data = wide_awake()
    samples = [{n: v[k] for n, v in data.tensors.items()} for k in range(3)]
    export_bundle(folder / "whole.efb", model, name="whole", samples=samples, subset_trained=False)
    for name, values in {**data.tensors, "labels": data.labels}.items():
        (folder / "rows").mkdir(exist_ok=True)
        np.save(folder / "rows" / f"{name}.npy", values)
    return folder


def test_what_is_told_from_the_others_beats_what_is_left_out(folder: Path) -> None:
    offline = Offline(edgefuse.load(folder / "whole.efb").bundle)
    fitted, held = (of_labelled(offline, half, quiet) for half in halves(wide_awake()[1]))
    choice = retrofit(offline, "way", fitted, held, quiet)
    assert choice.best.rung == "impute"
    told = {name: figures["mean"] for name, figures in choice.accuracy.items()}
    assert told[choice.best.name] > told["mask"] + 0.1
    assert told[choice.best.name] >= told["mean"]
    assert list(choice.accuracy["mask"]) == ["2 present", "1 present", "mean"]


def test_the_verb_writes_a_bundle_that_stands_in_as_it_was_measured(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "fitted.efb"
    given = ["retrofit", str(folder / "whole.efb"), "--labelled", str(folder / "rows"), "--out", str(out), "--json"]
    assert main(given) == 0
    told = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert told["chosen"].startswith("impute")
    engine = edgefuse.load(out)
    assert all(check.passed for check in verify(engine))
    _, data = wide_awake()
    right = []
    for k in range(1, 600, 2):
        result = engine.answer({"a": data.tensors["a"][k], "b": data.tensors["b"][k]})
        assert result.streams["c"].rung == "impute"
        right.append(result.labels["way"] == "xyz"[data.labels[k]])
    assert abs(np.mean(right) - told["accuracy"][told["chosen"]]["2 present"]) < 0.05
    assert main(["datasheet", str(out), "--labelled", str(folder / "rows")]) == 0
    said = capsys.readouterr().out
    assert "note: the model was not trained to answer from subsets" in said
    assert "ladder: hold > impute" in said


@pytest.mark.parametrize("operator", ["concat", "sum"])
@pytest.mark.parametrize("rank", [None, 3])
def test_where_operator_and_head_are_linear_the_maps_go_on_to_the_outputs_and_answer_the_same(
    operator: str, rank: int | None, tmp_path: Path
) -> None:
    tiny = Tiny({"a": 3, "b": 5, "c": 4}, operator)
    head = {"head.onnx": linear("head", "fused", "way", *tiny.head, "B")}
    rng = np.random.default_rng(2)
    maps = {
        shape.pattern: [rng.normal(0, 0.3, size).astype(np.float32) for size in shape.parts]
        for shape in shapes([4, 6, 5], [DIM] * 3, rank)
    }

    def bundle(name: str, maps: Any, rank: int | None, thin: bool) -> Any:
        spec = {"file": "impute.bin", "rank": rank, "folded": thin}
        fields = tiny.fields(fallback={"ladder": ["hold", "impute"], "impute": spec})
        fields["head"]["linear"] = True
        data = b"".join(part.astype("<f4").tobytes() for parts in maps.values() for part in parts)
        files = {n: c for n, c in {**tiny.files(), **head}.items() if n != "fallback.bin"}
        return bundles.write(tmp_path / name, fields, {**files, "impute.bin": data})

    plain = bundle("p.efb", maps, rank, False)
    thin = folded(Offline(plain), maps)
    assert thin is not None and all(len(parts) == 1 for parts in thin.values())
    one, other = Engine(plain, EXPLAIN), Engine(bundle("f.efb", thin, None, True), EXPLAIN)
    samples = tiny.samples()
    for pattern in maps:
        there = {n: samples[n] for n, on in zip(tiny.dims, pattern, strict=True) if on}
        want, have = one.answer(there), other.answer(there)
        np.testing.assert_allclose(have.outputs["way"], want.outputs["way"], rtol=1e-5, atol=1e-5)
        assert have.as_json()["streams"] == want.as_json()["streams"]
        for name, part in want.attribution["way"].items():
            np.testing.assert_allclose(have.attribution["way"][name], part, rtol=1e-5, atol=1e-5)
    one.answer(samples), other.answer(samples)
    np.testing.assert_allclose(other.what_if("b").outputs["way"], one.what_if("b").outputs["way"], atol=1e-5)


def test_what_is_not_linear_is_not_folded(tmp_path: Path) -> None:
    tiny = Tiny(operator="multconcat")
    assert folded(Offline(tiny.write(tmp_path / "t.efb")), {}) is None
    spec = {"file": "impute.bin", "folded": True}
    fields = tiny.fields(fallback={"ladder": ["hold", "impute"], "impute": spec})
    with pytest.raises(BundleError, match=r"fallback\.impute\.folded: this operator and this head are not linear"):
        bundles.write(tmp_path / "u.efb", fields, {**tiny.files(), "impute.bin": b""})


def test_rows_of_one_recording_leave_nothing_to_choose_by() -> None:
    data = wide_awake()[1]
    with pytest.raises(ExportError, match="all rows are of one recording"):
        halves(Labelled(data.tensors, data.labels, np.zeros(600, np.int64)))
