"""The truths of the operators are true: they meet identities that none of their formulas was written from."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from fusion_truth import kernel_truth
from graph_truth import graph_truth
from truth_parts import Vector, softmax

MASKS = list(itertools.product((True, False), repeat=3))
SOME = [mask for mask in MASKS if any(mask)]
DIMS, DIM, RANK = (3, 2, 4), 4, 3
NO_THETA: dict[str, Vector] = {}
TIGHT = {"rtol": 1e-11, "atol": 1e-13}


def weights(width: int, streams: int = 3, seed: int = 0) -> list[tuple[Vector, Vector]]:
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=(d, width)), rng.normal(size=width)) for d in DIMS[:streams]]


def sample(mask: Sequence[bool] = (True, True, True), seed: int = 1) -> list[Vector | None]:
    rng = np.random.default_rng(seed)
    drawn = [rng.normal(size=d) for d in DIMS]
    return [v if on else None for v, on in zip(drawn, mask, strict=False)]


def rows_as_they_are(*rows: Sequence[float]) -> list[tuple[Vector, Vector]]:
    """Weights that make u_i exactly `rows`, whatever x_i of length 1 is 0."""
    return [(np.zeros((1, len(row))), np.array(row, float)) for row in rows]


def zeros(*on: bool) -> list[Vector | None]:
    return [np.zeros(1) if flag else None for flag in on]


def fixed(name: str, rows: Sequence[Sequence[float]], dim: int, rank: int = 1, **theta: NDArray) -> Vector:
    """The operator on given rows u_i, all present."""
    join = {f"join.{key}": value for key, value in theta.items()}
    return kernel_truth(name, rows_as_they_are(*rows), join, zeros(*[True] * len(rows)), dim, rank)


# Low-rank fusion is the contraction of a tensor that is never made.


def full_tensor(u: Sequence[tuple[Vector, Vector]], theta: dict[str, Vector]) -> Vector:
    """The weights [d_1 + 1, d_2 + 1, d_3 + 1, D] whose canonical decomposition has the given factors, 1 first."""
    factors = [np.vstack([bias, weight]).reshape(-1, RANK, DIM) for weight, bias in u]
    return np.einsum("q,aqj,bqj,cqj->abcj", theta["join.weight"], *factors)


@functools.cache
def lmf() -> tuple[list[tuple[Vector, Vector]], dict[str, Vector], Vector]:
    rng = np.random.default_rng(3)
    u, theta = weights(RANK * DIM), {"join.weight": rng.normal(size=RANK), "join.bias": rng.normal(size=DIM)}
    return u, theta, full_tensor(u, theta)


@pytest.mark.parametrize("mask", MASKS)
def test_lmf_is_a_tensor_contraction_without_the_monomials_of_absent_streams(mask: tuple[bool, ...]) -> None:
    u, theta, tensor = lmf()
    want = theta["join.bias"].copy()
    for index in itertools.product(*[range(d + 1) for d in DIMS]):
        if any(k > 0 and not on for k, on in zip(index, mask, strict=True)):
            continue
        factors = [1.0 if k == 0 else v[k - 1] for k, v in zip(index, sample(), strict=True) if v is not None]
        want += tensor[index] * math.prod(factors)
    np.testing.assert_allclose(kernel_truth("lmf", u, theta, sample(mask), DIM, RANK), want, **TIGHT)


def test_an_absent_stream_of_lmf_is_not_a_factor_of_one() -> None:
    u, theta, _ = lmf()
    mask = (True, True, False)
    ones = kernel_truth("lmf", u, theta, sample(mask), DIM, RANK, [None, None, np.ones(RANK * DIM)])
    assert np.abs(ones - kernel_truth("lmf", u, theta, sample(mask), DIM, RANK)).max() > 0.1


@pytest.mark.parametrize("mask", SOME)
def test_lmf_is_what_its_tensor_makes_of_the_tensor_product(mask: tuple[bool, ...]) -> None:
    u, theta, tensor = lmf()
    padded = np.zeros((5, 5, 5, DIM))  # every embedding at length 4, the weights of what it does not have 0
    padded[:4, :3, :5] = tensor
    state = {f"projections.{i}.bias": np.zeros(4) for i in range(3)}
    state |= {f"projections.{i}.weight": np.eye(4, d) for i, d in enumerate(DIMS)}
    want = graph_truth("tfn", state, sample(mask), 4, 1) @ padded.reshape(-1, DIM) + theta["join.bias"]
    np.testing.assert_allclose(kernel_truth("lmf", u, theta, sample(mask), DIM, RANK), want, **TIGHT)


# Gates and weights.


def test_gmu_is_a_softmax_of_two_for_each_channel() -> None:
    u, x = weights(2 * DIM, 2), sample((True, True))
    (v0, g0), (v1, g1) = ((r[:DIM], r[DIM:]) for r in (v @ w + b for (w, b), v in zip(u, x, strict=True)))
    shares = [softmax([logit, 0.0]) for logit in g0 + g1]
    want = [s[0] * math.tanh(a) + s[1] * math.tanh(b) for s, a, b in zip(shares, v0, v1, strict=True)]
    np.testing.assert_allclose(kernel_truth("gmu", u, NO_THETA, x, DIM), want, **TIGHT)


@pytest.mark.parametrize("alone", [0, 1])
def test_alone_a_stream_is_not_gated_in_operators_of_two(alone: int) -> None:
    u, x = weights(2 * DIM, 2), sample((alone == 0, alone == 1))
    (w, b), v = u[alone], x[alone]
    np.testing.assert_allclose(kernel_truth("gmu", u, NO_THETA, x, DIM), np.tanh(v @ w + b)[:DIM], **TIGHT)
    u = weights(DIM, 2)
    want = v @ u[alone][0] + u[alone][1]
    np.testing.assert_allclose(kernel_truth("gated_fusion", u, NO_THETA, x, DIM), want, **TIGHT)


def test_gates_by_hand() -> None:
    half, most = 0.0, math.log(3.0)  # sigma gives 1/2 and 3/4
    np.testing.assert_allclose(fixed("gated_fusion", [[half, most], [8, 4]], 2), [4, 3])
    # v 1, 10, 100, each times the gates of the two others; alone it stays v
    np.testing.assert_allclose(fixed("gated_fusion_n", [[1, half], [10, most], [100, half]], 1), [3 / 8 + 2.5 + 37.5])
    np.testing.assert_allclose(fixed("gated_fusion_n", [[7, half]], 1), [7])
    # gate block i of stream j is u_j[1 + i]: the sums are log 3 and 0
    rows = [[math.atanh(0.8), most, half], [math.atanh(0.5), 0.0, half]]
    np.testing.assert_allclose(fixed("gmu_n", rows, 1), [0.75 * 0.8 + 0.5 * 0.5])


@pytest.mark.parametrize("mask", SOME)
def test_weights_that_are_all_alike_give_the_average(mask: tuple[bool, ...]) -> None:
    u, x = weights(DIM), sample(mask)
    average = kernel_truth("average", u, NO_THETA, x, DIM)
    gate = {"join.weight": np.zeros((3, DIM)), "join.bias": np.full(3, 2.0)}
    np.testing.assert_allclose(kernel_truth("gated", u, gate, x, DIM), average, **TIGHT)
    cnw = kernel_truth("cnw", u, {"join.logit": np.ones((3, DIM))}, x, DIM)
    np.testing.assert_allclose(cnw, average, **TIGHT)


def test_weights_by_hand() -> None:
    rows, logit = [[1.0, 2.0], [5.0, -6.0]], np.array([[0.0, math.log(3)], [math.log(3), 0.0]])
    np.testing.assert_allclose(fixed("cnw", rows, 2, logit=logit), [4.0, 0.0], atol=1e-15)
    gate = {"weight": np.array([[1.0, 0.0], [0.0, 1.0]]), "bias": np.array([0.0, 7.0 + math.log(3)])}
    np.testing.assert_allclose(fixed("gated", rows, 2, **gate), [4.0, -4.0])


def test_embracenet_expects_what_its_draws_give_on_the_mean() -> None:
    u, x, draws = weights(DIM), sample(), 20_000
    logit = np.array([0.3, -0.4, 1.0])
    rows = np.array([np.maximum(v @ w + b, 0.0) for (w, b), v in zip(u, x, strict=True)])
    rng = np.random.default_rng(4)
    picks = rng.choice(3, size=(draws, DIM), p=np.exp(logit) / np.exp(logit).sum())
    drawn = rows[picks, np.arange(DIM)]
    error = np.abs(drawn.mean(0) - kernel_truth("embracenet", u, {"join.logit": logit}, x, DIM))
    assert (error <= 4.5 * drawn.std(0) / math.sqrt(draws)).all()


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("mask", MASKS[:-1])
def test_a_product_of_experts_is_a_run_of_kalman_updates_in_any_order(
    mask: tuple[bool, ...], order: tuple[int, ...]
) -> None:
    u, x = weights(2 * DIM), sample(mask)
    mean, variance = np.zeros(DIM), np.ones(DIM)
    for i in order:
        if (v := x[i]) is not None:
            row = v @ u[i][0] + u[i][1]
            noise = np.exp(np.clip(row[DIM:], -6, 6))
            gain = variance / (variance + noise)
            mean, variance = mean + gain * (row[:DIM] - mean), (1 - gain) * variance
    fused = kernel_truth("poe", u, NO_THETA, x, DIM)
    np.testing.assert_allclose(fused, np.concatenate([mean, variance]), rtol=1e-9, atol=1e-12)


def test_log_variances_are_held_within_six() -> None:
    np.testing.assert_allclose(fixed("poe", [[2.0, -50.0]], 1), fixed("poe", [[2.0, -6.0]], 1))
    np.testing.assert_allclose(fixed("poe", [[2.0, 50.0]], 1), fixed("poe", [[2.0, 6.0]], 1))


# Products and bilinear pooling.


@pytest.mark.parametrize("name", ["product", "mlb", "mfb", "mutan"])
@pytest.mark.parametrize("mask", SOME)
def test_a_stand_in_of_ones_is_as_if_the_stream_were_left_out(name: str, mask: tuple[bool, ...]) -> None:
    u, x, width = weights(DIM * RANK), sample(mask), DIM * RANK
    left_out = kernel_truth(name, u, NO_THETA, x, DIM, RANK)
    np.testing.assert_array_equal(kernel_truth(name, u, NO_THETA, x, DIM, RANK, [np.ones(width)] * 3), left_out)
    kept = [i for i, on in enumerate(mask) if on]
    without = kernel_truth(name, [u[i] for i in kept], NO_THETA, [x[i] for i in kept], DIM, RANK)
    np.testing.assert_array_equal(without, left_out)


def test_factors_are_minor_in_mfb_and_major_in_mutan() -> None:
    u = [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0] * 6]
    by_output, by_rank = np.sqrt([1 + 2 + 3, 4 + 5 + 6]), np.sqrt([1 + 3 + 5, 2 + 4 + 6])
    np.testing.assert_allclose(fixed("mfb", u, 2, 3), by_output / np.sqrt(21), rtol=1e-9)
    np.testing.assert_allclose(fixed("mutan", u, 2, 3), by_rank / np.sqrt(21), rtol=1e-9)
    lmf = fixed("lmf", u, 2, 3, weight=np.array([1.0, 10.0, 100.0]), bias=np.array([0.5, 0.25]))
    np.testing.assert_allclose(lmf, [531.5, 642.25])


def test_pooling_keeps_signs_and_gives_zero_for_zero() -> None:
    np.testing.assert_allclose(fixed("mutan", [[-9.0, 16.0]], 2), [-0.6, 0.8], rtol=1e-9)
    np.testing.assert_array_equal(fixed("mfb", [[0.0, 0.0]], 2), [0.0, 0.0])


@pytest.mark.parametrize("mask", SOME)
def test_multconcat_joint_has_a_product_from_two_streams_on(mask: tuple[bool, ...]) -> None:
    u, x = weights(DIM), sample(mask)
    plain, joint = (kernel_truth(f"multconcat{end}", u, NO_THETA, x, DIM) for end in ("", "_joint"))
    np.testing.assert_array_equal(joint, plain if sum(mask) >= 2 else [*plain[: 3 * DIM], *[0.0] * DIM])
    np.testing.assert_array_equal(plain[3 * DIM :], kernel_truth("mlb", u, NO_THETA, x, DIM))


def test_a_stand_in_is_taken_as_it_is() -> None:
    stand_ins = [None, None, np.array([-1.0, 2.0, -3.0, 4.0])]
    fused = kernel_truth("multconcat", weights(DIM), NO_THETA, sample((False, True, False)), DIM, 1, stand_ins)
    np.testing.assert_array_equal(fused[:DIM], np.zeros(DIM))
    np.testing.assert_array_equal(fused[2 * DIM : 3 * DIM], stand_ins[2])  # no relu over it
    np.testing.assert_allclose(fused[3 * DIM :], fused[DIM : 2 * DIM] * stand_ins[2])
