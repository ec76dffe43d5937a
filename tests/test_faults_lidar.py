"""Corruptions of clouds, each against its formula written down a second time."""

from __future__ import annotations

import numpy as np
import pytest

from edgefuse.faults import SEVERITIES
from edgefuse.faults.lidar import beam_of
from edgefuse.types import Array
from fault_cases import applied, at, cloud

BEAMS, AZIMUTHS = 32, 180
CLOUD = cloud(BEAMS, AZIMUTHS)
BEAM = np.repeat(np.arange(BEAMS), AZIMUTHS)  # as it was made
N = len(CLOUD)


def kept(changed: Array) -> Array:
    """Which points of the cloud are still there, untouched: bool [n]."""
    rows = {row.tobytes() for row in changed}
    return np.array([row.tobytes() in rows for row in CLOUD])


def test_beams_are_found_by_their_elevation() -> None:
    shuffled = np.random.default_rng(0).permutation(N)
    assert np.array_equal(beam_of(CLOUD[shuffled]), BEAM[shuffled])


@pytest.mark.parametrize(("severity", "share"), at(0.25, 0.375, 0.5, 0.625, 0.75))
def test_missing_beams_are_whole_and_the_same_at_every_scan(severity: int, share: float) -> None:
    dead = set(BEAM[~kept(applied("beams_missing", CLOUD, severity))])
    assert len(dead) == share * BEAMS
    assert kept(applied("beams_missing", CLOUD, severity)).sum() == (BEAMS - len(dead)) * AZIMUTHS
    moved = CLOUD * np.float32([0.9, 0.9, 0.9, 1])
    assert len(applied("beams_missing", moved, severity)) == N - len(dead) * AZIMUTHS
    if severity > 1:
        assert dead > set(BEAM[~kept(applied("beams_missing", CLOUD, severity - 1))])


@pytest.mark.parametrize(("severity", "share"), at(0.5, 0.6, 0.7, 0.8, 0.9))
def test_missing_points_are_a_share_of_all(severity: int, share: float) -> None:
    changed = applied("points_missing", CLOUD, severity)
    assert len(changed) == N - round(share * N)
    assert kept(changed).sum() == len(changed)


@pytest.mark.parametrize(("severity", "share"), at(0.004, 0.008, 0.012, 0.016, 0.02))
def test_crosstalk_throws_few_points_about(severity: int, share: float) -> None:
    changed = applied("crosstalk", CLOUD, severity)
    hit = (changed != CLOUD).any(axis=1)
    assert hit.sum() == round(share * N)
    assert np.std((changed - CLOUD)[hit, :3]) == pytest.approx(3.0, rel=0.35)
    assert changed[:, 3].min() >= 0 and changed[:, 3].max() <= 1


@pytest.mark.parametrize(("severity", "share"), at(0.55, 0.65, 0.75, 0.85, 0.95))
def test_an_incomplete_echo_loses_the_far_and_the_dark(severity: int, share: float) -> None:
    lost = ~kept(applied("incomplete_echo", CLOUD, severity))
    strength = CLOUD[:, 3] / (CLOUD[:, :3].astype(float) ** 2).sum(axis=1)
    assert lost.sum() == round(share * N / 2)
    assert strength[lost].max() <= np.quantile(strength, 0.501)


@pytest.mark.parametrize(("severity", "sd_m"), at(0.04, 0.06, 0.08, 0.1, 0.13))
def test_motion_blur_shifts_the_scan_and_shakes_its_points(severity: int, sd_m: float) -> None:
    moves = [applied("lidar_motion_blur", CLOUD, severity, seed=s) - CLOUD for s in range(60)]
    shifts = np.array([m[:, :3].mean(axis=0) for m in moves])
    assert shifts.std() == pytest.approx(sd_m, rel=0.2)
    assert (moves[0][:, :3] - shifts[0]).std() == pytest.approx(0.1 * sd_m, rel=0.05)
    assert not moves[0][:, 3].any()


@pytest.mark.parametrize(("severity", "sd_m"), at(0.02, 0.04, 0.06, 0.08, 0.1))
def test_noise_moves_each_point_by_itself(severity: int, sd_m: float) -> None:
    moves = applied("lidar_noise", CLOUD, severity) - CLOUD
    assert moves[:, :3].std() == pytest.approx(sd_m, rel=0.05)
    assert not moves[:, 3].any()


@pytest.mark.parametrize(("severity", "blobs"), at(2, 3, 5, 7, 10))
def test_cut_outs_are_balls_around_points(severity: int, blobs: float) -> None:
    lost = ~kept(applied("cutout", CLOUD, severity))
    size = round(0.02 * N)
    assert size < lost.sum() <= blobs * size
    # Of every ball at least its centre's nearest neighbour is lost too.
    places = CLOUD[lost][:, :3]
    apart = np.linalg.norm(places[:, None] - places[None], axis=2) + 1e9 * np.eye(len(places))
    all_apart = np.linalg.norm(places[:, None] - CLOUD[None, :, :3], axis=2)
    all_apart[all_apart == 0] = 1e9
    assert np.mean(apart.min(axis=1) == all_apart.min(axis=1)) > 0.9


@pytest.mark.parametrize(("severity", "kept_deg"), at(105, 90, 75, 60, 45))
def test_what_is_left_of_the_field_is_in_front(severity: int, kept_deg: float) -> None:
    azimuth_deg = np.degrees(np.arctan2(CLOUD[:, 1].astype(float), CLOUD[:, 0]))
    changed = applied("field_lost", CLOUD, severity)
    margin = np.abs(np.abs(azimuth_deg) - kept_deg) < 1e-3
    assert np.array_equal(kept(changed)[~margin], (np.abs(azimuth_deg) < kept_deg)[~margin])


@pytest.mark.parametrize(("severity", "alpha"), at(0.01, 0.015, 0.02, 0.03, 0.06))
def test_fog_lets_through_what_beer_and_lambert_say(severity: int, alpha: float) -> None:
    range_m = np.linalg.norm(CLOUD[:, :3].astype(float), axis=1)
    through = np.exp(-2 * alpha * range_m)
    changed = applied("lidar_fog", CLOUD, severity)
    places = {row[:3].tobytes(): row[3] for row in changed}
    clear = np.array([row[:3].tobytes() in places for row in CLOUD])
    near = range_m < 20
    for part in (near, ~near):
        assert clear[part].mean() == pytest.approx(through[part].mean(), abs=0.03)
    dimmed = np.array([places[row[:3].tobytes()] for row in CLOUD[clear]])
    np.testing.assert_allclose(dimmed, (CLOUD[:, 3] * through)[clear], rtol=1e-5)
    ghosts = len(changed) - clear.sum()
    assert ghosts == pytest.approx(0.1 * (N - clear.sum()), rel=0.25)


def test_ghosts_of_fog_lie_on_the_ray_and_nearer() -> None:
    places = {row[:3].tobytes() for row in CLOUD}
    ghosts = np.array([row for row in applied("lidar_fog", CLOUD, 5) if row[:3].tobytes() not in places])
    ray = CLOUD[:, :3] / np.linalg.norm(CLOUD[:, :3], axis=1, keepdims=True)
    distance = np.linalg.norm(ghosts[:, :3], axis=1)
    nearest = (ghosts[:, :3] / distance[:, None]) @ ray.T
    assert nearest.max(axis=1).min() > 1 - 1e-5
    assert np.all(distance < np.linalg.norm(CLOUD[:, :3], axis=1)[nearest.argmax(axis=1)] + 1e-3)
    assert ghosts[:, 3].max() <= np.float32(0.02)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_bent_mount_turns_and_shifts_and_stays_bent(severity: int) -> None:
    angle_deg, shift_m = [(1, 0.04), (1.5, 0.08), (2, 0.12), (2.5, 0.16), (3, 0.2)][severity - 1]
    changed = applied("misaligned", CLOUD, severity)
    # Kabsch: the rotation and the shift that carry one cloud onto the other.
    before, after = CLOUD[:, :3].astype(float), changed[:, :3].astype(float)
    u, _, vt = np.linalg.svd((before - before.mean(0)).T @ (after - after.mean(0)))
    rotation = vt.T @ np.diag([1, 1, np.sign(np.linalg.det(vt.T @ u.T))]) @ u.T
    shift = after.mean(0) - rotation @ before.mean(0)
    assert np.degrees(np.arccos((np.trace(rotation) - 1) / 2)) == pytest.approx(angle_deg, rel=1e-3)
    assert np.linalg.norm(shift) == pytest.approx(shift_m, rel=1e-3)
    assert np.abs(before @ rotation.T + shift - after).max() < 1e-4
    assert np.array_equal(changed[:, 3], CLOUD[:, 3])
