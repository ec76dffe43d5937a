"""Patches: which parts of the pictures an answer rests on, by sampled Shapley values (MM-SHAP), with their error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgefuse.types import F64, Array

Value = Callable[[Mapping[str, Array]], float]  # stream -> tensor, patches blanked, to the value that is explained


@dataclass(frozen=True, slots=True)
class Patches:
    """What the patches of each picture made of one value, and how sure that is.

    phi      stream -> float64 [grid, grid]; together they sum to the value of the whole pictures less that of none
    shares   stream -> its part of all |phi|, between 0 and 1, as Parcalabescu and Frank 2023 (MM-SHAP) define it
    error    standard error of the shares, from the walks; the same for both of a pair
    """

    phi: Mapping[str, F64]
    shares: Mapping[str, float]
    error: float
    whole: float
    none: float


def explain_patches(
    tensors: Mapping[str, Array], value: Value, grid: int, walks: int, rng: np.random.Generator
) -> Patches:
    """Shapley values of grid x grid patches of each tensor [H, W, ...], a patch that is out being set to 0.

    Parcalabescu and Frank 2023, arXiv 2212.08158, with the weight |S|!(n-|S|-1)!/n! as a factor; sampled by walks that
    add the patches one by one in a random order, and in the reverse one (antithetic: Mitchell et al. 2022,
    arXiv 2104.12199). walks is how many such pairs; at least 2, as the error comes from their spread.
    """
    streams, cells = list(tensors), grid * grid
    totals = []
    whole, none = value(tensors), value(_kept(tensors, np.zeros((len(streams), cells), np.bool_), grid))
    for _ in range(walks):
        order = rng.permutation(len(streams) * cells)
        pair = [_walk(tensors, value, grid, o, none) for o in (order, order[::-1])]
        totals.append(np.mean(pair, axis=0))
    told = np.array(totals)  # [walks, streams, cells]
    phi = told.mean(0)
    shares = _shares(phi)
    return Patches(
        phi={name: phi[i].reshape(grid, grid) for i, name in enumerate(streams)},
        shares=dict(zip(streams, shares.tolist(), strict=True)),
        error=_jackknife(told),
        whole=whole,
        none=none,
    )


def _walk(tensors: Mapping[str, Array], value: Value, grid: int, order: NDArray[np.int64], none: float) -> F64:
    """float64 [streams, cells]: what each patch added when its turn came."""
    cells = grid * grid
    kept = np.zeros((len(tensors), cells), np.bool_)
    gains, before = np.zeros(kept.shape), none
    for player in order:
        at = divmod(int(player), cells)
        kept[at] = True
        now = value(_kept(tensors, kept, grid))
        gains[at] = now - before
        before = now
    return gains


def _kept(tensors: Mapping[str, Array], kept: NDArray[np.bool_], grid: int) -> dict[str, Array]:
    """The tensors with all patches at 0 that are not kept."""
    return {name: blanked(tensor, kept[i].reshape(grid, grid)) for i, (name, tensor) in enumerate(tensors.items())}


def blanked(tensor: Array, kept: NDArray[np.bool_]) -> Array:
    """A copy of tensor [H, W, ...] with the patches of kept [rows, columns] that are False set to 0."""
    rows = np.arange(tensor.shape[0]) * kept.shape[0] // tensor.shape[0]
    columns = np.arange(tensor.shape[1]) * kept.shape[1] // tensor.shape[1]
    out = tensor.copy()
    out[~kept[rows[:, None], columns[None, :]]] = 0
    return out


def _shares(phi: F64) -> F64:
    """[streams] of phi [streams, cells]; equal parts where all is 0."""
    sizes: F64 = np.abs(phi).sum(1)
    total = float(sizes.sum())
    return sizes / total if total > 0.0 else np.full(len(phi), 1.0 / len(phi))


def _jackknife(told: Sequence[F64] | F64) -> float:
    """Standard error of the first share, leaving out one pair of walks at a time."""
    walks = len(told)
    left = np.array([_shares(np.delete(told, k, axis=0).mean(0))[0] for k in range(walks)])
    return float(np.sqrt((walks - 1) / walks * ((left - left.mean()) ** 2).sum()))
