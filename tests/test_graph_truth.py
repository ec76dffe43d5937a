"""The graph-run operators in torch say what their formulas say in float64, written apart from them, for every mask."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `export` is not installed")

from torch import Tensor, nn  # noqa: E402

from edgefuse_export.graphs import GRAPHS as MODULES  # noqa: E402
from edgefuse_export.graphs.dynamic import Dynamic  # noqa: E402
from graph_cases import CASES, MASKS, SIX, drawn, made  # noqa: E402
from graph_truth import GRAPHS, Vector, graph_truth  # noqa: E402


def parameters(module: nn.Module) -> dict[str, Vector]:
    return {name: value.numpy() for name, value in module.state_dict().items()}


def given(embeddings: list[Tensor], row: int, mask: list[bool]) -> list[Vector | None]:
    return [x[row].numpy() if on else None for x, on in zip(embeddings, mask, strict=True)]


def test_every_module_has_its_truth() -> None:
    assert sorted(GRAPHS) == sorted(MODULES)


@pytest.mark.parametrize("dim", [8, 6])
@pytest.mark.parametrize("case", CASES)
def test_torch_says_what_the_formula_says_for_every_mask(case: str, dim: int) -> None:
    module, embeddings = made(case, dim=dim), drawn(len(MASKS), case)
    fused = module(embeddings, MASKS).detach().numpy()
    for row, mask in enumerate(MASKS.tolist()):
        if any(mask):
            x = given(embeddings, row, mask)
            want = graph_truth(case.removesuffix(" on maps"), parameters(module), x, dim, module.rank)
            np.testing.assert_allclose(fused[row], want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"tfn"}))
def test_torch_says_what_the_formula_says_for_six_streams(name: str) -> None:
    module, embeddings = made(name, SIX, 4, 2), drawn(8, dims=SIX)
    present = torch.rand(8, 6, generator=torch.Generator().manual_seed(2)) < 0.5
    fused = module(embeddings, present).detach().numpy()
    for row, mask in enumerate(present.tolist()):
        if any(mask):
            want = graph_truth(name, parameters(module), given(embeddings, row, mask), 4, 2)
            np.testing.assert_allclose(fused[row], want, rtol=1e-5, atol=1e-6)


def test_branches_and_gate_streams_of_choice() -> None:
    module = Dynamic(
        {"a": 3, "b": 5, "c": 2}, 8, branches=list(map(list, ["ab", "c", "b", "a"])), gate_streams=["c", "b"]
    ).eval()
    embeddings = drawn(len(MASKS))
    fused = module(embeddings, MASKS).detach().numpy()
    for row, mask in enumerate(MASKS.tolist()):
        if any(mask):
            chosen = {"branches": module.branches, "gate_streams": module.gate_streams}
            want = graph_truth("dynamic", parameters(module), given(embeddings, row, mask), 8, 4, **chosen)
            np.testing.assert_allclose(fused[row], want, rtol=1e-5, atol=1e-6)
