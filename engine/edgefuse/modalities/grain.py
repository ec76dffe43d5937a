"""Grain of a picture, from some of its rows: how noisy it is, and how sharp beside its own coarse contrast."""

from __future__ import annotations

import math

import numpy as np

from edgefuse import kernels
from edgefuse.reference_looks import PICTURE_COLUMNS
from edgefuse.types import F64, U8

LEAST_SIDE = 24  # pixels; a smaller picture has no grain to speak of
ROWS, COLUMNS = 48, PICTURE_COLUMNS  # looked at, at most
FULL_SIDE = 480  # pixels of the shorter side up to which the finest detail is one pixel
COARSE = 40  # the coarse detail is this part of the shorter side
LEAST_CONTRAST = 2.0  # grey levels squared; below, a picture is a plain wall, sharp or not
NOISE_SHARE = 7.0 / 12.0  # of the noise in the sharpness that is taken out: all of it would take fine texture along


class Grain:
    """Sums over some rows of the green plane of a picture uint8 [H, W, 3], see `kernels.picture_grain`.

    Differences of rows and of columns tell of both directions without touching the rest of the picture. Lags grow with
    the picture, so that a blur of the same share of it looks the same.
    """

    def __init__(self, image: U8) -> None:
        rows, width = image.shape[:2]
        side, columns = min(rows, width), min(width, COLUMNS)
        fine, coarse = max(1, round(side / FULL_SIDE)), max(3, side // COARSE)
        first, end, step = fine, rows - coarse, max(1, side // ROWS)
        grey = image, max(0, (width - COLUMNS) // 2), columns
        residue, *squares = kernels.picture_grain(*grey, first, end, step, fine, coarse)
        count = len(range(first, end, step))
        self.residue: int = residue
        self.inner: int = count * (columns - 2 * fine)
        whole = count * columns
        sizes = (self.inner, self.inner, whole, count * (columns - coarse), whole)
        self.energies = [total / size for total, size in zip(squares, sizes, strict=True)]

    @classmethod
    def of(cls, image: U8) -> Grain | None:
        """The grain of a picture, None for one too small to have any."""
        return None if min(image.shape[:2]) < LEAST_SIDE else cls(image)


def noise_level(grain: Grain | None) -> float:
    """Standard deviation of the noise in a picture, in grey levels, by its grain; 0 for one too small to tell.

    sqrt(pi / 2) * mean |N * I| / 6, with N = [[1, -2, 1], [-2, 4, -2], [1, -2, 1]], which is blind to edges and shades:
    Immerkaer (1996), "Fast noise variance estimation".
    """
    if grain is None:
        return 0.0
    return math.sqrt(math.pi / 2) / 6 * float(grain.residue) / grain.inner


def sharpness(grain: Grain | None) -> F64 | None:
    """Logarithm of fine detail over coarse contrast of a picture, by its grain, along columns and along rows.

    float64 [2]; None for a picture that is plain or tiny. Fine detail is the energy of second differences, as in the
    modified Laplacian of Nayar and Nakagawa (1994) and the energy measures of Pech-Pacheco et al. (2000). Over the
    energy of the differences at a coarse lag it does not change with light or contrast. White noise of variance s adds
    6 s and 2 s to the two; most of it is taken out, so that the noise of the sensor, which no lens blurs, does not pass
    for detail. The two directions stand apart since motion blurs only one.
    """
    if grain is None:
        return None
    residue, across, down, *contrast = grain.energies
    noise = NOISE_SHARE * residue / 36
    detail = [across - 6 * noise, down - 6 * noise]
    contrast = [energy - 2 * noise for energy in contrast]
    if min(contrast) < max(LEAST_CONTRAST, 1.5 * noise):
        return None
    return np.array([math.log(max(d / c, 1e-6)) for d, c in zip(detail, contrast, strict=True)])
