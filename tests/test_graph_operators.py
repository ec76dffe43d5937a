"""The operators that run as graphs say what their formulas say, from what is present, in torch and in ONNX Runtime."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `export` is not installed")
pytest.importorskip("onnxscript", reason="the extra `export` is not installed")

import onnx  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from edgefuse_export import ExportError  # noqa: E402
from edgefuse_export.graphs import GRAPHS  # noqa: E402
from graph_cases import CASES, GRID, MASKS, SIX, THREE, drawn, made, traced  # noqa: E402
from graph_formulas import FORMULAS  # noqa: E402
from test_export_onnx import session  # noqa: E402

SOME_OF_SIX = torch.rand(12, 6, generator=torch.Generator().manual_seed(5)) < 0.6
SIZES = {"three streams": (THREE, 8, MASKS), "six streams": (SIX, 4, SOME_OF_SIX)}
GARBAGE = (math.nan, math.inf, -3e38)


def spoilt(embeddings: list[Tensor], present: Tensor, value: float) -> list[Tensor]:
    """The embeddings with `value` in all rows where the stream is absent."""
    copies = [x.clone() for x in embeddings]
    for x, column in zip(copies, present.unbind(1), strict=True):
        x[~column] = value
    return copies


def fused_and_gradients(module: nn.Module, embeddings: list[Tensor], present: Tensor) -> list[Tensor]:
    module.zero_grad()
    given = [x.clone().requires_grad_() for x in embeddings]
    fused = module(given, present)
    fused.square().sum().backward()
    leaves = [*given, *module.parameters()]
    return [fused.detach(), *(torch.zeros_like(p) if p.grad is None else p.grad for p in leaves)]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("case", CASES)
def test_garbage_in_absent_streams_changes_no_bit_of_outputs_and_gradients(
    case: str, size: str, training: bool
) -> None:
    dims, dim, present = SIZES[size]
    module, clean = made(case, dims, dim).train(training), drawn(len(present), case, dims)
    before = fused_and_gradients(module, clean, present)
    assert before[0].shape == (len(present), module.width)
    assert all(torch.isfinite(value).all() for value in before)
    for value in GARBAGE:
        after = fused_and_gradients(module, spoilt(clean, present, value), present)
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("case", CASES)
def test_a_row_without_any_stream_is_finite(case: str) -> None:
    embeddings = [torch.full_like(x, math.nan) for x in drawn(2, case)]
    assert torch.isfinite(made(case)(embeddings, torch.zeros(2, 3, dtype=torch.bool))).all()


@pytest.mark.parametrize("case", CASES)
def test_every_present_stream_matters(case: str) -> None:
    # In evaluation a dynamic operator may rest on one of its branches alone; in training it mixes them.
    module, embeddings = made(case).train(case == "dynamic"), drawn(1, case)
    present = torch.tensor([[True, True, False]])
    plain = module(embeddings, present)
    for i in (0, 1):
        moved = [x + (i == j) for j, x in enumerate(embeddings)]
        assert not torch.allclose(module(moved, present), plain)


@pytest.mark.parametrize("case", CASES)
def test_rows_do_not_know_of_each_other(case: str) -> None:
    # In double precision, where the rounding of another order of sums is far below any real difference.
    module, embeddings = made(case).double(), [x.double() for x in drawn(len(MASKS), case)]
    together = module(embeddings, MASKS)
    for row in range(len(MASKS)):
        alone = module([x[row : row + 1] for x in embeddings], MASKS[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_one_stream_is_enough_to_make_an_operator(case: str) -> None:
    module, embeddings = made(case, {"a": 3}), drawn(2, case, {"a": 3})
    fused = module(embeddings, torch.tensor([[True], [False]]))
    assert fused.shape == (2, module.width)
    assert torch.isfinite(fused).all()


@pytest.mark.parametrize("dim", [8, 6])
@pytest.mark.parametrize("case", CASES)
def test_a_full_mask_gives_the_formula(case: str, dim: int) -> None:
    module, embeddings = made(case, dim=dim).double(), [x.double() for x in drawn(16, case)]
    fused = module(embeddings, torch.ones(16, 3, dtype=torch.bool))
    torch.testing.assert_close(fused, FORMULAS[case](module, embeddings), rtol=1e-10, atol=1e-11)


ORDER = (2, 0, 1)
PERMUTED = {  # the fused vector after its streams were put into another order
    "attention_pooling": lambda fused: fused,
    "bottleneck": lambda fused: fused,
    "cross_attention": lambda fused: fused.view(-1, 3, 8)[:, ORDER].flatten(1),
    "shaspec": lambda fused: fused.view(-1, 3, 8)[:, ORDER].flatten(1),
    "tfn": lambda fused: fused.view(-1, 9, 9, 9).permute(0, *(1 + i for i in ORDER)).flatten(1),
}


@pytest.mark.parametrize("name", PERMUTED)
def test_the_order_of_streams_moves_blocks_and_nothing_else(name: str) -> None:
    module, embeddings = made(name), drawn(len(MASKS))
    other = copy.deepcopy(module)
    for child in (*other.children(), *getattr(other, "layers", ())):
        if isinstance(child, nn.ModuleList) and len(child) == 3:
            child._modules.update(zip("012", [child[i] for i in ORDER], strict=True))
    moved = other([embeddings[i] for i in ORDER], MASKS[:, ORDER])
    torch.testing.assert_close(moved, PERMUTED[name](module(embeddings, MASKS)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_one_graph_serves_all_masks_in_onnx_runtime(case: str) -> None:
    module, embeddings = made(case), drawn(len(MASKS), case)
    content = traced(module, embeddings, MASKS, list(THREE))
    proto = onnx.load_from_string(content)
    assert {node.domain for node in proto.graph.node} == {""}
    assert [(o.domain, o.version) for o in proto.opset_import if not o.domain] == [("", 18)]
    running = session(content)
    answers = []
    for value in (None, *GARBAGE):
        given = embeddings if value is None else spoilt(embeddings, MASKS, value)
        inputs = dict(zip((*THREE, "present"), (*given, MASKS), strict=True))
        answers.append(running.run(["fused"], {name: x.numpy() for name, x in inputs.items()})[0])
    np.testing.assert_allclose(answers[0], module(embeddings, MASKS).detach(), rtol=1e-5, atol=1e-6)
    assert len({answer.tobytes() for answer in answers}) == 1


REFUSED: dict[str, Callable[[], object]] = {
    r"'tfn': 4 streams at dim 16 make \(16 \+ 1\)\^4 = 83521 values, above the limit of 65536": lambda: GRAPHS["tfn"](
        dict.fromkeys("abcd", 2), 16
    ),
    "'bottleneck': dim 0, rank 4": lambda: GRAPHS["bottleneck"](THREE, 0),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_joined_is_refused_in_words(words: str) -> None:
    with pytest.raises(ExportError, match=words):
        REFUSED[words]()


@pytest.mark.parametrize("name", sorted(set(GRAPHS) - {"early"}))
def test_maps_are_refused_by_name(name: str) -> None:
    with pytest.raises(ExportError, match=f"'{name}' joins vectors, not maps on a grid of 4 x 5"):
        GRAPHS[name](THREE, 8, grid=GRID)


def test_the_widest_tensor_product_is_allowed() -> None:
    assert GRAPHS["tfn"](dict.fromkeys("abcd", 2), 15).width == 65536
