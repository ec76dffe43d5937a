"""The truths of residual layers, late fusion and coordination meet identities; every row of the table has a truth."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import numpy as np
import pytest

from fusion_truth import OPERATORS, kernel_truth
from test_fusion_truth import DIM, NO_THETA, SOME, TIGHT, fixed, sample, weights
from truth_parts import Vector, log_softmax, softmax

HERE = Path(__file__).parent

# Name -> width of u, and width of what is fused, in units of D for three streams (two for the operators of two).
WIDTHS = {
    **dict.fromkeys(("sum", "average", "max", "product", "gated", "cnw", "embracenet", "gated_fusion"), (1, 1)),
    **dict.fromkeys(("fc_residual_early", "fc_residual_gated_early", "mlb", "coordinated"), (1, 1)),
    **{f"late_{name}": (1, 1) for name in ("logits", "probabilities", "weighted", "product", "majority")},
    **dict.fromkeys(("concat", "fc_residual_late", "fc_residual_gated_late", "late_stacking"), (1, 3)),
    "multconcat": (1, 4),
    "multconcat_joint": (1, 4),
    "gmu": (2, 1),
    "gmu_n": (4, 1),
    "gated_fusion_n": (2, 1),
    "poe": (2, 2),
    "lmf": (3, 1),
    "mfb": (3, 1),
    "mutan": (3, 1),
}
THETA = {
    "gated": {"join.weight": (3, DIM), "join.bias": (3,)},
    "cnw": {"join.logit": (3, DIM)},
    "embracenet": {"join.logit": (3,)},
    "lmf": {"join.weight": (3,), "join.bias": (DIM,)},
    "fc_residual_late": {"join.weight": (3, DIM, DIM), "join.bias": (3, DIM)},
    "fc_residual_gated_late": {"join.weight": (3, DIM, 2 * DIM), "join.bias": (3, 2 * DIM)},
    "fc_residual_early": {"join.weight": (DIM, DIM), "join.bias": (DIM,)},
    "fc_residual_gated_early": {"join.weight": (DIM, 2 * DIM), "join.bias": (2 * DIM,)},
    "late_weighted": {"join.logit": (3,)},
    "late_product": {"join.log_prior": (DIM,)},
}


def test_every_operator_has_its_width_here() -> None:
    assert sorted(WIDTHS) == sorted(OPERATORS)


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_answers_every_mask_at_its_width(name: str) -> None:
    streams = 2 if name in ("gmu", "gated_fusion") else 3
    inner, outer = WIDTHS[name]
    rng = np.random.default_rng(6)
    theta = {key: rng.normal(size=shape) for key, shape in THETA.get(name, {}).items()}
    for mask in SOME:
        if any(mask[:streams]):
            x = sample(mask[:streams])
            fused = kernel_truth(name, weights(inner * DIM, streams), theta, x, DIM, 3)
            assert fused.shape == (outer * DIM,)
            assert fused.dtype == np.float64
            assert np.isfinite(fused).all()


@pytest.mark.parametrize("name", ["fusion_truth", "graph_truth", "truth_parts"])
def test_the_truth_leans_on_nothing_that_it_judges(name: str) -> None:
    tree = ast.walk(ast.parse((HERE / f"{name}.py").read_text()))
    froms = {node.module for node in tree if isinstance(node, ast.ImportFrom)}
    assert froms <= {"__future__", "collections.abc", "dataclasses", "numpy.typing", "truth_parts"}
    tree = ast.walk(ast.parse((HERE / f"{name}.py").read_text()))
    assert {a.name for node in tree if isinstance(node, ast.Import) for a in node.names} <= {"math", "numpy"}


# Residual layers, by hand: V^T sends the first value to the second place.


V, NOWHERE = np.array([[0.0, 1.0], [0.0, 0.0]]), np.zeros((2, 2))


def test_a_residual_layer_adds_what_the_transposed_weights_make() -> None:
    u = [[3.0, 5.0], [2.0, 1.0]]
    both = {"weight": np.array([V, V]), "bias": np.array([[0.0, 0.0], [-1.0, -1.5]])}
    np.testing.assert_allclose(fixed("fc_residual_late", np.array(u), 2, **both), [3, 8, 2, 1.5])
    early = fixed("fc_residual_early", u, 2, weight=V, bias=np.array([0.25, -1.0]))
    np.testing.assert_allclose(early, [5.25, 6 + 4])


@pytest.mark.parametrize(("gate", "share"), [(-800.0, 0.0), (0.0, 0.5), (math.log(3.0), 0.75), (800.0, 1.0)])
def test_a_gate_scales_what_a_residual_layer_adds(gate: float, share: float) -> None:
    gated = {"weight": np.hstack([V, NOWHERE]), "bias": np.array([0.0, 0.0, gate, gate])}
    np.testing.assert_allclose(fixed("fc_residual_gated_early", [[4.0, 1.0]], 2, **gated), [4, 1 + 4 * share])
    late = {key: value[None] for key, value in gated.items()}
    np.testing.assert_allclose(fixed("fc_residual_gated_late", [[4.0, 1.0]], 2, **late), [4, 1 + 4 * share])


def test_early_sums_before_it_cuts_and_late_cuts_before_it_adds() -> None:
    zero = {"weight": NOWHERE, "bias": np.zeros(2)}
    np.testing.assert_allclose(fixed("fc_residual_early", [[-3.0, 2.0], [1.0, -1.0]], 2, **zero), [0, 1])
    late = {key: np.array([value, value]) for key, value in zero.items()}
    x: list[Vector | None] = [np.array([-3.0, 2.0]), np.array([1.0, -1.0])]
    eye = [(np.eye(2), np.zeros(2))] * 2
    theta = {f"join.{key}": value for key, value in late.items()}
    np.testing.assert_allclose(kernel_truth("fc_residual_late", eye, theta, x, 2), [0, 2, 1, 0])


# Late fusion.


def test_a_product_of_posteriors_over_priors_is_bayes() -> None:
    rng = np.random.default_rng(7)
    prior, likelihoods = rng.dirichlet(np.ones(5)), rng.uniform(0.1, 1.0, (3, 5))
    logits = np.log(prior * likelihoods) + rng.normal(size=(3, 1))  # a softmax does not see the constant
    posterior = prior * likelihoods.prod(0)
    fused = fixed("late_product", logits, 5, log_prior=np.log(prior))
    np.testing.assert_allclose(fused, np.log(posterior / posterior.sum()), **TIGHT)


def test_a_product_of_one_stream_is_its_log_softmax_whatever_the_prior() -> None:
    u = np.array([1.0, -2.0, 0.5])
    for prior in (np.full(3, -math.log(3.0)), np.array([-0.1, -3.0, -4.0])):
        np.testing.assert_allclose(fixed("late_product", [u], 3, log_prior=prior), log_softmax(u), **TIGHT)


def test_no_stream_can_rule_a_class_out() -> None:
    uniform = np.full(2, -math.log(2.0))
    fused = fixed("late_product", [[0.0, -1e4], [-5.0, 40.0]], 2, log_prior=uniform)
    np.testing.assert_allclose(fused[0], fused[1])  # each was ruled out by one stream
    for name, theta in (("late_probabilities", {}), ("late_weighted", {"logit": np.zeros(1)})):
        np.testing.assert_allclose(fixed(name, [[0.0, -1e4]], 2, **theta), [0.0, math.log(1e-12)])


@pytest.mark.parametrize("mask", SOME)
def test_probabilities_are_averaged_over_who_is_there(mask: tuple[bool, ...]) -> None:
    u, x = weights(DIM), sample(mask)
    blocks = kernel_truth("late_stacking", u, NO_THETA, x, DIM).reshape(3, DIM)
    np.testing.assert_allclose(blocks.sum(1), mask, **TIGHT)
    mean = blocks.sum(0) / sum(mask)
    np.testing.assert_allclose(np.exp(kernel_truth("late_probabilities", u, NO_THETA, x, DIM)), mean, **TIGHT)
    alike = kernel_truth("late_weighted", u, {"join.logit": np.full(3, 5.0)}, x, DIM)
    np.testing.assert_allclose(np.exp(alike), mean, **TIGHT)
    logits = np.log(blocks[list(mask)]).mean(0)
    np.testing.assert_allclose(log_softmax(kernel_truth("late_logits", u, NO_THETA, x, DIM)), log_softmax(logits))


def test_votes_go_to_the_lowest_of_equals_and_ties_to_the_likelier() -> None:
    rows = [[2.0, 2.0, 0.0], [0.0, 3.0, 3.0]]  # ties within each stream: votes for 0 and for 1
    fused = fixed("late_majority", rows, 3)
    q = (softmax(rows[0]) + softmax(rows[1])) / 2
    np.testing.assert_allclose(fused, [1 + q[0] / 2, 1 + q[1] / 2, q[2] / 2])
    assert fused.argmax() == 1
    many = fixed("late_majority", [[0.1, 0.0], [0.1, 0.0], [0.0, 100.0]], 2)
    assert many.argmax() == 0  # two hesitant votes outweigh a certain one


def test_a_coordinated_mean_knows_directions_only() -> None:
    fused = fixed("coordinated", [[3.0, 0.0], [0.0, 0.01]], 2)
    np.testing.assert_allclose(fused, np.sqrt([0.5, 0.5]))
    np.testing.assert_array_equal(fixed("coordinated", [[3.0, 0.0], [-7.0, 0.0]], 2), [0.0, 0.0])
    np.testing.assert_array_equal(fixed("coordinated", [[0.0, 0.0], [0.0, 2.0]], 2), [0.0, 1.0])
