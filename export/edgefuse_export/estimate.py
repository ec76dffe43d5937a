"""Of many streams not every subset is measured: what to expect of the others, told from those that were."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgefuse.datasheet import Estimate, SubsetFigure


def estimate_of(names: Sequence[str], figures: Sequence[SubsetFigure]) -> Estimate | None:
    """Least squares over the measured subsets; None where all were measured, or too few to tell an error.

    The error is that of leaving each out in turn, from the hat matrix H: residual / (1 - H_ii).
    """
    rows = np.array([[1.0, *(n in f.streams for n in names), len(f.streams) ** 2] for f in figures])
    values = np.array([f.value for f in figures])
    if len(figures) >= (1 << len(names)) - 1 or len(figures) < 2 * rows.shape[1]:
        return None
    told = np.linalg.lstsq(rows, values, rcond=None)[0]
    hat = np.einsum("ij,ji->i", rows, np.linalg.pinv(rows))
    off = (values - rows @ told) / np.maximum(1.0 - hat, 1e-9)
    return Estimate(
        base=float(told[0]),
        worth=dict(zip(names, told[1:-1].tolist(), strict=True)),
        curve=float(told[-1]),
        error=float(np.sqrt((off**2).mean())),
    )
