"""The task `hydraulic`: real cycles against their files read by hand, the split by blocks, and every refusal."""

from __future__ import annotations

import gzip
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefuse.session import Session
from edgefuse_export.errors import ExportError
from edgefuse_export.settings import Settings
from edgefuse_export.task import Task

torch = pytest.importorskip("torch")
from edgefuse_export.tasks import hydraulic as rig  # noqa: E402
from edgefuse_export.trace import traced  # noqa: E402

REAL = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "hydraulic_1hz"
real = pytest.mark.skipif(not REAL.is_dir(), reason="the hydraulic rig's cycles are not on this machine")
# Written down from the data set's own description, not from the reader.
SENSORS = {
    "pressure": ["PS1_1hz.csv", "PS2_1hz.csv", "PS3_1hz.csv", "PS4_1hz.csv", "PS5_1hz.csv", "PS6_1hz.csv"],
    "power": ["EPS1_1hz.csv"],
    "flow": ["FS1_1hz.csv", "FS2_1hz.csv"],
    "temperature": ["TS1.txt", "TS2.txt", "TS3.txt", "TS4.txt"],
    "vibration": ["VS1.txt"],
    "efficiency": ["SE.txt"],
    "cooling": ["CE.txt", "CP.txt"],
}
COUNTS = {"130 bar": 599, "115 bar": 399, "100 bar": 399, "90 bar": 808}  # documentation.txt, section 9


def quiet(items: Iterator[Any], total: int, what: str) -> Iterator[Any]:
    yield from items


def opened(folder: Path | None) -> Task:
    return rig.open_task(folder, Settings(), Path(), quiet)


def profile() -> list[tuple[int, ...]]:
    return [tuple(map(int, line.split())) for line in (REAL / "profile.txt").read_text().splitlines()]


@pytest.fixture(scope="module")
def task() -> Task:
    return opened(REAL)


@real
def test_all_cycles_are_there_with_the_counts_that_the_authors_state(task: Task) -> None:
    labels = np.concatenate([task.train.labels, task.test.labels])
    assert {task.output.labels[k]: n for k, n in Counter(labels.tolist()).items()} == COUNTS
    assert sorted(COUNTS) == sorted(task.output.labels)
    assert len(labels) == 2205


def held(cycle: tuple[int, ...]) -> bool:
    """Is the valve the one that is never trained on with this cooler, pump and accumulator? As the docstring says."""
    cooler, valve, leak, bar, _ = cycle
    turn = [3, 20, 100].index(cooler) + leak + [130, 115, 100, 90].index(bar)
    return valve == [90, 80, 73, 100][turn % 4]


@real
def test_of_each_cooler_pump_and_accumulator_one_valve_condition_is_held_out_as_a_whole(task: Task) -> None:
    for part, side in ((task.test, True), (task.train, False)):
        bars = [cycle[3] for cycle in profile() if held(cycle) is side]
        assert part.labels.tolist() == [[130, 115, 100, 90].index(bar) for bar in bars]
    trained = {cycle[:4] for cycle in profile() if not held(cycle)}
    measured = {cycle[:4] for cycle in profile() if held(cycle)}
    assert len(measured) == 3 * 3 * 4 and len(trained) == 3 * 3 * 4 * 3
    assert Counter(task.test.labels.tolist()) == {0: 92, 1: 103, 2: 102, 3: 102}


@real
def test_a_block_is_a_run_of_the_rigs_time_and_lies_on_one_side(task: Task) -> None:
    runs = [len(list(cycles)) for _, cycles in itertools.groupby(profile(), key=lambda p: p[:4])]
    assert task.train.groups is not None and task.test.groups is not None
    found = Counter(task.train.groups.tolist()) + Counter(task.test.groups.tolist())
    assert [found[k] for k in range(len(found))] == runs
    assert not set(task.train.groups.tolist()) & set(task.test.groups.tolist())


@real
@pytest.mark.parametrize("stream", list(SENSORS))
def test_windows_are_the_values_in_the_files(task: Task, stream: str) -> None:
    rows = [row for row, cycle in enumerate(profile()) if held(cycle)]
    for channel, file in enumerate(SENSORS[stream]):
        with gzip.open(REAL / f"{file}.gz", "rt") as lines:
            cycles = lines.read().splitlines()
        for row in (0, 300, len(rows) - 1):
            truth = np.array(cycles[rows[row]].split(), np.float32)
            assert np.array_equal(task.test.tensors[stream][row, :, channel], truth)
    assert task.train.tensors[stream].shape == (2205 - len(rows), 60, len(SENSORS[stream]))
    assert task.train.tensors[stream].dtype == np.float32


@real
def test_streams_match_what_is_read_and_the_gate_gets_whole_moments(task: Task) -> None:
    for name, stream in task.streams().items():
        assert task.train.tensors[name].shape[1:] == tuple(stream.preprocess["shape"])
    assert list(task.streams()) == list(SENSORS) == list(task.samples()[0])
    assert len(task.samples()) == 8


def test_encoders_give_what_they_declare_and_bear_what_they_never_saw() -> None:
    for name, stream in rig.streams().items():
        window = 1e6 * torch.ones(3, 60, len(SENSORS[name]))
        found = stream.encoder.eval()(window)
        assert found.shape == (3, stream.dim) and torch.isfinite(found).all()


def test_an_encoder_is_the_same_graph_for_any_batch() -> None:
    encoder, window = rig.streams()["flow"].encoder.eval(), torch.rand(4, 60, 2)
    proto = traced(encoder, {"x": window[:2]}, ["y"], "flow")
    found = Session(proto.SerializeToString(), "traced").compute({"x": window.numpy()})["y"]
    np.testing.assert_allclose(found, encoder(window).detach().numpy(), rtol=1e-4, atol=1e-5)


PROFILE = list(itertools.product((3, 20, 100), (100, 90, 80, 73), (0, 1, 2), (130, 115, 100, 90), (0,)))


def write_rig(folder: Path, rows: Sequence[tuple[int, ...]] = PROFILE) -> Path:
    """Cycles whose values say where they are from: 1000 cycle + second, and a tenth for each file."""
    (folder / "profile.txt").write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    for k, file in enumerate(file for files in SENSORS.values() for file in files):
        lines = ["\t".join(f"{1000 * row + s + k / 10:.1f}" for s in range(60)) for row in range(len(rows))]
        (folder / f"{file}.gz").write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    return folder


def test_a_made_up_rig_is_read_in_its_order(tmp_path: Path) -> None:
    task = opened(write_rig(tmp_path))
    rows = [row for row, cycle in enumerate(PROFILE) if held(cycle)]
    assert (len(task.train), len(task.test)) == (108, 36)
    assert task.test.tensors["cooling"][:, 7, 1].tolist() == pytest.approx([1000 * row + 7 + 1.6 for row in rows])


@pytest.mark.parametrize(
    ("file", "line", "text", "words"),
    [
        ("TS2.txt.gz", 3, "1\t2", "TS2.txt.gz: line 3: 2 values, not 60"),
        ("VS1.txt.gz", 1, "\t".join(["x"] * 60), "VS1.txt.gz: line 1: could not convert string to float: 'x'"),
        ("SE.txt.gz", 72, "\t".join(["nan"] * 60), "SE.txt.gz: line 72: a value that is not finite"),
        ("PS4_1hz.csv.gz", 5, "\t".join(["1e60"] * 60), "PS4_1hz.csv.gz: line 5: a value that is not finite"),
        ("profile.txt", 9, "3\t100\t0\t131\t0", "profile.txt: line 9: column 4: 131 is none of (130, 115, 100, 90)"),
        ("profile.txt", 2, "3\t100\t0\t130", "profile.txt: line 2: 4 values, not 5"),
        ("CP.txt.gz", 4, "\t".join(["\xe9"] * 60), "CP.txt.gz: byte"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, file: str, line: int, text: str, words: str) -> None:
    path = write_rig(tmp_path) / file
    zipped = path.suffix == ".gz"
    lines = (gzip.decompress(path.read_bytes()) if zipped else path.read_bytes()).decode().splitlines()
    lines[line - 1] = text
    whole = "\n".join(lines).encode("latin-1")
    path.write_bytes(gzip.compress(whole) if zipped else whole)
    with pytest.raises(ExportError) as refusal:
        opened(tmp_path)
    assert str(refusal.value).startswith(f"{tmp_path}/{words}")


def test_files_of_unlike_length_cut_short_or_missing_are_refused(tmp_path: Path) -> None:
    path = write_rig(tmp_path) / "FS2_1hz.csv.gz"
    whole = path.read_bytes()
    path.write_bytes(gzip.compress(gzip.decompress(whole).rsplit(b"\n", 2)[0]))
    with pytest.raises(ExportError, match=r"FS2_1hz.csv.gz: 143 cycles, but profile.txt has 144"):
        opened(tmp_path)
    for broken in (whole[: len(whole) // 2], b"", b"never zipped"):
        path.write_bytes(broken)
        with pytest.raises(ExportError, match=r"FS2_1hz.csv.gz: "):
            opened(tmp_path)
    path.unlink()
    with pytest.raises(ExportError, match=r"FS2_1hz.csv.gz: No such file"):
        opened(tmp_path)


def test_no_folder_a_missing_one_and_one_without_all_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="hydraulic:DIR"):
        opened(None)
    with pytest.raises(ExportError, match="nowhere: no such folder"):
        opened(tmp_path / "nowhere")
    with pytest.raises(ExportError, match=r"profile.txt: not every accumulator condition is to train on"):
        opened(write_rig(tmp_path, [row for row in PROFILE if row[3] != 115]))
