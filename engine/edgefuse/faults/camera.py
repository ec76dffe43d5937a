"""Faults of a camera, on uint8 [H, W, 3] RGB: noise, blur, light, weather and what a codec or a link leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from edgefuse.faults.base import Five, Kind, Level, Moment, graded, plain
from edgefuse.modalities.camera import CAMERA
from edgefuse.types import F32, U8

# Blurs are stated for pictures of this many pixels; scaled with the short side they look alike at every size.
STATED_PX = 224
OCTAVES = 9  # of fog; a finer one would be weaker than noise


def _gaussian_noise(x: F32, sd: float, moment: Moment) -> F32:
    return x + np.float32(sd) * moment.rng.standard_normal(x.shape, np.float32)


def _shot_noise(x: F32, photons: float, moment: Moment) -> F32:
    return (moment.rng.poisson(x * photons) / photons).astype(np.float32)


def _impulse_noise(x: F32, share: float, moment: Moment) -> F32:
    chance = moment.rng.random(x.shape, np.float32)
    pepper, salt = chance < share / 2, chance >= 1.0 - share / 2
    return np.where(pepper, np.float32(0.0), np.where(salt, np.float32(1.0), x))


def _scaled(stated_px: float, x: F32) -> float:
    rows, cols = x.shape[:2]
    return max(1.0, stated_px * float(min(rows, cols)) / STATED_PX)


def _defocus_blur(x: F32, level: tuple[float, float], _moment: Moment) -> F32:
    """A disk of this radius, its edge softened by this sigma."""
    import cv2

    radius = round(_scaled(level[0], x))
    across = np.arange(-radius - 2, radius + 3)
    disk = (across[:, np.newaxis] ** 2 + across**2 <= radius**2).astype(np.float32)
    return _filtered(
        x, np.asarray(cv2.GaussianBlur(disk, (5, 5), level[1], borderType=cv2.BORDER_CONSTANT), np.float32)
    )


def _motion_blur(x: F32, level: tuple[float, float], moment: Moment) -> F32:
    """A trail of two radii that fades with this sigma, in a direction within 45 degrees of level."""
    radius, sigma = round(_scaled(level[0], x)), _scaled(level[1], x)
    along = np.arange(2 * radius + 1)
    angle = moment.rng.uniform(-np.pi / 4, np.pi / 4)
    rows, cols = np.rint(along * np.sin(angle)).astype(int), np.rint(along * np.cos(angle)).astype(int)
    kernel = np.zeros((4 * radius + 1, 4 * radius + 1), np.float32)
    np.add.at(kernel, (2 * radius + rows, 2 * radius + cols), np.exp(-0.5 * (along / sigma) ** 2))
    return _filtered(x, kernel)


def _filtered(x: F32, kernel: F32) -> F32:
    import cv2

    return np.asarray(cv2.filter2D(x, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT), np.float32)


def _brightness(x: F32, more: float, _moment: Moment) -> F32:
    """V of HSV raised, hue and saturation kept: every channel grows by the factor that V does."""
    value = np.maximum(np.maximum(x[..., :1], x[..., 1:2]), x[..., 2:])
    raised = np.minimum(value + np.float32(more), np.float32(1.0))
    factor = np.divide(raised, value, out=np.ones_like(value), where=value > 0)
    return np.where(value > 0, x * factor, raised)


def _dark(x: F32, level: tuple[float, float, float], moment: Moment) -> F32:
    scale, photons, sd = level
    return _gaussian_noise(_shot_noise(np.float32(scale) * x * x, photons, moment), sd, moment)


def _fog(x: F32, level: tuple[float, float], moment: Moment) -> F32:
    """(x + a p) m / (m + a) with the picture's brightest value m, the amount a and a plasma p in [0, 1]."""
    amount, decay = level
    peak = float(x.max())
    mist = _plasma((x.shape[0], x.shape[1]), decay, moment.rng)
    return (x + np.float32(amount) * mist[..., np.newaxis]) * np.float32(peak / (peak + amount))


def _plasma(shape: tuple[int, int], decay: float, rng: np.random.Generator) -> F32:
    """Noise of many scales, each finer and weaker by `decay`, as midpoint displacement gives it, but of any size."""
    import cv2

    rows, cols = shape
    total = np.zeros(shape, np.float32)
    for octave in range(OCTAVES):
        grid = rng.random((2**octave + 1, 2**octave + 1), np.float32)
        total += np.float32(decay**-octave) * cv2.resize(grid, (cols, rows), interpolation=cv2.INTER_LINEAR)
    total -= total.min()
    mist: F32 = total / max(float(total.max()), 1e-6)
    return mist


def _contrast(x: F32, factor: float, _moment: Moment) -> F32:
    # Summed in float64: over a large picture float32 loses a grey level.
    mean = x.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
    changed: F32 = (x - mean) * np.float32(factor) + mean
    return changed


def _jpeg(image: U8, quality: int, _moment: Moment) -> U8:
    import cv2

    # The codec weighs the channels by their colours, and takes them in the order blue, green, red.
    coded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def _pixelate(image: U8, scale: float, _moment: Moment) -> U8:
    import cv2

    rows, cols = image.shape[:2]
    size = (max(1, round(cols * scale)), max(1, round(rows * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (cols, rows), interpolation=cv2.INTER_NEAREST), np.uint8)


def _quantise(image: U8, bits: int, _moment: Moment) -> U8:
    coarse: U8 = image & np.uint8(256 - (1 << (8 - bits)))
    return coarse


def _light(what: str, levels: Five[Level], change: Callable[[F32, Level, Moment], F32]) -> Kind:
    """A row whose formula is of values in [0, 1]."""

    def on_bytes(image: U8, level: Level, moment: Moment) -> U8:
        changed = change(image.astype(np.float32) / np.float32(255.0), level, moment)
        levels_255: U8 = np.rint(np.clip(changed, 0.0, 1.0) * 255.0).astype(np.uint8)
        return levels_255

    return graded(CAMERA, what, levels, on_bytes)


# Levels: those of ImageNet-C. `dark` has RoboBEV's five scales with the noises that ImageNet-C's levels are of, at a
# tenth; `quantise` ends with its three (4, 3, 2 bits), with the two milder steps before them.
CAMERA_KINDS: Mapping[str, Kind] = {
    "black": plain(CAMERA, "the picture is black", lambda image, _: np.zeros_like(image)),
    "gaussian_noise": _light(
        "white noise of this standard deviation, white being 1", (0.08, 0.12, 0.18, 0.26, 0.38), _gaussian_noise
    ),
    "shot_noise": _light("noise of so many photons for white", (60.0, 25.0, 12.0, 5.0, 3.0), _shot_noise),
    "impulse_noise": _light("this share of the values is 0 or 255", (0.03, 0.06, 0.09, 0.17, 0.27), _impulse_noise),
    "defocus_blur": _light(
        f"out of focus: radius in px of {STATED_PX}, softness of its edge",
        ((3.0, 0.1), (4.0, 0.5), (6.0, 0.5), (8.0, 0.5), (10.0, 0.5)),
        _defocus_blur,
    ),
    "motion_blur": _light(
        f"moved while exposed: half length in px of {STATED_PX}, sigma of its fading",
        ((10.0, 3.0), (15.0, 5.0), (15.0, 8.0), (15.0, 12.0), (20.0, 15.0)),
        _motion_blur,
    ),
    "brightness": _light(
        "the value of each pixel is raised by this much, white being 1", (0.1, 0.2, 0.3, 0.4, 0.5), _brightness
    ),
    "dark": _light(
        "night: factor on the squared light, photons for white, standard deviation of noise",
        ((0.6, 600.0, 0.008), (0.5, 250.0, 0.012), (0.4, 120.0, 0.018), (0.3, 50.0, 0.026), (0.2, 30.0, 0.038)),
        _dark,
    ),
    "fog": _light(
        "clouds of mist: amount, how fast its finer parts fade",
        ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4)),
        _fog,
    ),
    "contrast": _light("this share of the contrast is left", (0.4, 0.3, 0.2, 0.1, 0.05), _contrast),
    "jpeg": graded(CAMERA, "compressed with this quality", (25, 18, 15, 10, 7), _jpeg),
    "pixelate": graded(CAMERA, "this share of the resolution is left", (0.6, 0.5, 0.4, 0.3, 0.25), _pixelate),
    "quantise": graded(CAMERA, "so many bits of each value are left", (6, 5, 4, 3, 2), _quantise),
}
