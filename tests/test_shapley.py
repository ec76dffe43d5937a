"""Shapley values are what their axioms say, and what the mean over all orders of arrival gives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgefuse import kernels
from edgefuse.reference import Reduce
from edgefuse.shapley import shapley, shapley_weights
from edgefuse.types import F64
from kernel_cases import subset_args


def game(players: int, seed: int) -> F64:
    return np.random.default_rng(seed).normal(size=(1 << players, 3))


def by_arrival(values: F64, players: int) -> F64:
    """The mean of what each player adds, over every order in which they may come."""
    phi = np.zeros((players, *values.shape[1:]))
    orders = list(itertools.permutations(range(players)))
    for order in orders:
        there = 0
        for i in order:
            phi[i] += values[there | 1 << i] - values[there]
            there |= 1 << i
    return phi / len(orders)


@pytest.mark.parametrize("players", [1, 2, 3, 4, 5, 6])
def test_values_are_the_mean_over_all_orders(players: int) -> None:
    values = game(players, players)
    np.testing.assert_allclose(shapley(values), by_arrival(values, players), atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 7), st.integers(0, 1000), st.data())
def test_what_is_shared_is_the_whole_and_nothing_goes_to_the_absent(
    players: int, seed: int, data: st.DataObject
) -> None:
    values, present = game(players, seed), data.draw(st.integers(0, (1 << players) - 1))
    phi = shapley(values, present)
    np.testing.assert_allclose(phi.sum(0), values[present] - values[0], atol=1e-12)
    assert all((phi[i] == 0).all() for i in range(players) if not present >> i & 1)


def test_the_absent_leave_the_game_of_the_others_as_it_is() -> None:
    values = game(4, 9)
    small = values[[0b0000, 0b0001, 0b0100, 0b0101]]  # players 0 and 2 alone
    np.testing.assert_allclose(shapley(values, 0b0101)[[0, 2]], shapley(small), atol=1e-12)


def test_players_that_add_the_same_get_the_same_and_one_that_adds_nothing_gets_nothing() -> None:
    values = np.array([len({i for i in (0, 1) if m >> i & 1}) ** 2 for m in range(8)], float)  # player 2 is a dummy
    phi = shapley(values)
    assert phi[0] == pytest.approx(phi[1]) == pytest.approx(2.0)
    assert phi[2] == pytest.approx(0.0, abs=1e-15)


def test_in_a_sum_everyone_gets_what_is_their_own() -> None:
    own = np.array([1.0, -2.0, 4.5, 0.25])
    values = np.array([sum(own[i] for i in range(4) if m >> i & 1) for m in range(16)])
    np.testing.assert_allclose(shapley(values), own, atol=1e-12)


def test_the_weights_sum_to_nothing_and_their_sizes_to_two() -> None:
    for players in range(1, 9):
        weights = shapley_weights(players)
        np.testing.assert_allclose(weights.sum(1), 0, atol=1e-12)
        np.testing.assert_allclose(np.abs(weights).sum(1), 2, atol=1e-12)


def test_dividing_by_the_weight_would_give_other_shares() -> None:
    values = game(4, 4)[:, 0]
    divided = np.zeros(4)
    for i, m in itertools.product(range(4), range(16)):
        if not m >> i & 1:
            divided[i] += (values[m | 1 << i] - values[m]) / -shapley_weights(4)[i, m]
    assert np.abs(divided / divided.sum() - shapley(values) / shapley(values).sum()).max() > 0.01


@pytest.mark.parametrize("count", [3, 6, 1 << 13])
def test_a_table_that_is_no_game_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=r"power of 2|1 to 12"):
        shapley(np.zeros(count))


def test_the_logits_of_all_subsets_share_out_what_the_streams_are_worth() -> None:
    args = subset_args(4, 12, 5)
    kernels.subset_head(**args)
    phi = shapley(args["out"])
    np.testing.assert_allclose(phi.sum(0), args["out"][-1].astype(float) - args["out"][0], rtol=1e-5, atol=1e-5)


def test_in_a_concatenation_every_stream_is_worth_its_own_block() -> None:
    args = subset_args(3, 12, 5, Reduce.NONE, concat=True)
    kernels.subset_head(**args)
    own = np.einsum("nd,ndk->nk", args["h"].astype(float), args["weight"].reshape(3, 12, 5).astype(float))
    np.testing.assert_allclose(shapley(args["out"]), own, rtol=1e-4, atol=1e-5)
