"""Feature maps are joined cell by cell as vectors are: torch, the portable graph, the engine and the formula agree."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `export` is not installed")
pytest.importorskip("onnxscript", reason="the extra `export` is not installed")

from torch import nn  # noqa: E402

import edgefuse  # noqa: E402
from edgefuse.config import RunConfig  # noqa: E402
from edgefuse.errors import BundleError  # noqa: E402
from edgefuse.operators import OPERATORS  # noqa: E402
from edgefuse.schema import document_of  # noqa: E402
from edgefuse.types import Array  # noqa: E402
from edgefuse_export import ClassOutput, ExportError, FusionModel, Stream, export_bundle  # noqa: E402
from edgefuse_export.gate import torch_answers  # noqa: E402
from edgefuse_export.graphs.early import Early  # noqa: E402
from fusion_truth import kernel_truth  # noqa: E402

GRID = (3, 5)
DIM = 4
DIMS = {"bev": 2, "radar": 3, "map": 1}
MAPPED = [name for name, row in OPERATORS.items() if row.maps and row.backend == "kernel"]
MASKS = list(itertools.product((True, False), repeat=3))


def model_of(operator: str, absent: str = "identity", grid: tuple[int, int] = GRID) -> FusionModel:
    torch.manual_seed(0)
    streams = {name: Stream("vector", nn.Tanh(), d, {"shape": [d, *GRID]}) for name, d in DIMS.items()}
    width = OPERATORS[operator].width(3, DIM)
    pooled = [] if OPERATORS[operator].backend == "graph" else [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    head = nn.Sequential(*pooled, nn.Linear(width, 3))
    policy = "token" if absent == "token" else "identity"
    outputs = [ClassOutput("way", ["l", "r", "s"])]
    return FusionModel(streams, operator, DIM, head, outputs, policy, grid=grid).eval()  # type: ignore[arg-type]


def samples(n: int = 3) -> list[dict[str, Array]]:
    rng = np.random.default_rng(1)
    return [{name: rng.normal(size=(d, *GRID)).astype(np.float32) for name, d in DIMS.items()} for _ in range(n)]


def stacked(given: list[dict[str, Array]]) -> dict[str, Array]:
    return {name: np.stack([sample[name] for sample in given]) for name in DIMS}


@pytest.mark.parametrize("absent", ["identity", "token"])
@pytest.mark.parametrize("operator", MAPPED)
def test_every_cell_is_joined_as_the_formula_says(operator: str, absent: str) -> None:
    model = model_of(operator, absent)
    inputs = {name: torch.from_numpy(tensor) for name, tensor in stacked(samples(7)).items()}
    fused = model.fused(inputs, torch.tensor(MASKS[:-1])).detach().numpy()
    assert fused.shape == (7, OPERATORS[operator].width(3, DIM), *GRID)
    arrays = {name: value.detach().double().numpy() for name, value in model.fusion.named_arrays().items()}
    weights = [(arrays[f"{name}.weight"], arrays[f"{name}.bias"]) for name in DIMS]
    tokens = [None] * 3 if model.fusion.tokens is None else list(model.fusion.tokens.detach().double().numpy())
    for row, (y, x) in itertools.product(range(7), ((0, 0), (2, 4), (1, 3))):
        cell = [np.tanh(inputs[name][row, :, y, x].double().numpy()) for name in DIMS]
        given = [e if on else None for e, on in zip(cell, MASKS[row], strict=True)]
        stand_ins = [None if on else token for on, token in zip(MASKS[row], tokens, strict=True)]
        want = kernel_truth(operator, weights, {}, given, DIM, 1, stand_ins)
        np.testing.assert_allclose(fused[row, :, y, x], want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("operator", MAPPED)
def test_the_engine_joins_maps_for_every_mask_and_reads_no_absent_one(operator: str, tmp_path: Path) -> None:
    model = model_of(operator)
    export_bundle(tmp_path / "maps.efb", model, name="maps", samples=samples())
    engine = edgefuse.load(tmp_path / "maps.efb")
    assert engine.bundle.manifest.fusion.grid == GRID
    given = samples()
    for mask in MASKS[:-1]:
        want = torch_answers(model, stacked(given), mask)["way"]
        for row, sample in enumerate(given):
            present = {name: sample[name] for name, on in zip(DIMS, mask, strict=True) if on}
            clean = engine.answer(present).outputs["way"]
            np.testing.assert_allclose(clean, want[row], rtol=1e-5, atol=1e-5)
            garbage = {name: np.full_like(sample[name], np.nan) for name in DIMS}
            assert engine.answer({**garbage, **present}).outputs["way"].tobytes() == clean.tobytes()


def test_a_mean_stands_in_for_a_map_at_every_cell(tmp_path: Path) -> None:
    model = model_of("sum")
    inputs = {name: torch.from_numpy(tensor) for name, tensor in stacked(samples(4)).items()}
    model.measure_means([inputs])
    assert model.means is not None and model.means.shape == (3, DIM)
    export_bundle(tmp_path / "maps.efb", model, name="maps", samples=samples())
    engine = edgefuse.load(tmp_path / "maps.efb", RunConfig(ladder=("mean",)))
    sample = samples(1)[0]
    have = engine.answer({"bev": sample["bev"]}).outputs["way"]
    projected = model.fusion.project(model.encode({n: t[:1] for n, t in inputs.items()}, torch.ones(1, 3).bool()))
    projected[:, 1:] = model.means[1:, :, None, None]
    want = model.head(projected.sum(1))[0].detach().numpy()
    np.testing.assert_allclose(have, want, rtol=1e-5, atol=1e-5)


def test_early_fusion_reads_maps_and_gives_a_vector(tmp_path: Path) -> None:
    model = model_of("early")
    assert isinstance(model.fusion.module, Early)
    export_bundle(tmp_path / "maps.efb", model, name="maps", samples=samples())
    engine = edgefuse.load(tmp_path / "maps.efb")
    sample = samples(1)[0]
    want = torch_answers(model, stacked([sample]), (True, False, True))["way"][0]
    have = engine.answer({"bev": sample["bev"], "map": sample["map"]}).outputs["way"]
    np.testing.assert_allclose(have, want, rtol=1e-5, atol=1e-5)


def test_a_map_of_another_grid_is_refused_with_the_stream_and_both_shapes(tmp_path: Path) -> None:
    model = model_of("sum", grid=(3, 4))
    with pytest.raises(ExportError, match=r"stream 'bev': the encoder gives \[B, 2, 3, 5\], not \[B, 2, 3, 4\]"):
        export_bundle(tmp_path / "maps.efb", model, name="maps", samples=samples())


def test_a_bundle_whose_grid_differs_is_refused_at_load(tmp_path: Path) -> None:
    export_bundle(tmp_path / "maps.efb", model_of("sum"), name="maps", samples=samples())
    bundle = edgefuse.load(tmp_path / "maps.efb").bundle
    fields = document_of(bundle.manifest, "files")
    fields["fusion"]["grid"] = [3, 6]
    files = {name: bundle[name] for name in bundle.manifest.files}
    edgefuse.bundle.write(tmp_path / "odd.efb", fields, files)
    words = r"head\.onnx: input 'fused' is float32 \[\?, 4, 3, 5\], not float32 \[1, 4, 3, 6\]"
    with pytest.raises(BundleError, match=words):
        edgefuse.load(tmp_path / "odd.efb")
