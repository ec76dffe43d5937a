"""The dynamic operator picks by row among the branches that can answer, learns what they cost, and comes apart."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `export` is not installed")
pytest.importorskip("onnxscript", reason="the extra `export` is not installed")

from edgefuse_export import ExportError  # noqa: E402
from edgefuse_export.graphs.dynamic import Dynamic  # noqa: E402
from graph_cases import MASKS, THREE, drawn, made, traced  # noqa: E402
from test_export_onnx import session  # noqa: E402


def gated(*values: float) -> Dynamic:
    """An operator of the branches ab, b, c and abc whose gate gives `values`, whatever it sees."""
    module = Dynamic(THREE, 8, branches=list(map(list, ["ab", "b", "c", "abc"])))
    module.gate.out.weight.data.zero_()
    module.gate.out.bias.data.copy_(torch.tensor(values))
    return module.eval()


@pytest.mark.parametrize(
    "values", [*itertools.permutations((3.0, 1.0, 1.0, -math.inf)), (-math.inf,) * 4, (9.0, 9.0, 9.0, math.inf)]
)
def test_of_each_row_the_first_best_branch_that_can_answer_wins(values: tuple[float, ...]) -> None:
    module, embeddings = gated(*values), drawn(len(MASKS))
    fused = module(embeddings, MASKS)
    for row, mask in enumerate(MASKS.tolist()):
        can = [k for k, branch in enumerate(((0, 1), (1,), (2,), (0, 1, 2))) if all(mask[i] for i in branch)]
        best = max(can, key=lambda k: values[k], default=None)  # max keeps the first of equals
        want = module.rest(embeddings, MASKS) if best is None else module.expert(best, embeddings, MASKS)
        assert torch.equal(fused[row], want[row])


def test_training_mixes_the_experts_that_can_answer_by_their_probability() -> None:
    module, embeddings = gated(0.0, 2.0, 1.0, 5.0).train(), drawn(len(MASKS))
    module.tau = 2.0
    fused = module(embeddings, MASKS)
    row = MASKS.tolist().index([False, True, True])  # branches b and c
    share = 1 / (1 + math.exp(-0.5))
    want = share * module.expert(1, embeddings, MASKS) + (1 - share) * module.expert(2, embeddings, MASKS)
    torch.testing.assert_close(fused[row], want[row])
    torch.testing.assert_close(fused[-1], module.rest(embeddings, MASKS)[-1])


def test_the_cost_is_the_expected_share_of_streams() -> None:
    module, embeddings = gated(0.0, 0.0, 0.0, 0.0).train(), drawn(3)
    module(embeddings, torch.tensor([[True, True, True], [False, True, True], [False, False, False]]))
    rows = [(2 + 1 + 1 + 3) / 3 / 4, (1 + 1) / 3 / 2, 0.0]  # expected streams of three, by row
    assert module.cost_loss().item() == pytest.approx(sum(rows) / 3 / 4)


def test_the_cost_reaches_the_gate_and_outlives_no_mode() -> None:
    module = made("dynamic").train()
    module(drawn(8), MASKS)
    module.cost_loss().backward()
    assert module.gate.hidden.weight.grad.any()
    copy.deepcopy(module.eval())
    with pytest.raises(ExportError, match="cost_loss needs a forward in training mode"):
        module.cost_loss()


def test_branches_and_gate_streams_are_indices_in_the_models_order() -> None:
    module = Dynamic(THREE, 8)
    assert (module.branches, module.gate_streams) == (((0,), (1,), (2,), (0, 1, 2)), (0,))
    module = Dynamic(THREE, 8, branches=[["c", "a"], ["b"]], gate_streams=["c", "b"])
    assert (module.branches, module.gate_streams) == (((0, 2), (1,)), (1, 2))
    assert Dynamic({"a": 3}, 8).branches == ((0,),)


def test_gate_experts_and_rest_are_graphs_of_their_own_streams() -> None:
    module, (a, b, c) = (
        Dynamic(THREE, 8, branches=list(map(list, ["ca", "b"])), gate_streams=["c", "b"]).eval(),
        drawn(8),
    )
    assert torch.equal(module.expert(0, [a, b, c], MASKS), module.experts[0]([a, c], MASKS))
    parts = {"bc": module.gate, "ac": module.experts[0], "abc": module.rest}
    for names, part in parts.items():
        given = [dict(zip("abc", (a, b, c), strict=True))[name] for name in names]
        running = session(traced(part, given, MASKS, names))
        inputs = {name: x.numpy() for name, x in zip((*names, "present"), (*given, MASKS), strict=True)}
        want = part(given, MASKS).detach()
        np.testing.assert_allclose(running.run(["fused"], inputs)[0], want, rtol=1e-5, atol=1e-6)


REFUSED: dict[str, Callable[[], object]] = {
    "'dynamic': no stream 'sonar'; the model has a, b, c": lambda: Dynamic(THREE, 8, branches=[["a", "sonar"]]),
    "'dynamic': no stream 'radar'": lambda: Dynamic(THREE, 8, gate_streams=["radar"]),
    "'dynamic': a branch, and the gate, needs at least one stream": lambda: Dynamic(THREE, 8, branches=[[]]),
    "at least one branch": lambda: Dynamic(THREE, 8, branches=[]),
    "a list of streams, not 'ab'": lambda: Dynamic(THREE, 8, branches=["ab"]),
    "none of them twice": lambda: Dynamic(THREE, 8, branches=list(map(list, ["ab", "ba"]))),
}


@pytest.mark.parametrize("words", REFUSED)
def test_branches_that_make_no_sense_are_refused_in_words(words: str) -> None:
    with pytest.raises(ExportError, match=words):
        REFUSED[words]()


def test_a_module_can_be_copied_in_the_middle_of_training() -> None:
    module = Dynamic(THREE, 8).train()
    module([torch.ones(4, d) for d in THREE.values()], torch.ones(4, 3, dtype=torch.bool))
    twin = copy.deepcopy(module)
    assert torch.equal(twin.gate.out.weight, module.gate.out.weight)
    with pytest.raises(ExportError, match="needs a forward in training mode"):
        twin.cost_loss()
