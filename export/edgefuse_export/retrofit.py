"""Retrofit: stand-ins for the absent streams of a finished bundle, fitted on its embeddings and chosen by measuring."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from edgefuse.fallback import Substitutes
from edgefuse.impute import Imputer, Pattern, shapes
from edgefuse.offline import Offline
from edgefuse.reference import PRESENT
from edgefuse.types import F32, F64, U8, Rung
from edgefuse_export.datasheet import asked_subsets
from edgefuse_export.errors import ExportError
from edgefuse_export.held_out import Moments, Shown, classes_of

RIDGES = (1e-4, 1e-2, 1.0)  # of the mean squared embedding value
RANKS = (8, 32)
NEIGHBOURS, BANK = 10, 2000
WORTH_IT = 0.002  # by so much a dearer stand-in must be better than a cheaper one


class Teller(Protocol):
    """What tells the stand-ins of absent streams from the present ones, as `edgefuse.impute.Imputer` does."""

    def fill(self, select: U8, rungs: Sequence[bool], embeddings: Sequence[F32], out: Sequence[F32]) -> None: ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to stand in for absent streams; what it adds to a bundle, where a device can do it."""

    name: str
    rung: Rung
    substitutes: Substitutes
    ships: bool = True
    rank: int | None = None
    maps: dict[Pattern, list[F32]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Choice:
    """The best candidate that a device can do, and the mean accuracy of each: by how many streams are present, and all.

    Chosen on one half of the held-out moments, measured on the other.
    """

    best: Candidate
    means: F32
    accuracy: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Moment2:
    """Second moments of training samples: everything that ridge regressions from any subset need.

    gram [D + 1, D + 1] of all embeddings and a 1; cross [D + 1, W] of these with what can stand in for each stream
    """

    gram: F64
    cross: F64
    dims: Sequence[int]
    widths: Sequence[int]

    @classmethod
    def of(cls, embeddings: Sequence[F32], rows: Sequence[F32]) -> Moment2:
        """From embeddings [n, d_i] and rows [n, W_i] by stream."""
        x = np.hstack([*embeddings, np.ones((len(rows[0]), 1))]).astype(np.float64)
        y = np.hstack(rows).astype(np.float64)
        return cls(x.T @ x / len(x), x.T @ y / len(x), [e.shape[1] for e in embeddings], [r.shape[1] for r in rows])

    def ridge(self, pattern: Pattern, strength: float) -> F64:
        """L [d_P + 1, W_A], the map from the present embeddings and a 1 to the rows of the absent streams.

        argmin |Y - X L|^2 / n + strength * s |L|^2, s the mean square of an embedding's value; the constant is free.
        """
        p, a = self._columns(pattern)
        penalty = strength * float(np.trace(self.gram[:-1, :-1])) / (len(self.gram) - 1)
        free = np.r_[np.full(len(p) - 1, max(penalty, 1e-9)), 1e-9]
        solution: F64 = np.linalg.solve(self.gram[np.ix_(p, p)] + np.diag(free), self.cross[np.ix_(p, a)])
        return solution

    def thin(self, pattern: Pattern, full: F64, rank: int) -> list[F64]:
        """The two factors of the rank-r map nearest to the full one on the training samples.

        Reduced-rank regression, Izenman 1975: project what it tells onto the leading directions of what it tells.
        """
        p, _ = self._columns(pattern)
        told = full.T @ self.gram[np.ix_(p, p)] @ full
        leading = np.linalg.eigh(told)[1][:, ::-1][:, : min(rank, *full.shape)]
        return [full @ leading, leading.T]

    def _columns(self, pattern: Pattern) -> tuple[list[int], list[int]]:
        d, w = np.cumsum([0, *self.dims]), np.cumsum([0, *self.widths])
        present = [k for i, on in enumerate(pattern) if on for k in range(d[i], d[i + 1])]
        absent = [k for i, on in enumerate(pattern) if not on for k in range(w[i], w[i + 1])]
        return [*present, len(self.gram) - 1], absent


class Nearest:
    """The mean row of the nearest samples of a bank, by the present embeddings: to compare with, not to ship."""

    def __init__(self, embeddings: Sequence[F32], rows: Sequence[F32]) -> None:
        step = max(1, len(rows[0]) // BANK)
        self._embeddings, self._rows = [e[::step] for e in embeddings], [r[::step] for r in rows]

    def fill(self, select: U8, rungs: Sequence[bool], embeddings: Sequence[F32], out: Sequence[F32]) -> None:
        present = [int(i) for i in np.flatnonzero(select == PRESENT)]
        if not present:
            return
        gaps = np.sum([((self._embeddings[i] - embeddings[i]) ** 2).sum(1) for i in present], axis=0)
        near = np.argsort(gaps, kind="stable")[:NEIGHBOURS]
        for i, rung in enumerate(rungs):
            if rung:
                out[i][:] = self._rows[i][near].mean(0)


def retrofit(offline: Offline, output: str, fitted: Moments, held: Moments, shown: Shown) -> Choice:
    """Fit every candidate on `fitted`, measure all of them on `held`.

    ExportError: the operator joins maps, the output is not of classes, or the labels are none.
    """
    classes_of(offline, output)
    if held.labels.ndim != 1:
        raise ExportError(f"output {output!r} is of classes: labels.npy has to hold whole numbers [n]")
    if offline.bundle.manifest.fusion.grid is not None:
        raise ExportError("retrofit is of vectors; this bundle joins feature maps")
    rows = _rows(offline, fitted)
    means = np.concatenate([r.mean(0) for r in rows]).astype(np.float32)
    chance = np.random.default_rng(0).random(len(held)) < 0.5
    found: dict[str, tuple[Candidate, dict[str, float], float]] = {}
    candidates = list(_candidates(offline, fitted, rows, means))
    for candidate in shown(iter(candidates), len(candidates), "stand-ins"):
        right, masks = _right(offline, output, held, candidate)
        found[candidate.name] = (candidate, _by_count(right[~chance], masks), float(right[chance].mean()))
    best = _best([(candidate, chosen) for candidate, _, chosen in found.values()])
    return Choice(best, means, {name: told for name, (_, told, _) in found.items()})


def _candidates(offline: Offline, fitted: Moments, rows: Sequence[F32], means: F32) -> Iterator[Candidate]:
    widths = [r.shape[1] for r in rows]
    own = np.split(means, np.cumsum(widths)[:-1])
    yield Candidate("mask", "mask", Substitutes({}))
    yield Candidate("mean", "mean", Substitutes({"mean": list(own)}))
    second = Moment2.of(fitted.embeddings, rows)
    for strength in RIDGES:
        yield _imputer(second, f"impute, ridge {strength:g}", strength, None)
    for rank in RANKS:
        yield _imputer(second, f"impute, ridge {RIDGES[1]:g}, rank {rank}", RIDGES[1], rank)
    nearest: Any = Nearest(fitted.embeddings, rows)
    name = f"{NEIGHBOURS} nearest of {BANK} (not for a device)"
    yield Candidate(name, "impute", Substitutes({}, nearest), ships=False)


def _imputer(second: Moment2, name: str, strength: float, rank: int | None) -> Candidate:
    maps: dict[Pattern, list[F32]] = {}
    for shape in shapes(second.dims, second.widths, rank):
        full = second.ridge(shape.pattern, strength)
        parts = [full] if rank is None else second.thin(shape.pattern, full, rank)
        maps[shape.pattern] = [part.astype(np.float32) for part in parts]
    return Candidate(name, "impute", Substitutes({}, Imputer(maps, second.widths)), rank=rank, maps=maps)


def _rows(offline: Offline, moments: Moments) -> list[F32]:
    """What can stand in for each stream, of every moment: [n, W_i]."""
    told = [offline.rows([e[k] for e in moments.embeddings]) for k in range(len(moments))]
    return [np.array(column) for column in zip(*told, strict=True)]


def _right(offline: Offline, output: str, held: Moments, candidate: Candidate) -> tuple[Any, U8]:
    """bool [n, M] for every smaller subset, and the masks."""
    names = offline.plan.names
    masks = np.array([[n in some for n in names] for some in asked_subsets(names) if len(some) < len(names)], np.uint8)
    with offline.standing_in(candidate.substitutes):
        logits = np.array(
            [offline.answers([e[k] for e in held.embeddings], masks, candidate.rung)[output] for k in range(len(held))]
        )
    return logits.argmax(2) == held.labels[:, None], masks


def _by_count(right: Any, masks: U8) -> dict[str, float]:
    counts = (masks == PRESENT).sum(1)
    told = {f"{k} present": float(right[:, counts == k].mean()) for k in sorted(set(counts.tolist()), reverse=True)}
    return {**told, "mean": float(right.mean())}


def _best(measured: Sequence[tuple[Candidate, float]]) -> Candidate:
    """The first that no later one beats by enough: the cheaper come first."""
    best, value = measured[0]
    for candidate, chosen in measured[1:]:
        if candidate.ships and chosen > value + WORTH_IT:
            best, value = candidate, chosen
    return best
