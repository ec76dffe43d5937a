"""The few solid shapes that all things on the site are made of, and how a ray meets each of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgefuse.types import F32, F64

Shape = Literal["box", "round", "ball"]
SHAPES: tuple[Shape, ...] = ("box", "round", "ball")
Colour = tuple[float, float, float]
Vec = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Paint:
    """A surface: colour (linear RGB albedo in [0, 1]) and reflectance at the lidar's wavelength in [0, 1]."""

    colour: Colour
    reflect: float


@dataclass(frozen=True, slots=True)
class Solid:
    """One convex solid: a unit shape scaled by `half` (m), pitched about y (nose down positive), turned about z, moved.

    box    |x|, |y|, |z| <= 1
    round  x^2 + y^2 <= r(z)^2, |z| <= 1, where r falls from 1 at the foot to `taper` at the top
    ball   x^2 + y^2 + z^2 <= 1
    band   (low, high): the part low <= z <= high of the unit shape wears `trim` in place of `paint`
    """

    shape: Shape
    centre: Vec
    half: Vec
    paint: Paint
    yaw: float = 0.0
    pitch: float = 0.0
    taper: float = 1.0
    band: tuple[float, float] = (9.0, 9.0)
    trim: Paint = Paint((0.0, 0.0, 0.0), 0.0)
    shadow: bool = False


def moved(solids: Iterable[Solid], east: float, north: float, up: float, yaw: float) -> list[Solid]:
    """The solids turned by `yaw` about their frame's z axis, then moved."""
    c, s = math.cos(yaw), math.sin(yaw)

    def place(p: Vec) -> Vec:
        return east + c * p[0] - s * p[1], north + s * p[0] + c * p[1], up + p[2]

    return [replace(solid, centre=place(solid.centre), yaw=solid.yaw + yaw) for solid in solids]


@dataclass(frozen=True, slots=True)
class Pack:
    """n solids as arrays in one frame, ready to be cast at; `shadows` are the indices of those that throw one.

    kind int8 [n], index in SHAPES;
    centre float64 [n, 3], rot float64 [n, 3, 3] (columns: the solid's axes), half float64 [n, 3], taper float32 [n],
    colour, trim_colour float32 [n, 3], reflect, trim_reflect float32 [n], band float32 [n, 2]
    """

    kind: NDArray[np.int8]
    shadows: tuple[int, ...]
    centre: F64
    rot: F64
    half: F64
    taper: F32
    colour: F32
    reflect: F32
    band: F32
    trim_colour: F32
    trim_reflect: F32

    def seen_from(self, origin: F64, heading_rad: float) -> Pack:
        """The same solids in a frame at `origin`, its x axis along `heading_rad`, z up."""
        c, s = math.cos(heading_rad), math.sin(heading_rad)
        turn = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
        return replace(self, centre=(self.centre - origin) @ turn.T, rot=turn @ self.rot)

    @property
    def to_unit(self) -> F64:
        """float64 [n, 3, 3]: takes a vector of the frame into each solid's unit shape."""
        scaled: F64 = np.swapaxes(self.rot, 1, 2) / self.half[:, :, None]
        return scaled

    @property
    def corners(self) -> F64:
        """float64 [n, 8, 3]: the corners of each solid's box in the frame."""
        signs = np.array(list(product((-1.0, 1.0), repeat=3)))
        reach: F64 = np.einsum("nij,nkj->nki", self.rot, self.half[:, None, :] * signs)
        return reach + self.centre[:, None, :]

    @property
    def extent(self) -> F64:
        """float64 [n, 3]: half sides in metres of each solid's bounding box along the frame's axes."""
        extent: F64 = np.einsum("nij,nj->ni", np.abs(self.rot), self.half)
        return extent


def pack(solids: Sequence[Solid]) -> Pack:
    """Lay the solids out as arrays."""
    f32 = np.float32
    return Pack(
        kind=np.array([SHAPES.index(s.shape) for s in solids], np.int8),
        shadows=tuple(i for i, s in enumerate(solids) if s.shadow),
        centre=np.array([s.centre for s in solids], np.float64).reshape(-1, 3),
        rot=_rotations(np.array([(s.yaw, s.pitch) for s in solids], np.float64).reshape(-1, 2)),
        half=np.array([s.half for s in solids], np.float64).reshape(-1, 3),
        taper=np.array([s.taper for s in solids], f32),
        colour=np.array([s.paint.colour for s in solids], f32).reshape(-1, 3),
        reflect=np.array([s.paint.reflect for s in solids], f32),
        band=np.array([s.band for s in solids], f32).reshape(-1, 2),
        trim_colour=np.array([s.trim.colour for s in solids], f32).reshape(-1, 3),
        trim_reflect=np.array([s.trim.reflect for s in solids], f32),
    )


def _rotations(angles: F64) -> F64:
    """float64 [n, 3, 3] = Rz(yaw) Ry(pitch) of angles float64 [n, 2]."""
    (cy, cp), (sy, sp) = np.cos(angles).T, np.sin(angles).T
    rows = [[cy * cp, -sy, cy * sp], [sy * cp, cy, sy * sp], [-sp, np.zeros_like(sp), cp]]
    return np.moveaxis(np.array(rows), 2, 0)


def dot(a: F32, b: F32) -> F32:
    """The product float32 [m] of each column of a and b, float32 [3, m]."""
    summed: F32 = a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    return summed


def _interval(a: F32, b: F32, c: F32) -> tuple[F32, F32]:
    """Where a t^2 + 2 b t + c <= 0; empty (inf, -inf) where the ray misses, or where a <= 0 (see `_round`)."""
    root = b * b - a * c
    hit = (root >= 0) & (a > 0)
    root = np.sqrt(np.where(hit, root, 0))
    a = np.where(hit, a, 1)
    never = np.float32(np.inf)
    return np.where(hit, (-b - root) / a, never), np.where(hit, (root - b) / a, -never)


def _slab(o: F32, d: F32) -> tuple[F32, F32]:
    """Where |o + t d| <= 1, along one axis or several."""
    inverse: F32 = np.reciprocal(np.where(np.abs(d) < 1e-9, np.float32(1e-9), d))
    middle, width = -o * inverse, np.abs(inverse)
    return middle - width, middle + width


def _box(o: F32, d: F32, taper: F32) -> tuple[F32, F32]:
    (x0, y0, z0), (x1, y1, z1) = _slab(o, d)
    return np.maximum(np.maximum(x0, y0), z0), np.minimum(np.minimum(x1, y1), z1)


def _ball(o: F32, d: F32, taper: F32) -> tuple[F32, F32]:
    return _interval(dot(d, d), dot(o, d), dot(o, o) - 1)


def _round(o: F32, d: F32, taper: F32) -> tuple[F32, F32]:
    """A cone between foot and top; rays steeper than its side (a <= 0) miss: no sensor here looks so far down."""
    mean, slope = (1 + taper) / 2, (taper - 1) / 2
    r, dr = mean + slope * o[2], slope * d[2]
    a, b = d[0] * d[0] + d[1] * d[1] - dr * dr, o[0] * d[0] + o[1] * d[1] - r * dr
    side = _interval(a, b, o[0] * o[0] + o[1] * o[1] - r * r)
    ends = _slab(o[2], d[2])
    return np.maximum(side[0], ends[0]), np.minimum(side[1], ends[1])


_MEET: Mapping[Shape, Callable[[F32, F32, F32], tuple[F32, F32]]] = {"box": _box, "round": _round, "ball": _ball}


def entry(shape: Shape, o: F32, d: F32, taper: F32) -> F32:
    """Ray parameter float32 [m] at which rays o + t d, both [3, m], enter unit shapes; infinite where they miss.

    A ray that starts inside misses: no sensor is blinded by the body it is mounted in.
    """
    near, far = _MEET[shape](o, d, taper)
    return np.where((near <= far) & (near > 0), near, np.float32(np.inf))
