"""The grid of fusions over clips: the clips, the encoders, depth told from the camera, and what is trained and kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `export` is not installed")

from edgefuse.sources.site import DEPTH_RANGE_M, LABELS  # noqa: E402
from edgefuse_export import grid as grids  # noqa: E402
from edgefuse_export import grid_table  # noqa: E402
from edgefuse_export.cli import main  # noqa: E402
from edgefuse_export.clip_data import COLS, FRAMES, ROWS, clip  # noqa: E402
from edgefuse_export.clip_encoders import FORMS, SlowFast, TimeSformer, _Attention  # noqa: E402
from edgefuse_export.errors import ExportError  # noqa: E402
from edgefuse_export.grid import DEPTHS, FUSIONS, NAME, Outcome, Plan, Unit, grid, settings_of, units_of  # noqa: E402
from edgefuse_export.models import FusionModel  # noqa: E402
from edgefuse_export.monocular import Monocular, estimated, relative_error, train_monocular  # noqa: E402
from edgefuse_export.settings import Settings  # noqa: E402
from edgefuse_export.study import packed  # noqa: E402
from edgefuse_export.tasks import open_task, rgbd  # noqa: E402

torch.set_num_threads(1)


def quiet(items: Iterator[Any], *_: object) -> Iterator[Any]:
    return items


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for few clips, made once."""
    with pytest.MonkeyPatch.context() as patched:
        for name, count in (("TRAIN", 16), ("TEST", 12), ("TO_TELL_DEPTH", 6)):
            patched.setattr(rgbd, name, count)
        patched.setattr("edgefuse_export.monocular.EPOCHS", 1)
        yield tmp_path_factory.mktemp("grid")


# clips


def test_a_clip_is_the_same_each_time_and_shows_what_its_label_says_at_its_end() -> None:
    tensors, label = clip(7)
    again, same = clip(7)
    assert label == same and 0 <= label < len(LABELS)
    assert tensors["camera"].shape == (FRAMES, ROWS, COLS, 3) and tensors["depth"].shape == (FRAMES, ROWS, COLS)
    assert all(t.dtype == np.float32 for t in tensors.values())
    assert all(t.tobytes() == again[name].tobytes() for name, t in tensors.items())
    assert 0.0 <= tensors["camera"].min() < tensors["camera"].max() <= 1.0
    assert 0.0 <= tensors["depth"].min() < tensors["depth"].max() <= np.float32(DEPTH_RANGE_M)


def test_something_moves_in_a_clip() -> None:
    moved = [np.abs(np.diff(clip(seed)[0]["camera"], axis=0)).mean() for seed in range(4)]
    assert min(moved) > 0.0


# encoders


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("channels", [2, 3])
def test_every_form_makes_an_embedding_of_a_clip_from_all_its_frames(form: str, channels: int) -> None:
    torch.manual_seed(0)
    encoder = FORMS[form](channels, 16).eval()
    given = torch.rand(2, channels, FRAMES, ROWS, COLS, requires_grad=True)
    told = encoder(given)
    assert told.shape == (2, 16)
    (slope,) = torch.autograd.grad(told[0, 0], given)
    by_frame = slope.abs().sum((1, 3, 4))
    assert (by_frame[0] > 0).all() and (by_frame[1] == 0).all()


def test_the_slow_path_sees_two_frames_and_the_fast_one_an_eighth_of_the_channels() -> None:
    slow_fast = SlowFast(3, 16)
    frames: list[int] = []
    slow_fast.slow[0].register_forward_hook(lambda module, inputs, output: frames.append(inputs[0].shape[2]))
    slow_fast(torch.rand(2, 3, FRAMES, ROWS, COLS))
    assert frames == [FRAMES // SlowFast.ALPHA]
    widths = [(s[0].out_channels, f[0].out_channels) for s, f in zip(slow_fast.slow, slow_fast.fast, strict=True)]
    assert all(slow == 8 * fast for slow, fast in widths)


def test_attention_is_that_of_torch() -> None:
    torch.manual_seed(1)
    ours = _Attention(16, 4)
    theirs = torch.nn.MultiheadAttention(16, 4, batch_first=True)
    theirs.in_proj_weight.data, theirs.in_proj_bias.data = ours.asked.weight.data, ours.asked.bias.data
    theirs.out_proj.weight.data, theirs.out_proj.bias.data = ours.out.weight.data, ours.out.bias.data
    tokens = torch.randn(3, 7, 16)
    normed = ours.norm(tokens)
    torch.testing.assert_close(ours(tokens), theirs(normed, normed, normed)[0])


def test_time_is_attended_to_within_a_patch_and_space_within_a_frame() -> None:
    torch.manual_seed(2)
    block = TimeSformer(3, 16, depth=1).blocks[0].eval()
    tokens = torch.randn(1, FRAMES, 12, 64)
    over_time = block.over_time(tokens.transpose(1, 2))
    changed = tokens.clone()
    changed[:, 3, 5] += 1.0
    moved = (block.over_time(changed.transpose(1, 2)) - over_time).abs().sum((0, 2, 3)) > 0
    assert moved.nonzero().flatten().tolist() == [5]


# depth told from the camera


def test_the_error_is_relative_and_of_measured_pixels_alone() -> None:
    measured, told = torch.tensor([[2.0, 0.0, 4.0]]), torch.tensor([[1.0, 9.0, 5.0]])
    assert float(relative_error(told, measured)) == pytest.approx((0.5 + 0.25) / 2)
    assert float(relative_error(told, torch.zeros(1, 3))) == 0.0


def test_depth_is_learned_from_pictures(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgefuse_export.monocular.EPOCHS", 4)
    monkeypatch.setattr("edgefuse_export.monocular.BATCH", 8)
    train, _ = rgbd.clips(work, quiet)
    torch.manual_seed(0)
    fresh = Monocular().eval()
    taught = train_monocular(train, quiet)
    frames, depths = (torch.from_numpy(train.tensors[name][0].copy()) for name in ("camera", "depth"))
    assert relative_error(taught(frames), depths) < 0.6 * relative_error(fresh(frames), depths)
    clips = estimated(taught, train.tensors["camera"][:2])
    assert clips.shape == (2, FRAMES, ROWS, COLS) and (clips > 0).all() and (clips <= DEPTH_RANGE_M).all()


def test_told_depth_is_made_once_and_goes_with_its_camera(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = open_task("rgbd:c3d-estimated", Settings(), work, quiet)
    monkeypatch.setattr(rgbd, "train_monocular", lambda *_: pytest.fail("made again"))
    again = open_task("rgbd:c3d-estimated", Settings(), work, quiet)
    assert task.train.tensors["depth"].tobytes() == again.train.tensors["depth"].tobytes()
    assert {name: stream.derived_from for name, stream in task.streams().items()} == {"camera": None, "depth": "camera"}
    plain = open_task("rgbd", Settings(), work, quiet)
    assert plain.streams()["depth"].derived_from is None
    assert plain.train.tensors["depth"].tobytes() != task.train.tensors["depth"].tobytes()


def test_a_form_that_there_is_not_is_named(work: Path) -> None:
    with pytest.raises(ExportError, match="data 'rgbd:vgg': forms are c3d, slowfast, timesformer"):
        open_task("rgbd:vgg", Settings(), work, quiet)


def test_a_moment_is_mirrored_in_all_its_streams_or_in_none() -> None:
    ramp = torch.arange(COLS, dtype=torch.float32) / COLS
    depth = ramp.expand(40, FRAMES, ROWS, COLS)
    camera = 0.5 * ramp[:, None].expand(40, FRAMES, ROWS, COLS, 3)
    found = rgbd.augmented({"camera": camera, "depth": depth}, torch.Generator().manual_seed(0))
    turned = found["depth"][:, 0, 0, 0] > 0.5
    assert 5 < int(turned.sum()) < 35
    assert torch.equal(found["camera"][:, 0, 0, 0, 0] > found["camera"][:, 0, 0, -1, 0], turned)


# the grid


def test_the_grid_is_every_form_depth_and_fusion_for_every_seed() -> None:
    units = list(units_of(3))
    assert len(units) == len(set(units)) == 3 * 3 * (1 + 2 * 7)
    assert set(FUSIONS) == {"sum", "concat", "max", "product", "average", "gated_fusion", "multconcat"}


def test_alone_each_encoder_answers_and_every_fusion_on_top_and_nothing_is_done_twice(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = [Unit("timesformer", 0), Unit("timesformer", 0, "gated_fusion", "estimated")]
    monkeypatch.setattr(grids, "units_of", lambda seeds: iter(units))
    monkeypatch.setattr(grids, "FROZEN_EPOCHS", 1)
    plan = Plan(settings_of(epochs=1), 1, work)
    alone, joint = grid(plan, 1, quiet)
    assert set(alone.right) == {*grid_table.ALONE, *(f"{f} {d}" for d in DEPTHS for f in FUSIONS)}
    assert list(joint.right) == ["joint"] and joint.rows("joint").shape == (12,)
    lines = (work / NAME).read_bytes()
    monkeypatch.setattr(grids, "measure", lambda plan, unit: pytest.fail("trained again"))
    assert grid(plan, 1, quiet) == [alone, joint]
    assert (work / NAME).read_bytes() == lines


def test_a_fusion_on_finished_encoders_leaves_them_as_they_are(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[FusionModel] = []
    real = grids.train

    def watched(task: Any, settings: Settings, progress: Any) -> Any:
        trained = real(task, settings, progress)
        seen.append(trained.model)
        return trained

    monkeypatch.setattr(grids, "train", watched)
    monkeypatch.setattr(grids, "FROZEN_EPOCHS", 1)
    grids.measure(Plan(settings_of(epochs=1), 1, work), Unit("timesformer", 1))
    fused = seen[3:]
    assert len(fused) == len(DEPTHS) * len(FUSIONS)
    assert all(not any(p.numel() for e in model.encoders for p in e.parameters()) for model in fused)


def made_up(n: int = 50) -> list[Outcome]:
    """Joint models are right about 60 % with measured depth and 40 % with told depth; all else about 80 %."""

    def bits(share: float) -> str:
        return packed(np.arange(n) < share * n)

    found = []
    for unit in units_of(3):
        if unit.fusion is None:
            names = [*grid_table.ALONE, *(f"{f} {d}" for d in DEPTHS for f in FUSIONS)]
            right = {name: bits(0.8) for name in names}
        else:
            right = {"joint": bits(0.6 if unit.depth == "measured" else 0.4)}
        fields = {"form": unit.form, "seed": unit.seed, "fusion": unit.fusion, "depth": unit.depth}
        found.append(Outcome(**fields, n=n, right=right))
    return found


def test_the_tables_have_every_cell_and_the_studys_figures_where_its_depth_was_alike() -> None:
    cells = grid_table.cells(made_up())
    assert len(cells) == 3 * (3 + 2 * 2 * 7)
    assert {round(c.value) for c in cells if c.way == "joint"} == {60, 40}
    assert {round(c.value) for c in cells if c.way != "joint"} == {80}
    assert all(c.low <= c.value <= c.high for c in cells)
    page = grid_table.markdown(made_up())
    row = next(line for line in page.splitlines() if line.startswith("| multconcat, depth estimated"))
    assert [part.strip() for part in row.split("|")][3::2][:3] == ["67.5", "89.3", "46.5"]
    assert "| multconcat, depth measured | 60.0" in page
    assert "| camera alone | 80.0" in page and "80.6 |" in page
    told = {line.split(" | ")[0]: line.split(" | ")[1:] for line in page.splitlines()}
    assert told["| joint: depth measured less estimated"][0].startswith("+20.0 ")
    assert told["| depth estimated: joint less frozen"][2].startswith("-40.0 ")
    assert told["| joint, depth measured: the fusions less the better stream alone"][1].startswith("-20.0 ")
    assert told["| frozen, depth measured: MultConcat less the other fusions"][0].startswith("+0.0 ")


def test_the_verb_prints_and_writes_the_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(grids, "grid", lambda plan, workers, progress: made_up())
    out = tmp_path / "grid.md"
    assert main(["grid", "--work", str(tmp_path), "--out", str(out), "--json"]) == 0
    printed = capsys.readouterr().out
    assert len(json.loads(printed.strip().splitlines()[-1])["cells"]) == 93
    assert out.read_text() in printed


@pytest.mark.parametrize("verb", [["grid"], ["study", "site"]])
def test_a_folder_that_cannot_be_is_named(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*verb, "--work", "/proc/none"]) == 2
    told = capsys.readouterr().err
    assert "/proc/none" in told and told.count("\n") == 1
