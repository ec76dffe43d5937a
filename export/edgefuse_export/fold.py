"""Imputation folded into the head: where operator and head are linear, maps go on to the outputs and become thin."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgefuse.impute import Pattern
from edgefuse.offline import Offline
from edgefuse.operators import OPERATORS
from edgefuse.reference import Reduce
from edgefuse.types import F32, F64


def folded(offline: Offline, maps: Mapping[Pattern, list[F32]]) -> dict[Pattern, list[F32]] | None:
    """Maps of patterns [d_P + 1, W_A] to [d_P + 1, K n_A]: what each absent stream adds to all K values of the outputs.

    With V_a the part of the head that reads stream a, (e L_a) V_a = e (L_a V_a). None where the bundle is not linear.
    """
    affine = offline.model.head.affine if offline.bundle.manifest.folds else None
    if affine is None:
        return None
    parts = _parts(offline, affine.weight.astype(np.float64))
    return {pattern: [_through(pattern, product, parts)] for pattern, product in maps.items()}


def _through(pattern: Pattern, product: list[F32], parts: list[F64]) -> F32:
    full = np.linalg.multi_dot([*(p.astype(np.float64) for p in product), np.eye(product[-1].shape[1])])
    absent = [part for part, on in zip(parts, pattern, strict=True) if not on]
    columns = np.split(full, np.cumsum([len(part) for part in absent])[:-1], axis=1)
    return np.hstack([c @ part for c, part in zip(columns, absent, strict=True)]).astype(np.float32)


def _parts(offline: Offline, weight: F64) -> list[F64]:
    """What the head makes of each stream's projected row, [D, K]."""
    spec, n = offline.bundle.manifest.fusion, len(offline.plan.names)
    operator = OPERATORS[spec.operator]
    total = weight[-spec.dim :] if operator.reduce == Reduce.SUM else np.zeros((spec.dim, weight.shape[1]))
    blocks = np.split(weight[: n * spec.dim], n) if operator.concat else [np.zeros_like(total)] * n
    return [block + total for block in blocks]
