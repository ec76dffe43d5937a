"""Which patches an answer rests on: sampled Shapley values against exact ones, and the verb on the shipped model."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefuse import explain
from edgefuse.cli import main
from edgefuse.patches import blanked, explain_patches
from edgefuse.sources.site import LABELS
from edgefuse.types import Array

pytest.importorskip("matplotlib", reason="the extra `report` is not installed")

TENSORS = {
    "camera": np.random.default_rng(0).integers(1, 255, (4, 6, 3), dtype=np.uint8),
    "depth": np.random.default_rng(1).integers(1, 9000, (5, 4), dtype=np.uint16),
}


def value(tensors: Mapping[str, Array]) -> float:
    """Sums of parts of the pictures and a product of three of them: not additive, and not of pairs alone."""
    a = float(tensors["camera"][:2].sum()) / 3000.0
    b = float(tensors["depth"][:, :2].sum()) / 60000.0
    c = float(tensors["camera"][2:, 3:].sum()) / 1500.0
    return a + 2.0 * b - 3.0 * a * b * c + float(tensors["camera"].sum()) / 9000.0


def exact(grid: int) -> dict[str, Array]:
    """By the definition, over all coalitions of patches."""
    players = [(name, k) for name in TENSORS for k in range(grid * grid)]
    n = len(players)

    def of(inside: frozenset[Any]) -> float:
        kept = {
            name: np.array([(name, k) in inside for k in range(grid * grid)]).reshape(grid, grid) for name in TENSORS
        }
        return value({name: blanked(tensor, kept[name]) for name, tensor in TENSORS.items()})

    phi = {name: np.zeros(grid * grid) for name in TENSORS}
    for name, k in players:
        others = [p for p in players if p != (name, k)]
        for size in range(n):
            weight = math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n)
            for some in itertools.combinations(others, size):
                inside = frozenset(some)
                phi[name][k] += weight * (of(inside | {(name, k)}) - of(inside))
    return {name: values.reshape(grid, grid) for name, values in phi.items()}


def test_sampled_values_come_to_the_exact_ones() -> None:
    told = explain_patches(TENSORS, value, 2, 1500, np.random.default_rng(0))
    truth = exact(2)
    for name in TENSORS:
        np.testing.assert_allclose(told.phi[name], truth[name], atol=0.04)
    sizes = {name: np.abs(phi).sum() for name, phi in truth.items()}
    assert told.shares["camera"] == pytest.approx(sizes["camera"] / sum(sizes.values()), abs=4 * told.error + 1e-3)


def test_however_few_the_walks_the_parts_sum_to_what_the_pictures_add() -> None:
    told = explain_patches(TENSORS, value, 3, 2, np.random.default_rng(0))
    assert sum(phi.sum() for phi in told.phi.values()) == pytest.approx(told.whole - told.none)
    assert told.whole == value(TENSORS)
    assert told.none == value({name: np.zeros_like(tensor) for name, tensor in TENSORS.items()})
    assert sum(told.shares.values()) == pytest.approx(1.0)


def test_the_error_is_about_what_repeating_shows() -> None:
    shares = [explain_patches(TENSORS, value, 2, 8, np.random.default_rng(k)) for k in range(60)]
    spread = np.std([t.shares["camera"] for t in shares])
    assert 0.5 < np.mean([t.error for t in shares]) / spread < 2.0


def test_a_picture_that_changes_nothing_has_no_share() -> None:
    told = explain_patches(TENSORS, lambda t: float(t["depth"].sum()), 2, 4, np.random.default_rng(0))
    assert told.shares == {"camera": 0.0, "depth": 1.0}
    assert explain_patches(TENSORS, lambda t: 1.0, 2, 2, np.random.default_rng(0)).shares == {
        "camera": 0.5,
        "depth": 0.5,
    }


def test_patches_cover_a_picture_whatever_its_size() -> None:
    kept = np.ones((4, 4), np.bool_)
    kept[0, 3] = False
    out = blanked(np.ones((10, 7)), kept)
    assert (out[:3, 6:] == 0).all() and out[3:].all() and out[:, :6].all()


def test_the_verb_shares_out_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "e.html"
    given = ["explain", "--source", "site:seed=4&duration_s=5", "--moments", "3", "--grid", "2", "--walks", "2"]
    assert main([*given, "--out", str(page), "--json"]) == 0
    out = capsys.readouterr().out
    told = json.loads(out.strip().splitlines()[-1])
    assert told["moments"] == 3 and told["streams"] == ["camera", "depth"]
    assert sum(told["rows"][0]["shares"].values()) == pytest.approx(1.0)
    text = page.read_text()
    assert text.count("<figure>") == 3 and 'src="http' not in text and 'href="http' not in text
    assert main([*given, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.strip().splitlines()[-1]) == told


def test_each_class_has_its_right_and_wrong_moments_and_streams_can_be_left_out_of_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    few = ["--moments", "6", "--every", "3", "--grid", "2", "--walks", "2", "--json"]
    given = ["explain", "--source", "site:seed=4..5&duration_s=10", *few]
    assert main(given) == 0
    whole = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert main([*given, "--without", "lidar,gps"]) == 0
    pair = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    for told in (whole, pair):
        counts = {row["what"]: row["n"] for row in told["rows"]}
        assert counts["all"] == 6 == counts.get("right", 0) + counts.get("wrong", 0)
        classes = [what for what in counts if what in LABELS]
        assert sum(counts[c] for c in classes) == 6
        assert all(counts[c] == counts.get(f"{c}, right", 0) + counts.get(f"{c}, wrong", 0) for c in classes)
    assert pair["rows"] != whole["rows"]


def test_an_interrupt_leaves_the_moments_that_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told_of, page, done = explain._told, tmp_path / "e.html", itertools.count()

    def interrupted(*arguments: Any) -> Any:
        if next(done) == 2:
            raise KeyboardInterrupt
        return told_of(*arguments)

    monkeypatch.setattr(explain, "_told", interrupted)
    given = ["explain", "--source", "site:seed=4&duration_s=5", "--moments", "4", "--grid", "2", "--walks", "2"]
    assert main([*given, "--out", str(page), "--json"]) == 2
    out = capsys.readouterr().out
    told = json.loads(out.splitlines()[-1])
    assert told["moments"] == 2 and told["whole"] is False
    for text in (out, page.read_text()):
        assert "it was stopped after 2 moments" in text


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--walks", "1"], "--walks must be at least 2"),
        (["--without", "radar"], "no stream 'radar' to leave out; it has camera, depth, lidar, gps"),
        (["--streams", "depth", "--without", "depth"], "stream 'depth' has no patches; with patches: camera"),
        (["--streams", "lidar"], "stream 'lidar' has no patches; with patches: camera, depth"),
        (["--output", "mood"], "no class output 'mood' in the bundle; it has action"),
        (["--out", "/no/such/place/e.html"], "e.html"),
    ],
)
def test_what_cannot_be_explained_is_named(more: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--source", "site:seed=4&duration_s=3", "--moments", "1", *more]) == 2
    told = capsys.readouterr().err
    assert words in told and told.count("\n") == 1
