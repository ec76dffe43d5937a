"""MultConcat as one writes it by hand in Triton: a program for each tile of columns goes through the streams.

Imported only where Triton is there. Triton compiles the kernel from its text, so there are no annotations but its own.
"""
# mypy: ignore-errors

from collections.abc import Callable, Sequence

import numpy as np
import torch
import triton
import triton.language as tl

from edgefuse.bench.kernels import Layer
from edgefuse.fusion_layout import starts

TILES = [(tile, rows, warps) for tile in (8, 16, 32, 64) for rows in (32, 128) for warps in (4, 8)]  # that are tried


@triton.jit
def kernel(x, weights, layout, out, width, streams: tl.constexpr, tile: tl.constexpr, block: tl.constexpr):  # noqa: D103
    columns = tl.program_id(0) * tile + tl.arange(0, tile)
    inside = columns < width
    product = tl.full([tile], 1.0, tl.float32)
    for i in range(streams):  # layout: int32 [3, streams], lengths, and where embeddings and weights begin
        d = tl.load(layout + i)
        x_i, w_i = x + tl.load(layout + streams + i), weights + tl.load(layout + 2 * streams + i)
        sums = tl.zeros([block, tile], tl.float32)
        for begin in range(0, d, block):
            rows = begin + tl.arange(0, block)
            values = tl.load(x_i + rows, mask=rows < d, other=0.0)
            there = (rows < d)[:, None] & inside[None, :]
            sums += values[:, None] * tl.load(w_i + rows[:, None] * width + columns[None, :], mask=there, other=0.0)
        u = tl.maximum(tl.sum(sums, axis=0) + tl.load(w_i + d * width + columns, mask=inside, other=0.0), 0.0)
        tl.store(out + i * width + columns, u, mask=inside)
        product *= u
    tl.store(out + streams * width + columns, product, mask=inside)


def launchers(layer: Layer, place: str, tiles: Sequence[tuple[int, int, int]] = TILES) -> list[Callable]:
    """A launch for each size of tile; each gives the result."""
    n, width, dims = len(layer.xs), layer.bs[0].size, [x.size for x in layer.xs]
    flat = np.concatenate([np.concatenate([w.reshape(-1), b]) for w, b in zip(layer.ws, layer.bs, strict=True)])
    layout = np.stack([dims, starts(dims), starts([(d + 1) * width for d in dims])]).astype(np.int32)
    given = [torch.tensor(values, device=place) for values in (np.concatenate(layer.xs), flat, layout)]
    out = torch.full(((n + 1) * width,), torch.nan, device=place)

    def of(tile: int, rows: int, warps: int) -> Callable:
        def launch():
            kernel[(triton.cdiv(width, tile),)](*given, out, width, n, tile, rows, num_warps=warps)
            return out

        return launch

    return [of(*sizes) for sizes in tiles]
