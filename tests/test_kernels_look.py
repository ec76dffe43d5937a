"""Tests of the kernels that look at payloads: each instruction set gives NumPy's bits, and NumPy the definitions."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgefuse import reference_looks
from edgefuse.reference_looks import CLOUD_POINTS, ELEVATIONS, SECTORS, SLOPES
from kernel_cases import ISAS, cpp

SIZES, SIDES, SEEDS = st.integers(24, 90), st.integers(1, 60), st.integers(0, 99)


def everywhere(name: str, *given: Any) -> Any:
    """What NumPy gives, after every instruction set has given the same."""
    want = getattr(reference_looks, name)(*given)
    before = cpp.isa() if cpp else ""
    for isa in ISAS:
        cpp.set_isa(isa)
        assert getattr(cpp, name)(*given) == want, isa
    if cpp:
        cpp.set_isa(before)
    return want


def layouts(image: Any) -> list[Any]:
    """The same picture in other strides."""
    wide = np.zeros((image.shape[0], 2 * image.shape[1], 3), np.uint8)
    wide[:, ::2] = image
    return [image, np.asfortranarray(image), np.ascontiguousarray(image[..., ::-1])[..., ::-1], wide[:, ::2]]


@settings(max_examples=40, deadline=None)
@given(
    rows=SIZES,
    width=SIZES,
    step=st.integers(1, 5),
    fine=st.integers(1, 4),
    more=st.integers(0, 6),
    seed=st.integers(0, 99),
)
def test_the_grain_of_a_picture_is_the_sums_of_its_definition(
    rows: int, width: int, step: int, fine: int, more: int, seed: int
) -> None:
    rng, coarse = np.random.default_rng(seed), fine + more
    image = rng.integers(0, 256, (rows, width, 3), np.uint8)
    left, columns = 2, width - 3
    found = {
        everywhere("picture_grain", v, left, columns, fine, rows - coarse, step, fine, coarse) for v in layouts(image)
    }
    assert len(found) == 1
    g = image[:, left : left + columns, 1].astype(int)
    sums = [0] * 6
    for r in range(fine, rows - coarse, step):
        down = 2 * g[r] - g[r - fine] - g[r + fine]
        for c in range(fine, columns - fine):
            residue = 2 * down[c] - down[c - fine] - down[c + fine]
            sums[0] += abs(residue)
            sums[1] += residue**2
            sums[2] += (2 * g[r, c] - g[r, c - fine] - g[r, c + fine]) ** 2
        sums[3] += (down**2).sum()
        sums[4] += ((g[r, coarse:] - g[r, :-coarse]) ** 2).sum()
        sums[5] += ((g[r + coarse] - g[r]) ** 2).sum()
    assert found.pop() == tuple(sums)


def test_the_wildest_picture_overflows_nothing() -> None:
    image = np.zeros((60, 1024, 3), np.uint8)
    image[(np.indices((60, 1024)).sum(0) % 2) == 0] = 255
    absolute, squares, *_ = everywhere("picture_grain", image, 0, 1024, 1, 50, 1, 1, 3)
    assert (absolute, squares) == (49 * 1022 * 2040, 49 * 1022 * 2040**2)


@settings(max_examples=60, deadline=None)
@given(size=st.integers(0, 300), at=st.integers(0, 299), bad=st.sampled_from([math.nan, math.inf, -math.inf]))
def test_values_of_any_number_and_shape_are_all_finite_or_not(size: int, at: int, bad: float) -> None:
    values = np.full(size, np.finfo(np.float32).max, np.float32)
    assert everywhere("all_finite", values) is True
    assert everywhere("all_finite", values.reshape(1, -1, 1)) is True
    if at < size:
        values[at] = bad
        assert everywhere("all_finite", values) is False


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(0, 40), width=st.integers(0, 40), step=st.integers(1, 7), seed=SEEDS)
def test_levels_count_pixels_whose_channels_are_all_beyond(rows: int, width: int, step: int, seed: int) -> None:
    image = np.random.default_rng(seed).choice(np.array([0, 4, 5, 249, 250, 255], np.uint8), (rows, width, 3))
    found = {everywhere("picture_levels", v, step, 4, 250) for v in layouts(image)}
    some = [image[r, c].tolist() for r in range(0, rows, step) for c in range(0, width, step)]
    assert found == {(sum(max(p) <= 4 for p in some), sum(min(p) >= 250 for p in some))}


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 40),
    width=st.integers(1, 70),
    step=st.integers(1, 7),
    limit=st.sampled_from([5, 4000, 65535]),
    seed=st.integers(0, 99),
)
def test_depth_counts_what_is_measured_at_the_limit_and_torn(
    rows: int, width: int, step: int, limit: int, seed: int
) -> None:
    depth = np.random.default_rng(seed).choice(np.array([0, 1, 2, 3, 4000, 5000, 65535], np.uint16), (rows, width))
    found = everywhere("depth_counts", depth, step, limit)
    assert found == everywhere("depth_counts", np.asfortranarray(depth), step, limit)
    some = depth[::step]
    farthest = min(int(some.max()), limit)
    pairs = [sorted((int(a), int(b))) for r in some for a, b in pairwise(r) if a > 0 and b > 0]
    torn = sum(far - near > near // 2 for near, far in pairs)
    assert found == (int((some > 0).sum()), int((some >= farthest).sum()), len(pairs), torn)


@settings(max_examples=40, deadline=None)
@given(size=st.one_of(st.integers(0, 200), st.integers(30_000, 40_000)), seed=SEEDS)
def test_a_digest_changes_with_any_byte_that_is_looked_at(size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 256, size, np.uint8)
    before = everywhere("digest", values)
    assert before == everywhere("digest", values.copy())
    assert size == 0 or before != everywhere("digest", values[1:])
    if 0 < size <= 32 * reference_looks.DIGEST_BLOCKS:
        values[rng.integers(size)] ^= np.uint8(1 << rng.integers(8))
        assert before != everywhere("digest", values)


def test_a_digest_is_of_the_values_and_not_of_how_they_lie_in_memory() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    assert everywhere("digest", picture) == everywhere("digest", np.asfortranarray(picture))
    assert everywhere("digest", picture) == everywhere("digest", np.hstack([picture, picture])[:, :640])
    assert everywhere("digest", picture[:-1].reshape(-1)[1:]) == everywhere(
        "digest", picture[:-1].reshape(-1)[1:].copy()
    )


def test_no_two_of_many_pictures_that_differ_by_noise_have_one_digest() -> None:
    rng = np.random.default_rng(1)
    still = rng.integers(0, 250, (120, 160, 3), np.uint8)
    digests = {everywhere("digest", still + rng.integers(0, 2, still.shape, np.uint8)) for _ in range(300)}
    assert len(digests) == 300


@pytest.mark.parametrize("count", [0, 1, 5, CLOUD_POINTS, 4095, 4096, 30_000])
def test_a_cloud_counts_what_is_sound_and_what_lies_outside(count: int) -> None:
    rng = np.random.default_rng(count)
    points = rng.normal(0, 30, (count, 4)).astype(np.float32)
    points[::7, 3], points[::11, 3], points[::5, :3], points[::13, :3] = 0.0, 1e-38, 0.01, 0.0
    finite, nonzero, sound, outside = everywhere("cloud_counts", points, 1e-30, 0.05, 60.0)
    assert finite == 1
    if 4 * count <= reference_looks.CLOUD_VALUES:
        assert (nonzero, sound) == (np.count_nonzero(points), np.count_nonzero(np.abs(points) >= 1e-30))
    if count <= CLOUD_POINTS:
        ranges = np.abs(points[:, :3]).max(1, initial=0.0)
        assert outside == np.count_nonzero(((ranges < 0.05) & (ranges > 0)) | (ranges > 60.0))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 3, 401, 4 * 3000 - 1])
def test_one_value_that_is_not_finite_is_found_wherever_it_lies(value: float, place: int) -> None:
    points = np.ones((3000, 4), np.float32)
    points.reshape(-1)[place] = value
    assert everywhere("cloud_counts", points, 1e-30, 0.05, 60.0) == (0, 0, 0, 0)


def swept(points: Any) -> Any:
    """Counts by NumPy, after every instruction set has given the same bits."""
    want = np.full(1 + SECTORS + ELEVATIONS, np.nan)
    reference_looks.sweep_counts(points, SLOPES, want)
    before = cpp.isa() if cpp else ""
    for isa in ISAS:
        cpp.set_isa(isa)
        out = np.full(want.shape, np.nan)
        cpp.sweep_counts(points, SLOPES, out)
        np.testing.assert_array_equal(out, want, err_msg=isa)
    if cpp:
        cpp.set_isa(before)
    return want


@pytest.mark.parametrize("count", [0, 1, 100, 8191, 8192, 40_000])
def test_a_sweep_is_counted_by_azimuth_and_by_rise(count: int) -> None:
    rng = np.random.default_rng(count)
    points = rng.normal(0, 10, (count, 4)).astype(np.float32)
    points[:, 2] /= 5
    points[::9, :2] = 0.0  # no echo
    counts = swept(points)
    if count <= 8191:
        hit = points[np.hypot(points[:, 0], points[:, 1]) > 0].astype(float)
        degrees = np.degrees(np.arctan2(hit[:, 1], hit[:, 0]))
        want = np.bincount(np.minimum((degrees + 180) // 5, 71).astype(int), minlength=72)
        np.testing.assert_array_equal(counts[1:73], want)
        rise = hit[:, 2] / np.hypot(hit[:, 0], hit[:, 1])
        assert counts[0] == len(hit) == counts[73:].sum()
        assert counts[73 + 128 :].sum() == np.count_nonzero(rise >= 0)
    else:
        assert counts[0] == pytest.approx(len(points) * 8 / 9, rel=0.02)


def test_directions_on_the_border_of_sectors_fall_into_one_of_the_two() -> None:
    angles = np.radians(np.arange(-180, 180, 5))
    points = np.stack([np.cos(angles), np.sin(angles), 0 * angles, 0 * angles], 1).astype(np.float32)
    counts = swept(points)[1:73]
    assert counts.sum() == 72 and counts.max() <= 2


def test_extreme_points_fall_into_the_outermost_rows_and_overflow_nothing() -> None:
    big = np.float32(3e38)
    points = np.array([[1, 0, big, 0], [1, 0, -big, 0], [big, big, 1, 0], [1e-42, 1e-42, 1, 0]], np.float32)
    counts = swept(points)
    assert counts[0] == 4.0
    assert (counts[73], counts[-1]) == (1.0, 2.0)
    assert math.isfinite(counts.sum())


BAD: dict[str, tuple[str, tuple[Any, ...]]] = {
    "image dtype": ("picture_levels", (np.zeros((4, 4, 3), np.int16), 1, 4, 250)),
    "image shape": ("picture_levels", (np.zeros((4, 4), np.uint8), 1, 4, 250)),
    "channels": ("picture_levels", (np.zeros((4, 4, 4), np.uint8), 1, 4, 250)),
    "step": ("picture_levels", (np.zeros((4, 4, 3), np.uint8), 0, 4, 250)),
    "columns": ("picture_grain", (np.zeros((40, 40, 3), np.uint8), 0, 41, 1, 30, 1, 1, 3)),
    "left": ("picture_grain", (np.zeros((40, 40, 3), np.uint8), -1, 40, 1, 30, 1, 1, 3)),
    "rows above": ("picture_grain", (np.zeros((40, 40, 3), np.uint8), 0, 40, 0, 30, 1, 1, 3)),
    "rows below": ("picture_grain", (np.zeros((40, 40, 3), np.uint8), 0, 40, 1, 38, 1, 1, 3)),
    "narrow": ("picture_grain", (np.zeros((40, 40, 3), np.uint8), 0, 3, 1, 30, 1, 1, 3)),
    "coarse": ("picture_grain", (np.zeros((40, 40, 3), np.uint8), 0, 40, 2, 30, 1, 2, 1)),
    "depth dtype": ("depth_counts", (np.zeros((4, 4), np.float32), 1, 9)),
    "depth step": ("depth_counts", (np.zeros((4, 4), np.uint16), 0, 9)),
    "points": ("cloud_counts", (np.zeros((4, 3), np.float32), 1e-30, 0.0, 1.0)),
    "slopes": ("sweep_counts", (np.zeros((4, 4), np.float32), SLOPES[:7], np.zeros(329))),
    "out": ("sweep_counts", (np.zeros((4, 4), np.float32), SLOPES, np.zeros(328))),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_what_would_be_read_or_written_outside_is_refused(case: str) -> None:
    name, arguments = BAD[case]
    for module in (reference_looks, *([cpp] if cpp else [])):
        with pytest.raises(ValueError):
            getattr(module, name)(*arguments)
