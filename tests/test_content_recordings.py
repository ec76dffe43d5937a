"""The content checks on whole recordings: silent on the clean ones, and quick where a fault is put in."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefuse.sources import open_source
from edgefuse.types import F32, F64, U8, Array
from watched import RECOVER, Watched, defocus, gaussian_noise, lit, salt_and_pepper, without_sector

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
KITTI, TUM = DATA / "kitti_raw_0013", DATA / "rgbd_tum"
SITES = [f"site:seed={seed}&duration_s=6" for seed in (1, 4, 11, 18)]  # heavy rain, night, fog, and a turn in clear air
ALL = (*SITES, "kitti", "tum")
KINDS = {"image_02": "camera", "velodyne_points": "lidar", "depth_02": "depth", "oxts": "gps"}

Recording = list[tuple[int, Array]]


@cache
def read(uri: str) -> dict[str, Recording]:
    """kind -> (stamp in ns, payload) of a recording, one stream a kind."""
    found: dict[str, Recording] = {}
    for sample in open_source(uri).samples():
        found.setdefault(KINDS.get(sample.stream, sample.stream), []).append((sample.stamp_ns, sample.payload))
    return found


@cache
def read_tum() -> dict[str, Recording]:
    """The five pictures of a hand-held camera and the depth beside them, in millimetres, three times over."""
    found: dict[str, Recording] = {"camera": [], "depth": []}
    for kind, folder in (("camera", "color"), ("depth", "depth")):
        for i, path in enumerate(sorted((TUM / folder).glob("*.png")) * 3):
            image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            payload = np.ascontiguousarray(image[..., ::-1]) if kind == "camera" else np.rint(image / 5)
            found[kind].append((i * 33_000_000, payload.astype(np.uint8 if kind == "camera" else np.uint16)))
    return found


def recording(name: str) -> dict[str, Recording]:
    if name == "tum":
        return read_tum() if TUM.is_dir() else pytest.skip("the TUM pictures are not on this machine")
    if name == "kitti":
        return read(f"kitti:{KITTI}") if KITTI.is_dir() else pytest.skip("the KITTI recording is not on this machine")
    return read(name)


def reasons(kind: str, samples: Recording) -> list[str]:
    return [reason for reason in Watched(kind).sees_all(samples) if reason not in (None, "no_fix")]


def holds(name: str, kind: str) -> bool:
    """TUM has no lidar and no receiver."""
    return name != "tum" or kind in ("camera", "depth")


@pytest.mark.parametrize(
    ("name", "kind"), [(n, k) for n in ALL for k in ("camera", "depth", "lidar", "gps") if holds(n, k)]
)
def test_a_clean_recording_raises_no_alarm(name: str, kind: str) -> None:
    samples = recording(name)[kind]
    assert len(samples) >= 15
    assert reasons(kind, samples) == []


@pytest.mark.parametrize("gain", [0.8, 1.2])
@pytest.mark.parametrize("name", ALL)
def test_other_light_from_one_picture_on_raises_no_alarm(name: str, gain: float) -> None:
    samples = recording(name)["camera"]
    assert reasons("camera", [(t, lit(p, gain) if i >= 10 else p) for i, (t, p) in enumerate(samples)]) == []


def fog_of_lens(picture: U8, rng: np.random.Generator) -> U8:
    return defocus(picture, 6.0)


def grain(picture: U8, rng: np.random.Generator) -> U8:
    return gaussian_noise(picture, 0.18, rng)


def dead_pixels(picture: U8, rng: np.random.Generator) -> U8:
    return salt_and_pepper(picture, 0.09, rng)


def cut_sector(points: F32, rng: np.random.Generator) -> F32:
    return without_sector(points, float(rng.uniform(-180, 180)), 60.0)


def every_third_point(points: F32, rng: np.random.Generator) -> F32:
    return points[rng.random(len(points)) < 0.3]


def far_away(fix: F64, rng: np.random.Generator) -> F64:
    moved = fix.copy()
    moved[0] += 50 / 111_200
    return moved


def at_the_rail(depth: Array, rng: np.random.Generator) -> Array:
    return np.where(depth > 0, 12_000, 0).astype(np.uint16)


Change = Callable[[Array, np.random.Generator], Array]


FAULTS: tuple[tuple[str, Change, str], ...] = (
    ("camera", fog_of_lens, "blurred"),
    ("camera", grain, "noisy"),
    ("camera", dead_pixels, "noisy"),
    ("lidar", cut_sector, "sector_lost"),
    ("lidar", every_third_point, "beams_lost"),
    ("gps", far_away, "position_jump"),
    ("depth", at_the_rail, "saturated"),
)


@pytest.mark.parametrize(("name", "fault"), [(n, fault) for n in ALL for fault in FAULTS if holds(n, fault[0])])
def test_a_fault_put_in_is_noticed_at_its_first_sample(name: str, fault: tuple[str, Change, str]) -> None:
    kind, change, reason = fault
    samples, rng, stream = recording(name)[kind], np.random.default_rng(3), Watched(kind)
    for i, (stamp_ns, payload) in enumerate(samples):
        if i > RECOVER and stream.trusted and i % 3 == 0:
            assert stream.glances(change(payload, rng), stamp_ns) == reason
        stream.sees(payload, stamp_ns)


def test_half_of_the_beams_of_a_real_lidar_are_missed() -> None:
    samples, stream = recording("kitti")["lidar"], Watched("lidar")
    for i, (stamp_ns, points) in enumerate(samples):
        turn = np.arctan2(points[:, 1], points[:, 0])
        beam = np.concatenate([[0], np.cumsum((turn[1:] >= 0) & (turn[:-1] < 0))])  # the file holds one after the other
        if i >= RECOVER:
            assert stream.glances(points[beam % 2 == 0], stamp_ns) == "beams_lost"
        stream.sees(points, stamp_ns)
