"""The measurements for a GPU, on the emulated device: what is checked, counted and told; times mean nothing here."""

from __future__ import annotations

import functools
import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

import emulated
from edgefuse import RunConfig, load
from edgefuse.bench.moments import moments
from edgefuse.device import Device
from edgefuse.doctor import shipped_bundle
from edgefuse.operators import OPERATORS
from edgefuse.session import Session

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tools"))
command, facts, figures, kernels, ours, peers, table, ticks, turns = (
    importlib.import_module(f"gpu_numbers.{name}")
    for name in ("command", "facts", "figures", "kernels", "ours", "peers", "table", "ticks", "turns")
)
SMALL = kernels.Sizes(4096, 8, (((8, 12, 4), 16),), ((4, 5, 6),), 3, 2)
REAL = {"name": "a GPU"}
NO_TORCH = "torch is not installed"


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    emulated.put_in(monkeypatch)
    return Device(0)


@pytest.fixture
def torchless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find", lambda package: None)


def row(name: str = "a", **given: Any) -> Any:
    return figures.Row(name, **given)


def times(*us: float) -> Any:
    return np.array(us, np.float64)


def main(tmp_path: Path, *more: str) -> tuple[int, dict[str, Any]]:
    out = tmp_path / "deep" / "numbers.json"
    status = command.main(["--out", str(out), "--rounds", "2", *more], SMALL)
    return status, json.loads(out.read_text())


def parts(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for section in report["sections"]:
        yield from (*section["rows"], *section["figures"])


# What follows from times


def test_a_ratio_is_the_middle_of_the_rounds_with_its_spread() -> None:
    slow, fast = row("slow", events_us=times(*range(10, 21))), row("fast", events_us=np.full(11, 2.0))
    told = figures.ratio(slow, fast, "events", figures.Goal(5.0)).as_json(True)
    assert told["name"] == "slow / fast, by events"
    assert (told["median"], told["p10"], told["p90"]) == (7.5, 5.5, 9.5)
    assert (told["goal"], told["met"]) == ("at least 5", True)
    assert figures.ratio(fast, slow, "events", figures.Goal(5.0)).as_json(True)["met"] is False


def test_a_ratio_is_taken_round_by_round_and_by_its_own_clock() -> None:
    a, b = (row(n, events_us=times(*e), host_us=np.ones(3)) for n, e in (("a", (2, 40, 6)), ("b", (1, 20, 3))))
    told = figures.ratio(a, b, "events").as_json(True)
    assert (told["median"], told["p10"], told["p90"]) == (2.0, 2.0, 2.0)
    assert figures.ratio(a, b, "host").as_json(True)["median"] == 1.0


@pytest.mark.parametrize(
    ("goal", "low", "high"), [(figures.Goal(0.7, False), True, False), (figures.Goal(0.7), False, True)]
)
def test_a_goal_is_a_bound_on_one_side(goal: Any, low: bool, high: bool) -> None:
    assert (goal.met(0.5), goal.met(0.7), goal.met(0.9)) == (low, True, high)


def test_bandwidth_counts_what_is_read_and_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    copied = row(kernels.COPY, events_us=times(1000.0, 1000.0))  # 1 GB read and 1 GB written in a millisecond
    mine = row("ours", events_us=times(500.0, 250.0), counts={"bytes": 5e8})
    told = kernels.share_of_copy(mine, copied, 2 * 10**9).as_json(True)
    assert (told["median"], told["p10"], told["p90"]) == (0.75, 0.55, 0.95)
    made = [copied, row("torch.matmul float32", events_us=times(4.0))]
    monkeypatch.setattr(kernels, "race", lambda contenders, *how: made[:1] if kernels.COPY in contenders else made[1:])
    monkeypatch.setattr(kernels.ours, "copy", lambda device, nbytes: None)
    section = kernels.ceilings(None, 2, replace(SMALL, copy_bytes=10**9, matrix=1000))
    bandwidth, rate = (own.as_json(True) for own in section.figures)
    assert (bandwidth["median"], bandwidth["unit"]) == (2000.0, "GB/s")
    assert (rate["median"], rate["unit"]) == (500.0, "TFLOP/s")


@pytest.mark.parametrize(
    ("name", "maps"), [("multconcat", 9), ("sum", 5), ("max", 5), ("concat", 8), ("multconcat_joint", 9)]
)
def test_the_bytes_of_an_operator_are_its_maps_read_once_and_its_results_written_once(name: str, maps: int) -> None:
    assert ours.moved_bytes(OPERATORS[name], 4, 64, 200 * 200) == maps * 64 * 200 * 200 * 4


def test_what_took_no_time_gives_no_number() -> None:
    told = figures.ratio(row("a", host_us=times(1, 1)), row("b", host_us=times(1, 0)), "host").as_json(True)
    assert told["median"] is None and told["status"] == "not available" and "no time" in told["why"]
    json.dumps(told, allow_nan=False)


def test_what_needs_what_is_wrong_or_missing_says_which() -> None:
    good, lost, bad = row("good", host_us=times(1)), row("lost", missing="gone"), row("bad", wrong="is off")
    wrong, missing = (figures.ratio(good, own, "host").as_json(True) for own in (bad, lost))
    assert (wrong["status"], wrong["why"], wrong["median"]) == ("WRONG", "bad is", None)
    assert (missing["status"], missing["why"]) == ("not available", "lost: gone")
    assert "WRONG" in table.describe(figures.Section("t", "h", [bad], []).as_json(True))


def test_the_clocks_are_asked_as_they_are_told() -> None:
    class Clock:
        def __init__(self) -> None:
            self.marks, self.log = 0, list[str]()

        def mark(self, again: int = -1) -> int:
            self.log.append(f"mark {again}")
            self.marks += again < 0
            return self.marks - 1 if again < 0 else again

        def wait(self) -> None:
            self.log.append("wait")

        def elapsed_ms(self, begin: int, end: int) -> float:
            assert (begin, end) == (0, 1) and self.log[-1] == "wait"
            return 6.0

    clock = Clock()
    stretch = turns.Stretch(clock)
    clock.log.clear()
    assert stretch.us(lambda: clock.log.append("run"), 3) == 2000.0
    assert clock.log == ["mark 0", "run", "run", "run", "mark 1", "wait"]


def test_versions_of_cuda_are_told_as_people_say_them() -> None:
    assert (facts.cuda_version(12040), facts.cuda_version(11080)) == ("12.4", "11.8")


# What is checked


def test_the_kernels_are_right_on_the_device(device: Device, torchless: None) -> None:
    ceilings = kernels.ceilings(device, 2, SMALL)
    sections = [kernels.vectors(device, (8, 12, 4), 16, 2, SMALL), kernels.vectors(device, (7, 3), 5, 2, SMALL)]
    sections += [kernels.maps(device, name, (4, 5, 6), ceilings.rows[0], 2, SMALL) for name in ("multconcat", "sum")]
    for section in [ceilings, *sections]:
        assert section.wrong() == []
        assert {own.missing for own in section.rows if not own.name.startswith(("ours", "copy"))} == {NO_TORCH}


def test_a_projection_that_is_wrong_is_caught(device: Device, torchless: None, monkeypatch: pytest.MonkeyPatch) -> None:
    right = Device.projection

    def without_the_last(self: Device, x: Any, dims: Any, *rest: Any) -> Callable[[], None]:
        return right(self, x, [*dims[:-1], dims[-1] - 1], *rest)

    monkeypatch.setattr(Device, "projection", without_the_last)
    section = kernels.vectors(device, (8, 12, 4), 16, 2, SMALL)
    assert [own.wrong is not None for own in section.rows[:2]] == [True, True]
    told = section.as_json(True)
    assert {own["status"] for own in told["rows"][:2]} == {"WRONG"}
    assert all(own["by_events_us"] is None for own in told["rows"][:2])


@pytest.mark.parametrize("kernel", ["fuse_maps", "copy"])
def test_a_kernel_that_does_nothing_is_caught(
    kernel: str, device: Device, torchless: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    do = Device._do
    monkeypatch.setattr(Device, "_do", lambda self, name, *given: None if name == kernel else do(self, name, *given))
    ceilings = kernels.ceilings(device, 2, SMALL)
    assert (ceilings.wrong() != []) == (kernel == "copy")
    maps = kernels.maps(device, "sum", (4, 5, 6), ceilings.rows[0], 2, SMALL)
    assert (maps.wrong() != []) == (kernel == "fuse_maps")
    assert maps.figures[0].as_json(True)["status"] == "WRONG"  # either way


def test_a_contender_whose_last_result_is_no_number_or_of_another_shape_is_wrong() -> None:
    truth = np.ones(3)
    for result in (np.array([1.0, np.nan, 1.0]), np.ones(2), np.array([1.0, 1.0, 1.001])):
        assert turns.Contender(lambda: None, None, lambda own=result: own, truth).wrong() is not None
    assert turns.Contender(lambda: None, None, lambda: truth + 1e-6, truth).wrong() is None


def test_a_tick_is_checked_against_the_host_and_its_copies_counted(device: Device) -> None:
    section = ticks.whole_tick(shipped_bundle(), 2)
    assert section.wrong() == [] and section.failed is None
    engine, graph, bound = section.rows
    assert engine.missing is None and graph.missing is None and bound.missing is None
    assert engine.counts["waits a tick"] == engine.counts["downloads a tick"] == 1
    assert engine.counts["uploads a tick"] >= 4 and engine.counts["uploaded_bytes a tick"] > 1000


def test_an_attribution_is_checked_too(device: Device) -> None:
    section = ticks.explained_tick(shipped_bundle(), 2)
    assert section.wrong() == [] and [own.missing for own in section.rows] == [None, None]


def test_an_engine_that_answers_differently_is_caught(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Device.queue
    monkeypatch.setattr(Device, "projection", _half_of(Device.projection))
    monkeypatch.setattr(Device, "queue", lambda self, name, *given: name != "subset_head" and run(self, name, *given))
    for section in (ticks.whole_tick(shipped_bundle(), 2), ticks.explained_tick(shipped_bundle(), 2)):
        assert section.rows[0].wrong is not None


def _half_of(projection: Callable[..., Any]) -> Callable[..., Any]:
    def wrong(self: Device, x: Any, dims: Any, *rest: Any) -> Any:
        return projection(self, x, [d // 2 for d in dims], *rest)

    return wrong


def test_a_result_is_unlike_another_in_mode_outputs_or_attribution() -> None:
    engine = load(shipped_bundle(), RunConfig(explain=True))
    moment = moments(engine.bundle, count=1)[0]
    truth = engine.answer(moment)
    assert ticks.unlike(truth, truth, True) is None
    assert "not full" in ticks.unlike(engine.answer({}), truth, True)
    moved = structs.replace(truth, outputs={name: values + 1e-3 for name, values in truth.outputs.items()})
    assert "is off" in ticks.unlike(moved, truth, True)
    assert "attributes" in ticks.unlike(structs.replace(truth, attribution={}), truth, True)
    assert ticks.unlike(structs.replace(truth, attribution={}), truth, False) is None
    shifted = {o: {s: phi + 0.01 for s, phi in streams.items()} for o, streams in truth.attribution.items()}
    assert "with an error" in ticks.unlike(structs.replace(truth, attribution=shifted), truth, True)


def test_a_graph_that_answers_differently_is_caught(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    compute = Session.compute
    monkeypatch.setattr(
        Session, "compute", lambda self, given: {name: v + 1 for name, v in compute(self, given).items()}
    )
    engine, graph, bound = ticks.whole_tick(shipped_bundle(), 2).rows
    assert engine.wrong is None and bound.wrong is None and graph.wrong is not None


def test_a_bound_graph_whose_answers_are_those_of_another_moment_is_caught(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    coming = ticks.Fed.coming.fget
    monkeypatch.setattr(ticks.Fed, "coming", property(lambda fed: {**coming(fed), "camera": black(coming(fed))}))
    _, graph, bound = ticks.whole_tick(shipped_bundle(), 2).rows
    assert graph.wrong is not None and bound.wrong is not None


def black(moment: Any) -> Any:
    return np.zeros_like(moment["camera"])


def test_maps_take_turns_until_no_cache_holds_them_still(device: Device) -> None:
    assert ours.sets_of(device, 10**9) == 2
    held = int(device.facts["cache_bytes"])
    assert ours.sets_of(device, held // 4) >= 9


# Who is not there


def test_torch_without_cuda_and_triton_that_is_not_installed_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch = pytest.importorskip("torch", reason="the extra `export` is not installed")
    if torch.cuda.is_available():
        pytest.skip("it has CUDA here")
    found = peers.multconcat(ours.layer_of((3, 2), 4))
    assert set(found) == {peers.EAGER, peers.COMPILED, peers.TRITON}
    assert all(why == f"torch {torch.__version__} finds no CUDA device" for why in found.values())
    monkeypatch.setattr(peers, "find", lambda package: None if package == "triton" else torch)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert peers.no_torch() is None and peers.no_triton() == "triton is not installed"


def test_a_peer_that_cannot_be_made_says_so_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: Any) -> Any:
        raise RuntimeError("no\n compiler")

    monkeypatch.setattr(peers, "_contender", broken)
    assert peers._peer(lambda: None, broken, np.ones(1)) == "RuntimeError: no compiler"


class Instant:
    """A queue on which everything is done at once, in as many milliseconds as it has marks."""

    def __init__(self) -> None:
        self.ms = 1.0

    def mark(self, again: int = -1) -> int:
        return max(again, 0)

    def wait(self) -> None: ...

    def elapsed_ms(self, begin: int, end: int) -> float:
        return self.ms

    def captured(self, work: Callable[[], object]) -> Callable[[], object]:
        return work


class Stubborn(Instant):
    """One that cannot be captured."""

    def captured(self, work: Callable[[], object]) -> Callable[[], object]:
        raise RuntimeError("not while capturing")


def test_a_batch_as_one_graph_is_timed_where_it_can_be_one() -> None:
    def contender(queue: Any, **more: Any) -> Any:
        return turns.Contender(lambda: None, queue, lambda: np.ones(3), np.ones(3), **more)

    runs = {"own": contender(Instant()), "stubborn": contender(Stubborn()), "whole": contender(Instant(), whole=True)}
    own, stubborn, whole = turns.race(runs, 4, 10)
    assert own.us("graph").tolist() == [100.0] * 4  # a millisecond for ten
    for other in (stubborn, whole):
        assert other.wrong is None and other.graph_us is None and other.us("events").size == 4
        told = figures.ratio(own, other, "graph").as_json(real=True)
        assert (told["status"], told["why"]) == ("not available", "is not timed so")
        assert figures.ratio(own, other, "events").as_json(real=True)["median"] == 1.0


def test_what_only_the_graph_did_wrong_is_caught() -> None:
    class Idle(Instant):
        """Whose graphs do nothing."""

        def captured(self, work: Callable[[], object]) -> Callable[[], object]:
            return lambda: None

    out = np.zeros(3)
    contender = turns.Contender(lambda: out.fill(1.0), Idle(), out.copy, np.ones(3), spoil=lambda: out.fill(np.nan))
    (told,) = turns.race({"idle": contender}, 2, 3)
    assert told.wrong is not None and "is off by nan" in told.wrong


@pytest.fixture
def torch_here(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Torch's contenders on the host, where neither its compiler nor its events are needed."""
    torch = pytest.importorskip("torch", reason="the extra `export` is not installed")
    torch_peers = importlib.import_module("gpu_numbers.torch_peers")
    monkeypatch.setattr(peers, "no_torch", lambda: None)
    monkeypatch.setattr(peers, "PLACE", "cpu")
    monkeypatch.setattr(torch_peers, "TorchQueue", Instant)
    monkeypatch.setattr(torch, "compile", lambda module, mode: module)
    return torch


def test_peers_race_and_are_checked_as_ours(device: Device, torch_here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "elapsed_ms", lambda self, begin, end: 0.1)
    ceilings = kernels.ceilings(device, 2, SMALL)
    sections = [ceilings, kernels.vectors(device, (8, 12, 4), 16, 2, SMALL)]
    sections += [kernels.maps(device, name, (4, 5, 6), ceilings.rows[0], 2, SMALL) for name in ("multconcat", "sum")]
    for section in sections:
        assert section.wrong() == []
        told = section.as_json(True)
        assert [own["name"] for own in told["rows"] if own["status"] != "measured"] in ([], [peers.TRITON])
    eager = next(own for own in sections[1].figures if own.name == f"{peers.EAGER} / {kernels.FLOAT}, by events")
    assert eager.as_json(True)["median"] == 10.0


def test_a_peer_that_is_wrong_is_caught(device: Device, torch_here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_here, "relu", lambda x: x)
    section = kernels.vectors(device, (8, 12, 4), 16, 2, SMALL)
    assert {own.name for own in section.rows if own.wrong is not None} == {peers.EAGER, peers.COMPILED}


def test_of_triton_s_tiles_the_quickest_is_raced(torch_here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = ours.layer_of((3, 2), 4)
    truth, queue = torch_here.tensor(kernels.ours.multconcat_truth(layer)), Instant()

    def launch(ms: float) -> Any:
        queue.ms = ms
        return truth * ms

    module = type(sys)("gpu_numbers.triton_multconcat")
    module.launchers = lambda layer, place: [functools.partial(launch, ms) for ms in (3.0, 1.0, 2.0)]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(sys.modules["gpu_numbers"], "triton_multconcat", module, raising=False)
    monkeypatch.setattr(peers, "no_triton", lambda: None)
    monkeypatch.setattr(importlib.import_module("gpu_numbers.torch_peers"), "TorchQueue", lambda: queue)
    made = peers.multconcat(layer)[peers.TRITON]
    assert not isinstance(made, str) and made.wrong() is None


def test_marks_of_torch_are_its_events(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="the extra `export` is not installed")
    log: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing
            self.recorded = 0

        def record(self) -> None:
            self.recorded += 1

        def elapsed_time(self, other: Any) -> float:
            return 10.0 * self.recorded + other.recorded

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: log.append("wait"))
    queue = importlib.import_module("gpu_numbers.torch_peers").TorchQueue()
    assert (queue.mark(), queue.mark(), queue.mark(0)) == (0, 1, 0)
    queue.wait()
    assert log == ["wait"] and queue.elapsed_ms(0, 1) == 21.0


def test_an_engine_without_its_provider_is_not_available(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgefuse.placement.available_providers", lambda: ("CPUExecutionProvider",))
    monkeypatch.setattr("edgefuse.placement._NAMES", {"cuda": "CUDAExecutionProvider"})
    section = ticks.whole_tick(shipped_bundle(), 2)
    assert all("was built without it" in own.missing for own in section.rows) and section.wrong() == []
    assert section.figures[0].as_json(True)["status"] == "not available"


def test_what_torch_computes_is_the_formula() -> None:
    pytest.importorskip("torch", reason="the extra `export` is not installed")
    torch_peers = importlib.import_module("gpu_numbers.torch_peers")
    layer, maps = ours.layer_of((7, 3, 5), 6), ours.maps_of(4, (3, 4, 5))
    found = [(torch_peers.multconcat(layer, "cpu", compiled=False), kernels.ours.multconcat_truth(layer))]
    for name in kernels.OPERATORS_OF_MAPS:
        truth = ours.maps_truth(OPERATORS[name], maps)
        found.append((torch_peers.fuse_maps(OPERATORS[name], maps, "cpu"), truth))
    for kept, truth in found:
        kept()
        assert turns.Contender(kept, None, kept.result, truth).wrong() is None
    kept = torch_peers.matmul(np.eye(4, dtype=np.float16), np.arange(16, dtype=np.float16).reshape(4, 4), "cpu")
    kept()
    assert torch_peers.first_rows(kept, 2, 4)().tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


# What is told


def test_without_a_gpu_one_line_says_so_and_all_is_well(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "edgefuse._cuda", None)
    assert command.main(["--out", str(tmp_path / "n.json")]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "there is no GPU to use" in line and "kernels were not built" in line
    assert not (tmp_path / "n.json").exists()


def test_where_a_gpu_is_required_an_engine_that_did_not_run_on_it_is_wrong(
    device: Device, torchless: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEFUSE_REQUIRE_GPU", "1")
    status, told = main(tmp_path)
    assert (status, told["ticked"]) == (0, True)
    monkeypatch.setattr("edgefuse.placement.available_providers", lambda: ("CPUExecutionProvider",))
    monkeypatch.setattr("edgefuse.placement._NAMES", {"cuda": "CUDAExecutionProvider"})
    status, told = main(tmp_path)
    assert (status, told["ticked"]) == (1, False) and "has not run" in told["wrong"][-1]


def test_the_json_is_complete_and_no_emulated_time_is_told(
    device: Device, torchless: None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    status, report = main(tmp_path, "--bundle", str(shipped_bundle()))
    assert status == 0 and report["wrong"] == [] and report["rounds"] == 2
    assert set(report) == {"schema", "facts", "rounds", "sections", "ticked", "wrong"}
    assert report["facts"]["name"] == "emulated"
    assert {"compute_capability", "memory_bytes", "cuda_driver", "power_mode", "torch", "triton", "onnxruntime"} <= set(
        report["facts"]
    )
    titles = [section["title"].split()[0] for section in report["sections"]]
    assert titles == ["ceilings", "MultConcat,", "multconcat", "sum", *["tick"] * 4]
    goals = [own["goal"] for own in parts(report) if own.get("goal") is not None]
    assert goals.count("at least 5") == goals.count("at least 1.5") == 4
    assert goals.count("at least 0.85") == 2 and goals.count("at least 1.8") == 4
    assert goals.count("at most 0.7") == goals.count("at most 1.1") == 2
    for own in parts(report):
        assert own["status"] in ("emulated", "not available"), own
        assert all(own[key] is None for key in ("median", "p10", "p90", "by_events_us", "by_host_us") if key in own)
    text = capsys.readouterr().out
    assert "name: emulated" in text and f"not available: {NO_TORCH}" in text
    assert all(own["name"] in text for own in parts(report))


def test_of_a_real_device_every_time_is_told(
    device: Device, torchless: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "is_real", lambda told: facts.is_real(REAL))
    monkeypatch.setattr(Device, "elapsed_ms", lambda self, begin, end: 0.5)
    status, report = main(tmp_path)
    assert status == 0 and {own["status"] for own in parts(report)} == {"measured", "not available"}
    mine = [own for own in parts(report) if own["name"] in (kernels.COPY, kernels.OURS, kernels.FLOAT, kernels.HALF)]
    assert len(mine) == 5
    assert all(own["by_events_us"]["median"] > 0 and own["by_host_us"]["median"] > 0 for own in mine)
    share = next(own for own in parts(report) if own["name"].startswith("share"))
    bytes_a_launch, launches, copies = 9 * 4 * 30 * 4, 3, 2  # one of each set of maps
    assert share["median"] == pytest.approx(bytes_a_launch * launches / copies / (2 * 4096), rel=1e-4)
    assert share["met"] is False
    assert "goal: at least 0.85, NOT met" in capsys.readouterr().out


def test_what_is_wrong_is_printed_so_and_the_status_says_it(
    device: Device, torchless: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "shipped_bundle", lambda: tmp_path / "gone.efb")
    do = Device._do
    monkeypatch.setattr(Device, "_do", lambda s, name, *given: None if name == "fuse_maps" else do(s, name, *given))
    status, report = main(tmp_path)
    text = capsys.readouterr().out
    assert status == 1 and len(report["wrong"]) == 4  # two operators, and a bundle that is not there, twice
    assert "ours" in text and "WRONG: is off by nan" in text and "gone.efb" in text


def test_a_bundle_that_is_none_is_wrong_usage(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "no.efb").write_text("no")
    for given in (["--bundle", str(tmp_path / "no.efb")], ["--rounds", "0"]):
        with pytest.raises(SystemExit) as ended:
            command.main(given)
        assert ended.value.code == 2
    assert "no.efb" in capsys.readouterr().err


def test_the_command_of_the_documentation_runs() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "gpu_numbers"), "--help"], capture_output=True, text=True, check=True
    )
    assert "--rounds" in done.stdout
