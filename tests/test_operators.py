"""Every operator, every mask: torch, the portable graph, the engine and a float64 truth give the same fused vector."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `export` is not installed")
pytest.importorskip("onnxscript", reason="the extra `export` is not installed")

from edgefuse.fuse import fusion_of  # noqa: E402
from edgefuse.fusion_base import Fusion as EngineFusion  # noqa: E402
from edgefuse.operators import OPERATORS  # noqa: E402
from edgefuse.reference import PRESENT, SUBSTITUTED  # noqa: E402
from edgefuse.session import Session  # noqa: E402
from edgefuse.types import Array  # noqa: E402
from edgefuse_export.fusion import Absent, Fusion  # noqa: E402
from edgefuse_export.graphs import GRAPHS, GraphOperator  # noqa: E402
from edgefuse_export.trace import traced  # noqa: E402
from fusion_truth import kernel_truth  # noqa: E402
from graph_truth import graph_truth  # noqa: E402
from tiny import DIM, KERNEL_OPERATORS, Tiny, dims_for  # noqa: E402

STREAMS = 6
NEAR = {"rtol": 2e-5, "atol": 2e-6}


def masks_of(operator: str) -> list[tuple[bool, ...]]:
    """Every non-empty mask of six streams, or of as many as the operator joins."""
    n = len(dims_for(operator, STREAMS))
    return [mask for mask in itertools.product((True, False), repeat=n) if any(mask)]


def torch_fusion(operator: str, absent: str) -> Fusion:
    """The operator with all of its parameters drawn, those too that start as zeros."""
    torch.manual_seed(4)
    dims = {name: d + 1 for name, d in dims_for(operator, STREAMS).items()}  # as Tiny's encoders make them
    policy: Absent = "token" if absent == "token" else "identity"
    fusion = Fusion(operator, dims, DIM, policy, OPERATORS[operator].default_rank)
    with torch.no_grad():
        for name, value in fusion.named_arrays().items():
            if name.startswith("join."):
                value.copy_(0.5 * torch.randn(value.shape))
    return fusion.eval()


def embeddings_of(fusion: Fusion | GraphOperator, rows: int) -> dict[str, Array]:
    rng = np.random.default_rng(8)
    return {name: rng.normal(size=(rows, d)).astype(np.float32) for name, d in fusion.dims.items()}


def truth_of(fusion: Fusion, embeddings: dict[str, Array], masks: list[tuple[bool, ...]]) -> Array:
    """Row r of the embeddings with mask r, each row by itself in float64."""
    arrays = {name: value.detach().double().numpy() for name, value in fusion.named_arrays().items()}
    weights = [(arrays[f"{name}.weight"], arrays[f"{name}.bias"]) for name in fusion.dims]
    theta = {name: value for name, value in arrays.items() if name.startswith("join.")}
    tokens = [None] * len(weights) if fusion.tokens is None else list(fusion.tokens.detach().double().numpy())
    rows = []
    for r, mask in enumerate(masks):
        x = [e[r].astype(np.float64) if on else None for e, on in zip(embeddings.values(), mask, strict=True)]
        stand_ins = [None if on else token for on, token in zip(mask, tokens, strict=True)]
        rows.append(kernel_truth(fusion.operator.name, weights, theta, x, DIM, fusion.rank, stand_ins))
    return np.stack(rows)


def poisoned(embeddings: dict[str, Array], masks: list[tuple[bool, ...]], worst: float) -> dict[str, Array]:
    """The same embeddings with garbage wherever a stream is absent."""
    columns = zip(embeddings.items(), np.array(masks).T, strict=True)
    return {name: np.where(on[:, None], e, np.float32(worst)) for (name, e), on in columns}


def ask_engine(fusion: EngineFusion, embeddings: dict[str, Array], masks: Any, tokens: Array | None) -> Array:
    answers = []
    for r, mask in enumerate(masks):
        for view, e in zip(fusion.embeddings, embeddings.values(), strict=True):
            view[:] = e[r]
        fusion.select[:] = np.where(mask, PRESENT, 0 if tokens is None else SUBSTITUTED)
        for i, on in enumerate(mask):
            fusion.stand_ins[i][:] = np.nan if tokens is None or on else tokens[i]
        fusion.run()
        answers.append(fusion.fused.copy())
    return np.stack(answers)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("operators")


@pytest.mark.parametrize("absent", ["identity", "token"])
@pytest.mark.parametrize("operator", KERNEL_OPERATORS)
def test_torch_and_the_engine_give_the_formula_for_every_mask(operator: str, absent: str, folder: Path) -> None:
    fusion, masks = torch_fusion(operator, absent), masks_of(operator)
    embeddings = embeddings_of(fusion, len(masks))
    want = truth_of(fusion, embeddings, masks)
    have = fusion([torch.from_numpy(e) for e in embeddings.values()], torch.tensor(masks)).detach().numpy()
    np.testing.assert_allclose(have, want, **NEAR)

    tiny = Tiny(dims_for(operator, STREAMS), operator)
    tiny.parameters = {name: value.detach().numpy() for name, value in fusion.named_arrays().items()}
    engine = fusion_of(tiny.write(folder / "t.efb"))
    tokens = None if fusion.tokens is None else fusion.tokens.detach().numpy()
    clean = ask_engine(engine, embeddings, masks, tokens)
    np.testing.assert_allclose(clean, want, **NEAR)
    for worst in (np.nan, np.inf, -3e38):
        assert ask_engine(engine, poisoned(embeddings, masks, worst), masks, tokens).tobytes() == clean.tobytes()


@pytest.mark.parametrize("absent", ["identity", "token"])
@pytest.mark.parametrize("operator", KERNEL_OPERATORS)
def test_one_graph_serves_all_masks_row_by_row(operator: str, absent: str) -> None:
    fusion, masks = torch_fusion(operator, absent), masks_of(operator)
    embeddings = embeddings_of(fusion, len(masks))
    graph = session_of(fusion)
    inputs = {**embeddings, "present": np.array(masks)}
    clean = graph.compute(inputs)["fused"]
    np.testing.assert_allclose(clean, truth_of(fusion, embeddings, masks), **NEAR)
    for worst in (np.nan, np.inf, -3e38):
        garbage = poisoned(embeddings, masks, worst)
        assert graph.compute({**inputs, **garbage})["fused"].tobytes() == clean.tobytes()


@pytest.mark.parametrize("operator", GRAPHS)
def test_a_graph_gives_the_formula_for_every_mask_and_serves_them_all(operator: str) -> None:
    torch.manual_seed(4)
    dim, dims = (3 if operator == "tfn" else DIM), {name: d + 1 for name, d in dims_for(operator, STREAMS).items()}
    fusion, masks = GRAPHS[operator](dims, dim, 4).eval(), masks_of(operator)
    with torch.no_grad():
        for parameter in fusion.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape))
    embeddings = embeddings_of(fusion, len(masks))
    state = {name: value.double().numpy() for name, value in fusion.state_dict().items()}
    rows = [
        [e[r] if on else None for e, on in zip(embeddings.values(), mask, strict=True)] for r, mask in enumerate(masks)
    ]
    want = np.stack([graph_truth(operator, state, row, dim, 4) for row in rows])
    have = fusion([torch.from_numpy(e) for e in embeddings.values()], torch.tensor(masks)).detach().numpy()
    np.testing.assert_allclose(have, want, **NEAR)
    graph, inputs = session_of(fusion), {**embeddings, "present": np.array(masks)}
    clean = graph.compute(inputs)["fused"]
    np.testing.assert_allclose(clean, want, **NEAR)
    for worst in (np.nan, np.inf, -3e38):
        assert graph.compute({**inputs, **poisoned(embeddings, masks, worst)})["fused"].tobytes() == clean.tobytes()


class _Named(torch.nn.Module):
    def __init__(self, fusion: Fusion | GraphOperator) -> None:
        super().__init__()
        self.fusion = fusion

    def forward(self, *inputs: Any) -> Any:
        return self.fusion(inputs[:-1], inputs[-1])


def session_of(fusion: Fusion | GraphOperator) -> Session:
    inputs = {name: torch.zeros(2, d) for name, d in fusion.dims.items()}
    inputs["present"] = torch.ones(2, len(inputs), dtype=torch.bool)
    return Session(traced(_Named(fusion), inputs, ["fused"], "fusion").SerializeToString(), "fusion")


@pytest.mark.parametrize("operator", KERNEL_OPERATORS)
def test_parameters_are_those_of_the_table_in_its_order(operator: str) -> None:
    row, fusion = OPERATORS[operator], torch_fusion(operator, "identity")
    table = row.parameters(fusion.dims, DIM, row.default_rank)
    assert [(n, tuple(p.shape)) for n, p in fusion.named_arrays().items()] == list(table.items())
    assert row.weights(fusion.dims, DIM, row.default_rank) == sum(p.numel() for p in fusion.named_arrays().values())


@pytest.mark.parametrize("operator", [o for o in KERNEL_OPERATORS if o not in ("gated_fusion", "gmu")])
def test_the_order_of_the_streams_is_no_meaning_of_its_own(operator: str) -> None:
    dims, back = {"a": 3, "b": 5, "c": 4}, [2, 0, 1]
    row = OPERATORS[operator]
    one, other = (
        Fusion(operator, {n: dims[n] for n in order}, DIM, rank=row.default_rank).eval()
        for order in (list(dims), [list(dims)[i] for i in back])
    )
    with torch.no_grad():
        for name, value in other.named_arrays().items():
            value.copy_(_reordered(one.named_arrays()[name], name, operator, back))
    x = [torch.randn(8, d) for d in dims.values()]
    masks = torch.tensor(list(itertools.product((True, False), repeat=3)))
    want, have = one(x, masks), other([x[i] for i in back], masks[:, back])
    blocks = row.width(3, DIM, row.default_rank) // DIM
    if blocks >= 3:  # a block a stream, and what follows
        order = [*back, *range(3, blocks)]
        want = want.reshape(8, blocks, DIM)[:, order].flatten(1)
    torch.testing.assert_close(have, want, rtol=1e-5, atol=1e-6)


def _reordered(value: Any, name: str, operator: str, back: list[int]) -> Any:
    """A parameter of the join belongs to streams by its first axis; GMU's gate blocks to streams by their columns."""
    if operator == "gmu_n":
        head, gates = value[..., :DIM], value[..., DIM:].unflatten(-1, (3, DIM))
        return torch.cat([head, gates[..., back, :].flatten(-2)], dim=-1)
    return value[back] if name.startswith("join.") and value.shape[0] == 3 else value


@pytest.mark.parametrize("operator", ["product", "mlb", "lmf", "mfb", "mutan"])
def test_products_of_six_streams_begin_alive(operator: str) -> None:
    torch.manual_seed(0)
    dims = dict.fromkeys("abcdef", 64)
    fusion = Fusion(operator, dims, 32, rank=OPERATORS[operator].default_rank)
    fused = fusion([torch.randn(200, 64) for _ in dims], torch.ones(200, 6, dtype=torch.bool))
    assert 0.05 < float(fused.detach().std()) < 20
    fused.square().sum().backward()
    reached = [float((p.weight.grad != 0).float().mean()) for p in fusion.projections]
    assert min(reached) > 0.5
