"""Exact Shapley values over the streams: how much of an answer each stream is worth, from the values of all subsets."""

from __future__ import annotations

import functools
import math

import numpy as np

from edgefuse.types import F64, Array

MAX_PLAYERS = 12  # 4096 subsets; above, nobody waits for an exact answer


@functools.cache
def shapley_weights(players: int) -> F64:
    """A, float64 [n, 2^n], so that phi = A v: v[m] is the value of the subset whose bit i says that player i is in.

        A[i, S] = (|S| - 1)! (n - |S|)! / n!  where i is in S,   -|S|! (n - |S| - 1)! / n!  where it is not

    Shapley 1953: the weight multiplies each difference v(S with i) - v(S). Rows sum to 0. ValueError above MAX_PLAYERS.
    """
    if not 1 <= players <= MAX_PLAYERS:
        raise ValueError(f"exact Shapley values are for 1 to {MAX_PLAYERS} players, not {players}")
    masks = np.arange(1 << players)
    inside = (masks[None, :] >> np.arange(players)[:, None]) & 1 == 1
    sizes = inside.sum(axis=0)
    gain = np.array([_weight(max(s - 1, 0), players) for s in sizes])
    loss = np.array([_weight(min(s, players - 1), players) for s in sizes])
    return np.where(inside, gain, -loss)


def shapley(values: Array, present: int | None = None) -> F64:
    """phi float64 [n, ...] from values [2^n, ...]: phi sums to values[all] - values[none].

    present: bits of the players that are there at all; the others get exactly 0, and the rest share what is theirs.
    """
    players = (len(values) - 1).bit_length()
    if len(values) != 1 << players:
        raise ValueError(f"values of {len(values)} subsets: there must be a power of 2")
    masks = np.arange(len(values)) & (len(values) - 1 if present is None else present)
    held = np.asarray(values, dtype=np.float64)[masks]
    phi: F64 = np.tensordot(shapley_weights(players), held, axes=1)
    if present is not None:
        phi[[i for i in range(players) if not present >> i & 1]] = 0.0  # exact, where sums would leave rounding
    return phi


def _weight(smaller: int, players: int) -> float:
    """|S|! (n - |S| - 1)! / n! of a subset of so many others."""
    return math.factorial(smaller) * math.factorial(players - smaller - 1) / math.factorial(players)
