"""The kernels' sections: the ceilings of the device, MultConcat of vectors, and the joins of feature maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgefuse.device import Device
from edgefuse.operators import OPERATORS
from edgefuse.types import F64

from . import ours, peers
from .figures import CLOCKS, LAUNCHED, Figure, Goal, Row, Section, divided, figure, rate, ratio
from .turns import race

STREAMS = 4
OPERATORS_OF_MAPS = ("multconcat", "sum")
OVER_EAGER, OVER_COMPILED, MAPS_OVER_EAGER = Goal(5.0), Goal(1.5), Goal(1.8)
SHARE_OF_COPY = Goal(0.85)
FLOAT, HALF = "ours, float32 weights", "ours, float16 weights"
COPY, OURS = "copy", "ours"
HOW = "by events: of {} launches in a row, each; by graph: of the same as one CUDA graph; by host: a call and a wait"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything: smaller only where the times mean nothing."""

    copy_bytes: int = 256 << 20
    matrix: int = 4096
    vectors: Sequence[tuple[Sequence[int], int]] = (((128, 128, 128, 16), 128), ((1024,) * STREAMS, 1024))
    maps: Sequence[tuple[int, int, int]] = tuple((width, 200, 200) for width in (64, 128, 256))
    launches: int = 100
    large_launches: int = 10  # of what moves or computes much


def ceilings(device: Device, rounds: int, sizes: Sizes) -> Section:
    """How fast memory is copied and matrices are multiplied here, at best; the first row is the copy."""
    copies = race({COPY: ours.copy(device, sizes.copy_bytes)}, rounds, sizes.large_launches)
    products = {f"torch.matmul {dtype}": peers.matmul(sizes.matrix, dtype) for dtype in peers.MATRIX_TOLERANCE}
    rows = [*copies, *race(products, rounds, sizes.large_launches)]
    gigabytes, teraflops = 2e-3 * sizes.copy_bytes, 2e-6 * sizes.matrix**3  # per microsecond: GB/s, TFLOP/s
    figures = [rate("copy bandwidth, read and written", "GB/s", rows[0], gigabytes)]
    figures += [rate(f"{row.name}, rate", "TFLOP/s", row, teraflops) for row in rows[1:]]
    size = f"copy of {sizes.copy_bytes / 2**20:g} MiB, matrices {sizes.matrix} x {sizes.matrix}"
    return Section(f"ceilings of the device: {size}", HOW.format(sizes.large_launches), rows, figures)


def vectors(device: Device, dims: Sequence[int], width: int, rounds: int, sizes: Sizes) -> Section:
    """MultConcat of one sample, against what one would use instead."""
    layer = ours.layer_of(dims, width)
    mine: dict[str, type[np.generic]] = {FLOAT: np.float32, HALF: np.float16}
    own = {name: ours.multconcat(device, layer, dtype) for name, dtype in mine.items()}
    rows = {row.name: row for row in race({**own, **peers.multconcat(layer)}, rounds, sizes.launches)}
    against = {peers.EAGER: OVER_EAGER, peers.COMPILED: OVER_COMPILED, peers.TRITON: None}
    pairs = [(clock, other, own) for clock in CLOCKS for other in against for own in mine]
    figures = [ratio(rows[o], rows[m], clock, against[o] if clock in LAUNCHED else None) for clock, o, m in pairs]
    return Section(
        f"MultConcat, batch 1, {list(dims)} -> {width}", HOW.format(sizes.launches), [*rows.values()], figures
    )


def maps(device: Device, name: str, shape: Sequence[int], copy: Row, rounds: int, sizes: Sizes) -> Section:
    """Feature maps joined: the share of the copy's bandwidth, and against eager; of maps that no cache holds still."""
    operator, values = OPERATORS[name], ours.maps_of(STREAMS, shape)
    truth = ours.maps_truth(operator, values)
    sets = ours.sets_of(device, values.nbytes + truth.nbytes)
    own, others = ours.fuse_maps(device, operator, values, truth, sets), peers.fuse_maps(operator, values, truth, sets)
    launches = sets * math.ceil(sizes.large_launches / sets)  # so that no two of one set follow each other
    mine, eager = race({OURS: own, **others}, rounds, launches)
    figures = [share_of_copy(mine, copy, 2 * sizes.copy_bytes)]
    figures += [ratio(eager, mine, clock, MAPS_OVER_EAGER if clock in LAUNCHED else None) for clock in CLOCKS]
    return Section(f"{name} of {STREAMS} maps {list(shape)}", HOW.format(launches), [mine, eager], figures)


def share_of_copy(row: Row, copy: Row, copied_bytes: int) -> Figure:
    """Bytes that must be moved, by the time that took, as a share of what the copy moved in its own."""

    def values() -> F64:
        us = row.us("events")
        at_the_copys_us = row.counts["bytes"] / copied_bytes * float(np.median(copy.us("events")))
        return divided(np.full(us.size, at_the_copys_us), us)

    return figure("share of the copy's bandwidth", "", (row, copy), values, SHARE_OF_COPY)
