"""Tests of the bench of the kernels: what it reports, what it leaves out and why, what it refuses to time."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from edgefuse import cli, kernels
from edgefuse.bench import kernel_peers as bench_peers
from edgefuse.bench import kernels as bench_kernels
from edgefuse.bench.kernels import Layer, multconcat, multconcat_truth
from edgefuse.errors import UsageError
from edgefuse.pools import Pool

OURS = ["ours", "ours, float16", "ours, 2 of 4", "streaming copy", "ours, all subsets", "16 float32", "64 float16"]
PEERS = ["onnxruntime", "onnxruntime [D, d]", "torch eager", "onnxruntime, one head"]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes at which a run takes no time; one thread for ONNX Runtime whatever this process has decided before."""
    for name, value in {"EMBEDDING": 12, "WIDTH": 20, "MAP": (3, 4, 5)}.items():
        monkeypatch.setattr(bench_kernels, name, value)
    monkeypatch.setattr(bench_kernels, "GROWTH", {"streams": (2, 16), "width": (64,)})
    monkeypatch.setattr(bench_peers, "pool", lambda threads: Pool(True, threads, "for the test"))


def left_out(figures: dict[str, Any]) -> dict[str, str]:
    return {name: why for s in figures["scenarios"].values() for name, why in s["left_out"].items()}


def timed(figures: dict[str, Any]) -> set[str]:
    tables = [s["timings"] for s in figures["scenarios"].values()] + list(figures["growth"].values())
    return {name for table in tables for name in table}


def test_every_contender_is_timed_or_left_out_with_a_reason() -> None:
    figures = bench_kernels.bench_kernels(rounds=10)
    assert set(OURS) <= timed(figures)
    assert set(PEERS) <= timed(figures) | set(left_out(figures))


def test_the_figures_are_json_and_every_ratio_is_a_number() -> None:
    figures = json.loads(json.dumps(bench_kernels.bench_kernels(rounds=10), allow_nan=False))
    ratios = [r for s in figures["scenarios"].values() for r in s["ratio"].values()]
    assert len(ratios) >= 3
    # Not above 0: beside a contender that the machine held up for long, a ratio of ten rounds rounds to 0.
    assert all(math.isfinite(value) and value >= 0 for r in ratios for value in r.values())


def test_the_description_names_every_contender_and_ratio() -> None:
    figures = bench_kernels.bench_kernels(rounds=10)
    text = bench_kernels.describe(figures)
    named = [*timed(figures), *left_out(figures), *(n for s in figures["scenarios"].values() for n in s["ratio"])]
    assert all(name in text for name in named)


def test_it_runs_without_torch_and_onnx_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_peers, "find", lambda package: None)
    figures = bench_kernels.bench_kernels(rounds=10)
    assert set(left_out(figures)) == set(PEERS)
    assert all("is not installed" in why for why in left_out(figures).values())
    assert set(OURS) <= timed(figures)
    assert "torch eager: left out, torch is not installed" in bench_kernels.describe(figures)


def test_a_module_that_is_not_there_is_none() -> None:
    assert bench_peers.find("no_such_module_anywhere") is None


def test_onnx_runtime_is_left_out_where_the_process_gave_it_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx")
    monkeypatch.setattr(bench_peers, "pool", lambda threads: Pool(True, 2, "made before"))
    assert "2 threads" in left_out(bench_kernels.bench_kernels(rounds=10))["onnxruntime"]


def test_torch_gets_its_threads_back() -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    with bench_peers.one_torch_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_a_wrong_result_is_refused_and_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "prepared_project", lambda *given: lambda: given[-1].fill(1.0))
    with pytest.raises(UsageError, match="ours does not give the result of float64"):
        bench_kernels.bench_kernels(rounds=10)


def test_a_result_that_is_not_a_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "subset_head", lambda *given: given[-1].fill(np.nan))
    with pytest.raises(UsageError, match="ours, all subsets"):
        bench_kernels.bench_kernels(rounds=10)


def test_contender_and_truth_leave_absent_streams_out() -> None:
    layer = Layer.draw(3, 7, 9)
    out, truth = multconcat(layer, present=(0, 2))()["out"].reshape(4, 9), multconcat_truth(layer, (0, 2)).reshape(4, 9)
    assert not out[1].any() and not truth[1].any()
    np.testing.assert_allclose(truth[3], truth[0] * truth[2])
    np.testing.assert_allclose(out, truth, atol=1e-5)


def test_the_command_line_prints_the_tables_and_then_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--kernels", "--rounds", "100", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "MultConcat by streams" in lines
    assert json.loads(lines[-1])["circumstances"]["rounds"] == 100
