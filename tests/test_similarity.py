"""Retrieval: one space for all sensors, known places as entries, and the nearest of them in every result."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `export` is not installed")
pytest.importorskip("onnxscript", reason="the extra `export` is not installed")

from torch import nn  # noqa: E402

import edgefuse  # noqa: E402
from edgefuse_export import (  # noqa: E402
    ExportError,
    FusionModel,
    SimilarityHead,
    SimilarityOutput,
    Stream,
    contrastive_loss,
    export_bundle,
)
from edgefuse_export.similarity import KERNELS  # noqa: E402

PLACES = [f"place {k}" for k in range(12)]
DIMS = {"eye": 9, "ear": 7}


def truth(kernel: str, z: np.ndarray, entries: np.ndarray, scale: float) -> np.ndarray:
    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.sqrt((a @ a) * (b @ b)))

    def one(a: np.ndarray, b: np.ndarray) -> float:
        table = {
            "cosine": lambda: cosine(a, b),
            "dot": lambda: float(a @ b),
            "rbf": lambda: float(np.exp(-((a - b) ** 2).sum() / (2 * scale**2))),
            "polynomial": lambda: float((a @ b + 1) ** scale),
            "clip": lambda: scale * cosine(a, b),
        }
        return table[kernel]()

    return np.array([[one(a, b) for b in entries] for a in z])


@pytest.mark.parametrize("kernel", sorted(KERNELS))
def test_every_similarity_is_its_formula(kernel: str) -> None:
    rng = np.random.default_rng(0)
    z, entries = rng.normal(size=(4, 6)), rng.normal(size=(5, 6))
    head = SimilarityHead(torch.tensor(entries, dtype=torch.float32), kernel)
    have = head(torch.tensor(z, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(have, truth(kernel, z, entries, head.scale), rtol=2e-5, atol=1e-5)


def test_nothing_at_all_is_similar_to_nothing_and_stays_finite() -> None:
    head = SimilarityHead(torch.randn(3, 4))
    assert head(torch.zeros(2, 4)).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((torch.zeros(3), "cosine"), r"must be finite \[M, D\], not \[3\]"),
        ((torch.full((2, 2), float("nan")), "cosine"), r"must be finite \[M, D\]"),
        ((torch.zeros(2, 2), "manhattan"), "unknown similarity 'manhattan'; known: cosine"),
        ((torch.zeros(2, 2), "polynomial", 2.5), "degree of a polynomial similarity must be whole, not 2.5"),
        ((torch.zeros(2, 2), "rbf", -1.0), "scale of similarity 'rbf' must be positive"),
    ],
)
def test_entries_that_cannot_be_compared_with_are_refused(arguments: tuple[object, ...], words: str) -> None:
    with pytest.raises(ExportError, match=words):
        SimilarityHead(*arguments)  # type: ignore[arg-type]


def test_the_contrastive_loss_is_the_mean_of_both_cross_entropies() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 5, 3))
    logits = truth("cosine", a, b, 1.0) / 0.07
    rows = [-np.log(np.exp(logits[i, i]) / np.exp(logits[i]).sum()) for i in range(5)]
    columns = [-np.log(np.exp(logits[i, i]) / np.exp(logits[:, i]).sum()) for i in range(5)]
    have = contrastive_loss(torch.tensor(a), torch.tensor(b))
    assert float(have) == pytest.approx((np.mean(rows) + np.mean(columns)) / 2, rel=1e-9)


def views(places: np.ndarray, noise: float, seed: int) -> dict[str, torch.Tensor]:
    """What two sensors that have nothing in common but the place see of it."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(5)
    mixes = {name: fixed.normal(size=(4, d)) for name, d in DIMS.items()}
    return {
        name: torch.tensor(
            np.tanh(places @ mix) + noise * rng.normal(size=(len(places), mix.shape[1])), dtype=torch.float32
        )
        for name, mix in mixes.items()
    }


@pytest.fixture(scope="module")
def known() -> tuple[FusionModel, np.ndarray]:
    """Two sensors brought into one space by contrast, and places known through the first of them only."""
    torch.manual_seed(0)
    streams = {
        name: Stream("vector", nn.Sequential(nn.Linear(d, 24), nn.ReLU()), 24, {"shape": [d]})
        for name, d in DIMS.items()
    }
    outputs = [SimilarityOutput("place", PLACES, top_k=3)]
    model = FusionModel(streams, "coordinated", 8, SimilarityHead(torch.zeros(len(PLACES), 8)), outputs).train()
    optimiser, rng = torch.optim.Adam(model.parameters(), 3e-3), np.random.default_rng(2)
    for step in range(300):
        given = views(rng.normal(size=(64, 4)), 0.1, step)
        loss = contrastive_loss(*(model.fused({name: given[name]}) for name in DIMS))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    places = np.random.default_rng(3).normal(size=(len(PLACES), 4))
    with torch.no_grad():
        model.head.entries.copy_(model.eval().fused({"eye": views(places, 0.0, 0)["eye"]}))
    return model, places


def exported(known: tuple[FusionModel, np.ndarray], folder: Path) -> edgefuse.Engine:
    model, places = known
    given = views(places, 0.05, 7)
    samples = [{name: tensor[k].numpy() for name, tensor in given.items()} for k in range(4)]
    export_bundle(folder / "places.efb", model, name="places", samples=samples)
    return edgefuse.load(folder / "places.efb")


def test_a_place_learned_by_one_sensor_is_found_by_the_other(
    known: tuple[FusionModel, np.ndarray], tmp_path: Path
) -> None:
    engine = exported(known, tmp_path)
    given, found = views(known[1], 0.05, 11), 0
    for k, label in enumerate(PLACES):
        result = engine.answer({"ear": given["ear"][k].numpy()})
        labels = [name for name, _ in result.matches["place"]]
        assert len(labels) == 3
        found += label in labels
    assert found >= 9  # chance is 3 of 12


def test_matches_are_the_nearest_first_and_the_line_holds_them_alone(
    known: tuple[FusionModel, np.ndarray], tmp_path: Path
) -> None:
    engine = exported(known, tmp_path)
    result = engine.answer({"eye": views(known[1], 0.0, 0)["eye"][5].numpy()})
    scores = result.outputs["place"]
    assert [score for _, score in result.matches["place"]] == sorted(map(float, scores), reverse=True)[:3]
    assert result.matches["place"][0][0] == result.labels["place"] == "place 5"
    line = json.loads(json.dumps(result.as_json()))
    assert "place" not in line["outputs"]
    assert [match["label"] for match in line["matches"]["place"]] == [label for label, _ in result.matches["place"]]


def test_a_blind_answer_is_like_no_entry(known: tuple[FusionModel, np.ndarray], tmp_path: Path) -> None:
    result = exported(known, tmp_path).answer({})
    assert (result.mode, result.labels, dict(result.matches)) == ("blind", {}, {"place": []})
    assert result.as_json()["matches"] == {"place": []}
