"""A stream of one kind as its checks see it: content, then memory, then a gate that five good samples open."""

from __future__ import annotations

import math
from collections.abc import Iterable

import cv2
import numpy as np

from edgefuse.modalities import KINDS
from edgefuse.types import F32, U8, Array, Reason

RECOVER = 5
S = 10**9


class Watched:
    """One sensor; `sees` gives what is wrong with a sample, `trusted` tells whether the last one was let in."""

    def __init__(self, kind: str, **checks: object) -> None:
        self.kind = KINDS[kind]
        self.checks = self.kind.checks(**checks)
        self.watcher = self.kind.watcher()
        self.trusted = False
        self._good = RECOVER

    def sees(self, payload: Array, stamp_ns: int) -> Reason | None:
        reason = self.glances(payload, stamp_ns)
        self._good = 0 if reason else self._good + 1
        self.trusted = self._good >= RECOVER
        if self.trusted:
            self.watcher.trust(payload, stamp_ns)
        return reason

    def glances(self, payload: Array, stamp_ns: int) -> Reason | None:
        """As `sees`, for a sample that never comes: nothing is learned from it, whatever it is like."""
        reason, seen = self.kind.inspected(payload, payload.shape, self.checks)
        return reason or self.watcher.look(payload, seen, stamp_ns, self.checks)

    def sees_all(self, samples: Iterable[tuple[int, Array]]) -> list[Reason | None]:
        return [self.sees(payload, stamp_ns) for stamp_ns, payload in samples]


def defocus(picture: U8, radius_px: float = 6.0) -> U8:
    """The picture through a lens out of focus: a disk of this radius at 480 rows, scaled with the picture."""
    radius, fine = radius_px * min(picture.shape[:2]) / 480, 9
    half = math.ceil(radius) + 1
    along = (np.arange((2 * half + 1) * fine) + 0.5) / fine - (half + 0.5)
    disk = (along[:, None] ** 2 + along**2 <= radius**2).astype(np.float32)
    weights = disk.reshape(2 * half + 1, fine, 2 * half + 1, fine).mean(axis=(1, 3))
    blurred: U8 = cv2.filter2D(picture, -1, weights / weights.sum(), borderType=cv2.BORDER_REFLECT)  # type: ignore[assignment]
    return blurred


def gaussian_noise(picture: U8, sigma: float, rng: np.random.Generator) -> U8:
    """Noise of standard deviation sigma, as a part of the range, in each channel; cut to the range."""
    return np.rint(255 * np.clip(picture / 255 + rng.normal(0.0, sigma, picture.shape), 0, 1)).astype(np.uint8)


def salt_and_pepper(picture: U8, share: float, rng: np.random.Generator) -> U8:
    """This share of all values becomes 0 or 255, half of them each."""
    chance = rng.random(picture.shape)
    return np.where(chance < share / 2, 0, np.where(chance < share, 255, picture)).astype(np.uint8)


def lit(picture: U8, gain: float) -> U8:
    """The picture in other light."""
    return np.clip(np.rint(picture * gain), 0, 255).astype(np.uint8)


def facing_deg(points: F32) -> Array:
    return np.degrees(np.arctan2(points[:, 1], points[:, 0]))


def without_sector(points: F32, middle_deg: float, width_deg: float) -> F32:
    """The points outside a sector of azimuth."""
    away = np.abs((facing_deg(points) - middle_deg + 180) % 360 - 180)
    return points[away > width_deg / 2]


def in_motion(picture: U8, angle_deg: float, length_px: int = 15) -> U8:
    """The picture of a camera that turns while the shutter is open: smeared along a line."""
    weights = np.zeros((length_px, length_px), np.float32)
    middle, reach = (length_px - 1) / 2, np.linspace(-(length_px - 1) / 2, (length_px - 1) / 2, 8 * length_px)
    rows, cols = middle - reach * math.sin(math.radians(angle_deg)), middle + reach * math.cos(math.radians(angle_deg))
    np.add.at(weights, (np.rint(rows).astype(int), np.rint(cols).astype(int)), 1.0)
    smeared: U8 = cv2.filter2D(picture, -1, weights / weights.sum(), borderType=cv2.BORDER_REFLECT)  # type: ignore[assignment]
    return smeared
