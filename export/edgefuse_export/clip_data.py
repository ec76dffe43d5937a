"""Clips of the simulated site as its camera and its depth sensor see it, each of an episode of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgefuse.sources.site import DEPTH_RANGE_M, LABELS
from edgefuse.sources.site.bodies import scene_solids
from edgefuse.sources.site.episode import Episode, draw_episode
from edgefuse.sources.site.sensors import camera_image, depth_image
from edgefuse.sources.site.solids import pack
from edgefuse.types import F32
from edgefuse_export.labelled import Labelled
from edgefuse_export.site_data import Made, cached

FRAMES, ROWS, COLS = 8, 36, 48
RATE_HZ = 5.0  # of frames: a clip lasts 1.4 s
EPISODE_S, SURE_S = 20.0, 0.4  # of which a clip is cut; for how long its label has held at its end
_CLIPS = 5  # apart from the seeds of moments and of live episodes

STREAMS = ("camera", "depth")


def clip_data(
    folder: Path, first_seed: int, clips: int, workers: int, progress: Callable[[Iterator[Any]], Iterator[Any]]
) -> Labelled:
    """camera float32 [n, T, ROWS, COLS, 3] in [0, 1] and depth [n, T, ROWS, COLS] in m, 0 where nothing was measured.

    T is FRAMES. The label is that of the last frame; the four are equally likely. Cached in `folder`.
    """
    of = {"frames": FRAMES, "size": [ROWS, COLS], "rate_hz": RATE_HZ, "sure_s": SURE_S}
    return cached(folder, clip, STREAMS, of, range(first_seed, first_seed + clips), workers, progress)


def clip(seed: int) -> Made:
    """One clip, and its label."""
    rng = np.random.default_rng((_CLIPS, seed))
    wanted = int(rng.integers(len(LABELS)))
    episode = draw_episode(rng, EPISODE_S)
    ends_s = [t for t in np.arange(FRAMES / RATE_HZ, EPISODE_S, 0.1) if _holds(episode, float(t), wanted)]
    end_s = float(rng.choice(ends_s))
    times_s = end_s - np.arange(FRAMES - 1, -1, -1) / RATE_HZ
    scenes = [episode.scene(float(t)) for t in times_s]
    solids = [pack(scene_solids(scene)) for scene in scenes]
    camera = [_small(camera_image(s, p, rng)) / np.float32(255) for s, p in zip(scenes, solids, strict=True)]
    depth = [_small_depth(depth_image(s, p, rng)) for s, p in zip(scenes, solids, strict=True)]
    return {"camera": np.stack(camera), "depth": np.stack(depth)}, wanted


def _holds(episode: Episode, at_s: float, wanted: int) -> bool:
    return episode.label(at_s) == wanted and episode.label(at_s - SURE_S) == wanted


def _small(picture: Any) -> F32:
    small: F32 = cv2.resize(picture, (COLS, ROWS), interpolation=cv2.INTER_AREA).astype(np.float32)
    return small


def _small_depth(millimetres: Any) -> F32:
    """In metres. The nearest pixel, not a mean: between a worker and the ground behind there is nothing."""
    small: F32 = cv2.resize(millimetres, (COLS, ROWS), interpolation=cv2.INTER_NEAREST).astype(np.float32)
    metres: F32 = np.minimum(small / np.float32(1000), np.float32(DEPTH_RANGE_M))
    return metres
