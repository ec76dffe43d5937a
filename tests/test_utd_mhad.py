"""The task `utd-mhad`: real clips against their files read by hand, made-up ones, and every refusal."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefuse.session import Session
from edgefuse.types import Array
from edgefuse_export.errors import ExportError
from edgefuse_export.settings import Settings
from edgefuse_export.task import Task

io = pytest.importorskip("scipy.io", reason="reading .mat files needs scipy")
torch = pytest.importorskip("torch")
from edgefuse_export.tasks import utd_mhad as utd  # noqa: E402
from edgefuse_export.trace import traced  # noqa: E402

REAL = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "utd_mhad"
real = pytest.mark.skipif(not REAL.is_dir(), reason="UTD-MHAD is not on this machine")
PARTS = {"Depth": "d_depth", "Skeleton": "d_skel", "Inertial": "d_iner"}


def quiet(items: Iterator[Any], total: int, what: str) -> Iterator[Any]:
    yield from items


def opened(folder: Path | None) -> Task:
    return utd.open_task(folder, Settings(), Path(), quiet)


def by_hand(clip: str, kind: str) -> Array:
    values: Array = io.loadmat(REAL / kind / f"{clip}_{kind.lower()}.mat")[PARTS[kind]]
    return values


@pytest.fixture(scope="module")
def task() -> Task:
    return opened(REAL)


def row_of(action: int, person: int, trial: int) -> int:
    """Of a clip among its side of the split, by the names of the files."""
    found = [tuple(map(int, re.findall(r"\d+", p.name))) for p in (REAL / "Depth").iterdir()]
    side = sorted(name for name in found if name[1] % 2 == person % 2)
    return side.index((action, person, trial))


@real
def test_four_people_are_trained_on_and_four_measured_on_as_in_the_paper(task: Task) -> None:
    # 27 actions, 4 trials, 8 people; the authors left out a8_s1_t4, a23_s6_t4 and a27_s8_t4.
    assert (len(task.train), len(task.test)) == (432 - 1, 432 - 2)
    assert task.train.groups is not None and task.test.groups is not None
    assert Counter(task.train.groups.tolist()) == {1: 107, 3: 108, 5: 108, 7: 108}
    assert Counter(task.test.groups.tolist()) == {2: 108, 4: 108, 6: 107, 8: 107}
    assert {k for k, n in Counter(task.train.labels.tolist()).items() if n < 16} == {7}
    assert {k for k, n in Counter(task.test.labels.tolist()).items() if n < 16} == {22, 26}
    assert task.output.labels[7] == "draw X" and task.output.labels[22] == "walk" and task.output.labels[26] == "squat"


@real
@pytest.mark.parametrize("clip", [(1, 1, 1), (17, 3, 2), (27, 7, 4)])
def test_skeleton_and_inertial_windows_lie_on_the_lines_between_the_recorded_values(
    task: Task, clip: tuple[int, int, int]
) -> None:
    name, row = "a{}_s{}_t{}".format(*clip), row_of(*clip)
    joints, unit = by_hand(name, "Skeleton"), by_hand(name, "Inertial")
    moved = (joints - joints[3:4, :, :1]).reshape(60, -1).T
    for stream, values in (("skeleton", moved), ("accelerometer", unit[:, :3]), ("gyroscope", unit[:, 3:])):
        at = np.linspace(0, len(values) - 1, 64)
        lines = np.stack([np.interp(at, np.arange(len(values)), column) for column in values.T], 1)
        np.testing.assert_allclose(task.train.tensors[stream][row], lines, rtol=1e-5, atol=1e-4)
    assert task.train.labels[row] == clip[0] - 1


@real
def test_a_depth_window_holds_the_heights_of_the_person_cell_by_cell(task: Task) -> None:
    window = task.test.tensors["depth"][row_of(24, 8, 1)]
    clip = by_hand("a24_s8_t1", "Depth").astype(float)
    first, rows = clip[:, :, 0], np.flatnonzero((clip > 0).any((1, 2)))
    middle = int(np.median(np.flatnonzero((first > 0).any(0))))
    wall = np.median(first[first > 0]) + 1000
    for r, c in [(31, 16), (20, 15), (12, 18), (2, 2)]:
        pixels = [
            (rows[-1] + 3 - 64 + 2 * r + i, middle - 32 + 2 * c + j) for i in (0, 1) for j in (0, 1)
        ]  # the four of a cell
        inside = [first[y, x] for y, x in pixels if 0 <= y < 80 and 0 <= x < 107]
        heights = [min(max(wall - mm, 0.0), 2000.0) / 1000.0 if mm > 0 else 0.0 for mm in inside]
        assert window[0, r, c] == pytest.approx(sum(heights) / 4, abs=1e-5)
    assert window[0].max() > 0.9


@real
def test_every_window_is_finite_and_of_the_declared_shape(task: Task) -> None:
    for name, stream in task.streams().items():
        assert task.train.tensors[name].shape[1:] == tuple(stream.preprocess["shape"])
        assert all(np.isfinite(part.tensors[name]).all() for part in (task.train, task.test))
    assert len(task.samples()) == 8
    assert {key: value.shape for key, value in task.samples()[3].items()} == dict(utd.SHAPES)


def person(height: int = 50, left: int = 45, steps: int = 9, reach_mm: int = 0) -> Array:
    """A box of a person 2.8 m away, 20 px wide; from the fourth frame on a hand comes closer by reach_mm."""
    clip = np.zeros((80, 107, steps), np.uint16)
    clip[78 - height : 78, left : left + 20] = 2800
    clip[40:44, left + 12 : left + 16, 3:] -= np.uint16(reach_mm)
    return clip


def test_a_depth_window_does_not_know_where_the_person_stands() -> None:
    here = utd.depth_window(person())
    assert np.array_equal(here, utd.depth_window(person(left=30)))
    farther = np.where(person() > 0, person() + 250, 0).astype(np.uint16)
    np.testing.assert_allclose(here, utd.depth_window(farther), atol=1e-5)
    assert set(np.unique(here)) == {0.0, 0.5, 1.0}  # nobody, half a cell at an edge, a body as deep as its median


def test_a_hand_towards_the_camera_is_higher_than_the_body_and_nobody_is_flat() -> None:
    window = utd.depth_window(person(reach_mm=600))
    assert window[0].max() == pytest.approx(1.0) and window[-1].max() == pytest.approx(1.6)
    assert not utd.depth_window(np.zeros((80, 107, 5), np.uint16)).any()


@pytest.mark.parametrize("n", [1, 2, 5, 64, 300])
def test_resampling_is_linear_and_keeps_both_ends(n: int) -> None:
    values = np.random.default_rng(n).normal(size=(n, 3))
    found = utd.resampled(values, 64)
    at = np.linspace(0, n - 1, 64)
    truth = np.stack([np.interp(at, np.arange(n), column) for column in values.T], 1)
    np.testing.assert_allclose(found, truth, rtol=1e-6, atol=1e-6)
    assert np.array_equal(found[[0, -1]], values[[0, -1]].astype(np.float32))


def batch(rows: int = 6) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {name: torch.from_numpy(rng.normal(size=(rows, *s)).astype(np.float32)) for name, s in utd.SHAPES.items()}


def test_encoders_are_small_and_give_what_they_declare() -> None:
    streams = utd.streams()
    assert list(streams) == ["depth", "skeleton", "accelerometer", "gyroscope"]
    assert sum(p.numel() for s in streams.values() for p in s.encoder.parameters()) < 600_000
    for name, tensor in batch().items():
        assert streams[name].encoder.eval()(tensor).shape == (6, streams[name].dim)


@pytest.mark.parametrize("name", ["depth", "skeleton", "gyroscope"])
def test_each_kind_of_encoder_is_the_same_graph_for_any_batch(name: str) -> None:
    encoder, tensor = utd.streams()[name].encoder.eval(), batch()[name]
    proto = traced(encoder, {"x": tensor[:2]}, ["y"], name)
    found = Session(proto.SerializeToString(), "traced").compute({"x": tensor.numpy()})["y"]
    np.testing.assert_allclose(found, encoder(tensor).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_a_larger_person_who_does_the_same_looks_the_same_to_the_skeletons_encoder() -> None:
    encoder = utd.streams()["skeleton"].encoder.eval()
    skeleton = batch()["skeleton"]
    torch.testing.assert_close(encoder(1.3 * skeleton), encoder(skeleton), rtol=1e-4, atol=1e-5)
    assert torch.isfinite(encoder(torch.zeros_like(skeleton))).all()


def test_augmentation_keeps_shapes_depends_on_its_generator_and_takes_some_streams() -> None:
    inputs = batch()
    once, again, other = (utd.augmented(inputs, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert {name: tuple(t.shape[1:]) for name, t in once.items()} == dict(utd.SHAPES)
    assert all(torch.equal(once[name], again[name]) and not torch.equal(once[name], other[name]) for name in once)
    assert set(utd.augmented({"gyroscope": inputs["gyroscope"]}, torch.Generator())) == {"gyroscope"}


def write_clips(folder: Path, names: Iterable[str]) -> Path:
    values = {"Depth": person(), "Skeleton": np.zeros((20, 3, 18)), "Inertial": np.ones((30, 6))}
    for kind, variable in PARTS.items():
        (folder / kind).mkdir(parents=True)
        for name in names:
            io.savemat(folder / kind / f"{name}_{kind.lower()}.mat", {variable: values[kind]})
    return folder


def test_made_up_clips_open_and_are_split_by_person(tmp_path: Path) -> None:
    task = opened(write_clips(tmp_path, ["a3_s1_t1", "a12_s2_t1", "a2_s2_t1", "a27_s4_t9"]))
    assert task.train.labels.tolist() == [2]
    assert task.test.labels.tolist() == [1, 11, 26]  # by number, not by letters
    assert task.test.groups is not None and task.test.groups.tolist() == [2, 2, 4]
    assert (task.test.tensors["accelerometer"] == 1.0).all()


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a1_s1_t1", "a2_s3_t1"], "no clips of people with even numbers"),
        (["a1_s2_t1"], "no clips of people with odd numbers"),
        (["a28_s2_t1"], "Depth: action 28, but there are 27"),
        (["clip"], "Depth: no clips named"),
    ],
)
def test_a_folder_that_cannot_be_split_is_refused(tmp_path: Path, names: list[str], words: str) -> None:
    with pytest.raises(ExportError, match=words) as refusal:
        opened(write_clips(tmp_path, names))
    assert str(tmp_path) in str(refusal.value)


def test_no_folder_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="utd-mhad:DIR"):
        opened(None)
    with pytest.raises(ExportError, match="nowhere: no such folder"):
        opened(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        ("Skeleton", None, "no such file"),
        ("Depth", b"", "not a whole MATLAB file"),
        ("Inertial", b"not a matlab file, whatever its name may say" * 20, "not a whole MATLAB file"),
        ("Skeleton", {"d_other": np.zeros(3)}, "no variable 'd_skel'"),
        ("Skeleton", {"d_skel": np.zeros((20, 2, 9))}, r"shape \[20, 2, 9\], not \[20, 3, T\]"),
        ("Inertial", {"d_iner": np.zeros((0, 6))}, r"shape \[0, 6\], not \[T, 6\]"),
        ("Depth", {"d_depth": np.zeros((80, 107), np.uint16)}, r"shape \[80, 107\], not \[80, 107, T\]"),
        ("Inertial", {"d_iner": np.full((9, 6), np.nan)}, "not all finite"),
        ("Inertial", {"d_iner": np.full((9, 6), "x")}, "d_iner"),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(tmp_path: Path, kind: str, content: Any, words: str) -> None:
    write_clips(tmp_path, ["a1_s1_t1", "a1_s2_t1"])
    path = tmp_path / kind / f"a1_s2_t1_{kind.lower()}.mat"
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        io.savemat(path, content)
    with pytest.raises(ExportError, match=words) as refusal:
        opened(tmp_path)
    assert str(refusal.value).startswith(f"{path}: ") and "\n" not in str(refusal.value)


@pytest.mark.parametrize("kept", [100, 150, 200, 0.5, 0.99])
def test_a_file_cut_short_is_refused(tmp_path: Path, kept: float) -> None:
    write_clips(tmp_path, ["a1_s1_t1", "a1_s2_t1"])
    path = tmp_path / "Inertial" / "a1_s1_t1_inertial.mat"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept if kept > 1 else kept * len(whole))])
    with pytest.raises(ExportError, match=re.escape(str(path))):
        opened(tmp_path)
