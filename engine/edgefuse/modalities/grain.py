"""Grain of a picture, from some of its rows: how noisy it is, and how sharp beside its own coarse contrast."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edgefuse.types import F64, U8

I16 = NDArray[np.int16]

LEAST_SIDE = 24  # pixels; a smaller picture has no grain to speak of
ROWS, COLUMNS = 48, 1024  # looked at, at most
FULL_SIDE = 480  # pixels of the shorter side up to which the finest detail is one pixel
COARSE = 40  # the coarse detail is this part of the shorter side
LEAST_CONTRAST = 2.0  # grey levels squared; below, a picture is a plain wall, sharp or not
NOISE_SHARE = 7.0 / 12.0  # of the noise in the sharpness that is taken out: all of it would take fine texture along


class Rows:
    """Rows of the green plane, int16 [n, m]: some, those `fine` pixels above and below, and those `coarse` below.

    Differences of rows and of columns tell of both directions without touching the rest of the picture. Lags grow with
    the picture, so that a blur of the same share of it looks the same.
    """

    def __init__(self, image: U8) -> None:
        rows, cols = image.shape[:2]
        side = min(rows, cols)
        self.fine, self.coarse = max(1, round(side / FULL_SIDE)), max(3, side // COARSE)
        left, step = max(0, (cols - COLUMNS) // 2), max(1, side // ROWS)
        self._green, self._step = image[:, left : left + COLUMNS, 1], step
        self._end = rows - self.coarse
        self.here = self._shifted(0)

    def _shifted(self, by: int) -> I16:
        return self._green[self.fine + by : self._end + by : self._step].astype(np.int16)

    def curvature(self) -> tuple[I16, I16]:
        """Second differences along columns [n, m - 2 fine] and along rows [n, m], at the fine lag."""
        across, down = 2 * self.here, 2 * self.here - self._shifted(-self.fine) - self._shifted(self.fine)
        across = across[:, self.fine : -self.fine] - self.here[:, : -2 * self.fine] - self.here[:, 2 * self.fine :]
        return across, down

    def contrast(self) -> tuple[I16, I16]:
        """Differences along columns [n, m - coarse] and along rows [n, m], at the coarse lag."""
        here, lag = self.here, self.coarse
        return here[:, lag:] - here[:, :-lag], self._shifted(lag) - here

    def residue(self, down: I16) -> I16:
        """What Immerkaer's mask leaves of the rows: `down` differenced twice along columns, int16 [n, m - 2 fine]."""
        return 2 * down[:, self.fine : -self.fine] - down[:, : -2 * self.fine] - down[:, 2 * self.fine :]


def noise_level(image: U8) -> float:
    """Standard deviation of the noise in a picture uint8 [H, W, 3], in grey levels; 0 for one too small to tell.

    sqrt(pi / 2) * mean |N * I| / 6, with N = [[1, -2, 1], [-2, 4, -2], [1, -2, 1]], which is blind to edges and shades:
    Immerkaer (1996), "Fast noise variance estimation".
    """
    import cv2

    if min(image.shape[:2]) < LEAST_SIDE:
        return 0.0
    rows = Rows(image)
    residue = rows.residue(rows.curvature()[1])
    return math.sqrt(math.pi / 2) / 6 * cv2.norm(residue, cv2.NORM_L1) / residue.size


def sharpness(image: U8) -> F64 | None:
    """Logarithm of fine detail over coarse contrast of a picture uint8 [H, W, 3], along columns and along rows.

    float64 [2]; None for a picture that is plain or tiny. Fine detail is the energy of second differences, as in the
    modified Laplacian of Nayar and Nakagawa (1994) and the energy measures of Pech-Pacheco et al. (2000). Over the
    energy of the differences at a coarse lag it does not change with light or contrast. White noise of variance s adds
    6 s and 2 s to the two; most of it is taken out, so that the noise of the sensor, which no lens blurs, does not pass
    for detail. The two directions stand apart since motion blurs only one.
    """
    if min(image.shape[:2]) < LEAST_SIDE:
        return None
    rows = Rows(image)
    curvature = rows.curvature()
    noise = NOISE_SHARE * _energy(rows.residue(curvature[1])) / 36
    detail = np.array([_energy(part) for part in curvature]) - 6 * noise
    contrast = np.array([_energy(part) for part in rows.contrast()]) - 2 * noise
    if contrast.min() < max(LEAST_CONTRAST, 1.5 * noise):
        return None
    shown: F64 = np.log(np.maximum(detail / contrast, 1e-6))
    return shown


def _energy(differences: I16) -> float:
    """Mean square; the sum is one of whole numbers, so that it is the same in any order."""
    import cv2

    return float(cv2.norm(differences, cv2.NORM_L2SQR) / differences.size)
