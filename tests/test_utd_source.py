"""Clips of UTD-MHAD as a source: made-up files, each sensor at its rate, and the truth when a clip is over."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

io = pytest.importorskip("scipy.io", reason="reading .mat files needs scipy")
pytest.importorskip("torch", reason="the extra `export` is not installed")

from edgefuse.types import NS_PER_S  # noqa: E402
from edgefuse_export.tasks.utd_mhad import LABELS, clip_names, read_clip, windows  # noqa: E402
from edgefuse_export.utd_source import UtdClips  # noqa: E402

LENGTHS = {(1, 2, 1): (12, 24, 50), (5, 4, 2): (20, 40, 75), (27, 2, 1): (9, 17, 40)}  # depth, skeleton, inertial


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for (action, person, trial), (frames, steps, rows) in LENGTHS.items():
        depth = np.zeros((80, 107, frames), np.uint16)
        depth[20:70, 40:60] = rng.integers(2000, 2400, (50, 20, frames))
        parts = {
            "Depth": ("d_depth", depth),
            "Skeleton": ("d_skel", rng.normal(0, 1, (20, 3, steps))),
            "Inertial": ("d_iner", rng.normal(0, 1, (rows, 6))),
        }
        for kind, (name, values) in parts.items():
            (tmp_path / kind).mkdir(exist_ok=True)
            io.savemat(tmp_path / kind / f"a{action}_s{person}_t{trial}_{kind.lower()}.mat", {name: values})
    return tmp_path


def test_every_row_of_every_file_is_sent_once_in_order(folder: Path) -> None:
    samples = list(UtdClips(folder, clip_names(folder)).samples())
    assert [s.stamp_ns for s in samples] == sorted(s.stamp_ns for s in samples)
    depths, skeletons, units = (sum(lengths[k] for lengths in LENGTHS.values()) for k in range(3))
    told = {"depth": depths, "skeleton": skeletons, "accelerometer": units, "gyroscope": units}
    assert Counter(s.stream for s in samples) == told


def test_a_clip_lasts_as_long_as_its_inertial_unit_measured(folder: Path) -> None:
    source = UtdClips(folder, clip_names(folder))
    assert source.length_s == pytest.approx((50 + 75 + 40) / 50)
    for clip in source.clips:
        rows = LENGTHS[clip.action, clip.person, clip.trial][2]
        assert clip.to_s - clip.from_s == pytest.approx(rows / 50)


def test_at_its_end_a_clip_has_been_sent_as_it_is_trained_on(folder: Path) -> None:
    source = UtdClips(folder, clip_names(folder), seed=3)
    last = source.clips[-1]
    newest = {sample.stream: sample for sample in source.samples()}
    whole = windows(*read_clip(folder, last.action, last.person, last.trial))
    for stream, window in whole.items():
        assert newest[stream].stamp_ns == round(last.to_s * NS_PER_S)
        np.testing.assert_array_equal(newest[stream].payload, window)


def test_the_truth_is_known_at_one_tick_of_twenty_per_second_as_a_clip_ends(folder: Path) -> None:
    source = UtdClips(folder, clip_names(folder))
    ticks = [source.truth(round(k * NS_PER_S / 20)) for k in range(round(20 * source.length_s) + 3)]
    assert [told["action"] for told in ticks if told] == [LABELS[clip.action - 1] for clip in source.clips]


def test_the_order_is_drawn_from_the_seed(folder: Path) -> None:
    names = clip_names(folder)
    orders = {tuple(c.action for c in UtdClips(folder, names, seed).clips) for seed in range(8)}
    assert len(orders) > 1
    assert UtdClips(folder, names, 1).clips == UtdClips(folder, names, 1).clips
