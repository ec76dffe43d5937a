"""The kernel for many subsets of streams in plain NumPy: the fallback without C++, and the truth of its tests."""

from __future__ import annotations

import numpy as np

from edgefuse import arguments
from edgefuse.arguments import U16
from edgefuse.reference import fold
from edgefuse.types import F32


def subset_head(h: F32, masks: U16, concat: bool, reduce: int, weight: F32, bias: F32, out: F32) -> None:
    """Give the logits of a linear head for many subsets of the streams, as exact Shapley values need them.

        fused_m = [h_i if i in m, else 0, for each i] if concat, then reduce_{i in m} h_i unless reduce is NONE
        out[m] = fused_m @ weight + bias

    h       float32 [N, D], 1 <= N <= 16, the projections u_i of `reference.fuse_project`, activated
    masks   uint16 [M], bit i set where stream i is taken; 0, the empty set, is allowed
    weight  float32 [(N * D if concat else 0) + (D if reduce else 0), K]
    bias    float32 [K]
    out     float32 [M, K], written whole; overlaps nothing

    A stream in none of the subsets is never read, and the logits of one subset do not depend on which others are asked
    for. The C++ kernel needs one fold a subset where the masks ascend. Empty reductions and the average are as in
    `reference.fuse_project`. Raises ValueError naming the argument.
    """
    arguments.subsets(h, masks, concat, reduce, weight, bias, out)
    streams, width = h.shape
    for m, mask in enumerate(masks.tolist()):
        taken = [i for i in range(streams) if mask >> i & 1]
        with np.errstate(all="ignore"):
            out[m] = bias
            for i in taken if concat else ():
                out[m] += h[i] @ weight[i * width : (i + 1) * width]
            if reduce:
                out[m] += fold(h[taken], reduce) @ weight[-width:]
