"""Peers: what one would use instead of our kernels, as contenders; or why one is not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgefuse.algebra import Operator
from edgefuse.bench.kernel_peers import find
from edgefuse.bench.kernels import TOLERANCE, Layer, multconcat_truth
from edgefuse.types import F32, Array

from .turns import Contender, Queue, Stretch

PLACE = "cuda"
EAGER, COMPILED, TRITON = "torch eager", "torch.compile, reduce-overhead", "Triton, by hand"
CHECKED_ROWS = 4  # of a product of matrices
# Of the largest value: float32 sums are better by ten times, TF32 ones worse by as much; halfs have eleven bits.
MATRIX_TOLERANCE = {"float32": 2e-5, "float16": 5e-3}
TRIED_LAUNCHES = 20  # for each size of a tile

Made = tuple[Callable[[], object], Callable[[], Array]]  # what runs it, and what its last run gave


def no_torch() -> str | None:
    """Why torch cannot be raced here; None where it can."""
    if (torch := find("torch")) is None:
        return "torch is not installed"
    return None if torch.cuda.is_available() else f"torch {torch.__version__} finds no CUDA device"


def no_triton() -> str | None:
    """The same of Triton, which needs torch's memory."""
    return no_torch() or ("triton is not installed" if find("triton") is None else None)


def multconcat(layer: Layer) -> dict[str, Contender | str]:
    """Eager, as CUDA graphs of the compiler's, and written by hand in Triton."""
    truth = multconcat_truth(layer)
    return {
        EAGER: _peer(no_torch, lambda torch, queue: _kept(torch.multconcat(layer, PLACE, compiled=False)), truth),
        COMPILED: _peer(
            no_torch, lambda torch, queue: _kept(torch.multconcat(layer, PLACE, compiled=True)), truth, whole=True
        ),
        TRITON: _peer(no_triton, lambda torch, queue: _kept(_quickest(torch, layer, queue)), truth),
    }


def fuse_maps(operator: Operator, maps: F32, truth: F32, sets: int) -> dict[str, Contender | str]:
    """Eager, of one set of maps in turn."""
    return {EAGER: _peer(no_torch, lambda torch, queue: _kept(torch.fuse_maps(operator, maps, PLACE, sets)), truth)}


def matmul(size: int, dtype: str) -> Contender | str:
    """Two random matrices, float32 (as float32, not TF32) or float16, multiplied; the first rows are checked."""
    draw = np.random.default_rng(5).standard_normal
    a, b = (draw((size, size), np.float32).astype(dtype) for _ in range(2))
    truth = a[:CHECKED_ROWS].astype(np.float64) @ b.astype(np.float64)

    def make(torch: Any, queue: Queue) -> Made:
        kept = torch.matmul(a, b, PLACE)
        return kept, torch.first_rows(kept, len(truth), size)

    return _peer(no_torch, make, truth, MATRIX_TOLERANCE[dtype])


def _kept(kept: Any) -> Made:
    return kept, kept.result


def _quickest(torch: Any, layer: Layer, queue: Queue) -> Any:
    """Triton's launch with the size of tile that is the quickest of those tried."""
    from . import triton_multconcat

    stretch, found = Stretch(queue), []
    for launch in triton_multconcat.launchers(layer, PLACE):
        launch()  # is compiled
        found.append((stretch.us(launch, TRIED_LAUNCHES), launch))
    return torch.Kept(min(found, key=lambda own: own[0])[1])


def _peer(
    lacking: Callable[[], str | None],
    make: Callable[[Any, Queue], Made],
    truth: Array,
    tolerance: float = TOLERANCE,
    *,
    whole: bool = False,
) -> Contender | str:
    """A contender that has run once; or why it cannot, in its own words."""
    if (why := lacking()) is not None:
        return why
    try:
        return _contender(make, truth, tolerance, whole)
    except Exception as error:  # noqa: BLE001 (what a compiler raises is its own)
        told = " ".join(str(error).split())[:200]
        return f"{type(error).__name__}: {told}"


def _contender(make: Callable[[Any, Queue], Made], truth: Array, tolerance: float, whole: bool) -> Contender:
    from . import torch_peers

    torch_peers.exactly()
    queue = torch_peers.TorchQueue()
    run, result = make(torch_peers, queue)
    own = Contender(run, queue, result, truth, tolerance, whole=whole)
    own.call()
    return own
