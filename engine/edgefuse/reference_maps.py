"""The kernel that joins feature maps in plain NumPy: the fallback without C++, and the truth of its tests."""

from __future__ import annotations

import numpy as np

from edgefuse import arguments
from edgefuse.arguments import I64
from edgefuse.reference import ABSENT, PRESENT, activate, fold
from edgefuse.types import F32, U8


def fuse_maps(
    x: F32,
    offsets: I64,
    substitutes: F32,
    select: U8,
    cells: int,
    activation: int,
    reduce: int,
    concat: bool,
    out: F32,
) -> None:
    """Join N feature maps [D, cells] that are projected already, as `reference.fuse_project` joins vectors.

        u_i = act(x_i)                             where select[i] is 1, present
            = substitutes[i], the same everywhere  where select[i] is 2, substituted; act is not applied
            = left out                             where select[i] is 0, absent: nothing of stream i is read
        out = [u_0 ... u_{N-1}] if concat, zeros where absent; then reduce_i u_i unless reduce is NONE

    x            float32 [total], stream i at offsets[i], D * cells long in C order; gaps are allowed
    offsets      int64 [N], 1 <= N <= 16
    substitutes  float32 [N, D]
    select       uint8 [N]
    cells        rows times columns of the grid
    out          float32 [((N if concat else 0) + (1 if reduce else 0)) * D * cells], written whole; overlaps nothing

    The empty reductions, the average and NaN are as in `reference.fuse_project`. Raises ValueError naming the argument.
    """
    arguments.maps(x, offsets, substitutes, select, cells, activation, reduce, concat, out)
    streams, width = substitutes.shape
    size = width * cells
    u = np.zeros((streams, size), np.float32)
    for i in range(streams):
        if select[i] == PRESENT:
            u[i] = activate(x[offsets[i] : offsets[i] + size], activation)
        elif select[i] != ABSENT:
            u[i] = np.repeat(substitutes[i], cells)
    if concat:
        out[: streams * size] = u.reshape(-1)
    if reduce:
        out[-size:] = fold(u[select != ABSENT], reduce)
