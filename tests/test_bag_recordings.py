"""One drive read from KITTI's own files and from a ROS 2 recording of them; a ROS 1 bag from beginning to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="the extra `bag` is not installed")

from edgefuse import load
from edgefuse.config import load_config
from edgefuse.doctor import shipped_bundle
from edgefuse.sources import open_source
from edgefuse.types import Sample

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
Moment = dict[str, Sample]
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the recordings are not here")


def played(uri: str, config: str) -> dict[str, dict[int, Sample]]:
    """Stream -> stamp -> sample."""
    topics = {own.topic: name for name, own in load_config(ROOT / "configs" / config).streams.items()}
    found: dict[str, dict[int, Sample]] = {name: {} for name in topics.values()}
    for sample in open_source(uri).samples():
        found[topics[sample.stream]][sample.stamp_ns] = sample
    return found


@pytest.fixture(scope="module")
def both() -> list[tuple[Moment, Moment]]:
    """The ten frames that both have: as ROS 2 recorded them, and as KITTI's files hold them."""
    ros = played(f"bag:{DATA / 'ros2_mcap_kitti'}", "kitti-ros2.yaml")
    files = played(f"kitti:{DATA / 'kitti_raw_0013'}", "kitti.yaml")
    frames = []
    for k in range(10):
        moment = {name: list(of.values())[k] for name, of in ros.items()}
        frames.append((moment, {name: files[name][sample.stamp_ns] for name, sample in moment.items()}))
    return frames


def test_pictures_and_clouds_are_the_same_bytes(both: list[tuple[Moment, Moment]]) -> None:
    for ros, files in both:
        for name in ("camera", "lidar"):
            np.testing.assert_array_equal(ros[name].payload, files[name].payload)


def test_depth_differs_by_what_the_recorder_left_out_of_the_projection(both: list[tuple[Moment, Moment]]) -> None:
    # The last column of KITTI's P_rect_02 is 44.86, 0.216, 0.0027. The recorded transform holds the first of these, the
    # 6 cm between two cameras; left out are 0.3 mm down and 2.7 mm ahead: a few points fall into the pixel beside.
    for ros, files in both:
        apart_mm = np.abs(ros["depth"].payload.astype(int) - files["depth"].payload.astype(int))
        seen = (ros["depth"].payload > 0) & (files["depth"].payload > 0)
        assert np.median(apart_mm[seen]) <= 3.0
        assert np.mean(apart_mm > 5) < 0.05


def test_places_are_the_same_and_their_variances_those_that_the_recorder_chose(
    both: list[tuple[Moment, Moment]],
) -> None:
    for ros, files in both:
        np.testing.assert_array_equal(ros["gps"].payload[:3], files["gps"].payload[:3])
        np.testing.assert_allclose(ros["gps"].payload[3:6], 2.0 * files["gps"].payload[3:6])


def test_answers_from_the_same_bytes_are_the_same_bits_and_labels_agree_throughout(
    both: list[tuple[Moment, Moment]],
) -> None:
    engine = load(shipped_bundle(), ROOT / "configs" / "kitti.yaml")
    for streams in (["camera"], ["lidar"], ["camera", "lidar"], ["depth"], ["camera", "depth", "lidar", "gps"]):
        for ros, files in both:
            ours, theirs = (engine.answer({name: moment[name].payload for name in streams}) for moment in (ros, files))
            assert ours.labels == theirs.labels
            assert {n: t.reason for n, t in ours.streams.items()} == {n: t.reason for n, t in theirs.streams.items()}
            if not {"depth", "gps"} & set(streams):
                np.testing.assert_array_equal(ours.outputs["action"], theirs.outputs["action"])


def test_the_receiver_of_a_ros_1_bag_runs_its_395_seconds() -> None:
    source = open_source(f"bag:{DATA / 'ros1_bag_husky_gps' / 'test1.bag'}")
    source.want(["/fix"])
    fixes = list(source.samples())
    assert (len(fixes), source.problems) == (989, [])
    stamps = np.array([fix.stamp_ns for fix in fixes])
    assert (fixes[-1].stamp_ns - fixes[0].stamp_ns) / 1e9 == pytest.approx(395.3, abs=0.5)
    assert np.median(np.diff(stamps)) / 1e6 == pytest.approx(400, abs=1)
    assert all(0 <= fix.arrived_ns - fix.stamp_ns < 1_000_000 for fix in fixes)
