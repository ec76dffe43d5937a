"""The types of the C++ module; `edgefuse.kernels` is its only importer."""

from numpy import float16, float64, int64, uint8, uint16
from numpy.typing import NDArray

from edgefuse.types import F32, Array

def fuse_project(
    x: F32,
    dims: NDArray[int64],
    offsets: NDArray[int64],
    weights: F32 | NDArray[float16],
    weight_offsets: NDArray[int64],
    substitutes: F32,
    select: NDArray[uint8],
    activation: int,
    reduce: int,
    concat: bool,
    out: F32,
) -> None: ...

class Projection:
    def __init__(
        self,
        x: F32,
        dims: NDArray[int64],
        offsets: NDArray[int64],
        weights: F32 | NDArray[float16],
        weight_offsets: NDArray[int64],
        substitutes: F32,
        select: NDArray[uint8],
        activation: int,
        reduce: int,
        concat: bool,
        out: F32,
    ) -> None: ...
    def __call__(self) -> None: ...

def fuse_join(kind: int, u: F32, select: NDArray[uint8], theta: F32, dim: int, rank: int, out: F32) -> None: ...
def fuse_maps(
    x: F32,
    offsets: NDArray[int64],
    substitutes: F32,
    select: NDArray[uint8],
    cells: int,
    activation: int,
    reduce: int,
    concat: bool,
    out: F32,
) -> None: ...
def subset_head(
    h: F32, masks: NDArray[uint16], concat: bool, reduce: int, weight: F32, bias: F32, out: F32
) -> None: ...
def lidar_grid(
    points: F32, x_min_m: float, y_min_m: float, cell_m: float, z_edges_m: F32, count_cap: int, out: F32
) -> int: ...
def picture_grain(
    image: NDArray[uint8], left: int, columns: int, first: int, end: int, step: int, fine: int, coarse: int
) -> tuple[int, int, int, int, int, int]: ...
def picture_levels(image: NDArray[uint8], step: int, dark: int, bright: int) -> tuple[int, int]: ...
def digest(values: Array) -> int: ...
def all_finite(values: F32) -> bool: ...
def depth_counts(depth_mm: NDArray[uint16], step: int, limit_mm: int) -> tuple[int, int, int, int]: ...
def cloud_counts(points: F32, smallest: float, min_range_m: float, max_range_m: float) -> tuple[int, int, int, int]: ...
def sweep_counts(points: F32, slopes: F32, out: NDArray[float64]) -> None: ...
def picture_area(image: NDArray[uint8], out: NDArray[uint8]) -> None: ...
def depth_nearest(depth_mm: NDArray[uint16], out: NDArray[uint16]) -> None: ...
def isa() -> str: ...
def isas() -> list[str]: ...
def set_isa(name: str) -> None: ...
