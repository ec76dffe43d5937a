"""On a device the engine answers as on the host, waits once a tick, and goes on elsewhere or says so when it is lost.

Once the device is emulated: see tests/cpp/emulated/cuda/device.hpp; what is read there too early is not there yet. Once
it is this machine's, if it has one.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgefuse
import emulated
from edgefuse import Engine, RunConfig, session
from edgefuse.device import Device
from edgefuse.doctor import shipped_bundle
from edgefuse.errors import BundleError, ConfigError, DeviceError
from edgefuse.fuse_device import DeviceFusion
from edgefuse.joins import GATES, Join
from edgefuse.operators import OPERATORS, subsets
from edgefuse.pools import Pool
from edgefuse.replay import replay
from edgefuse.session import Placement, Session
from edgefuse.sources import open_source
from edgefuse.types import Array, Result
from test_impute import bundle_with
from tiny import KERNEL_OPERATORS, Tiny, dims_for

CUDA: dict[str, Any] = {"device": "cuda"}
emulated_only = pytest.mark.parametrize("device", ["emulated"], indirect=True)


@pytest.fixture(autouse=True, params=emulated.EACH)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    emulated.choose(request.param, monkeypatch)


def test_gates_too_are_computed_there(tmp_path: Path) -> None:
    computed = {}
    for operator in KERNEL_OPERATORS:
        Tiny(dims_for(operator, 3), operator).write(tmp_path / f"{operator}.efb")
        fusion = on_device(tmp_path / f"{operator}.efb").parts.model.fusion
        assert isinstance(fusion, DeviceFusion)
        computed[operator] = fusion.on_device
    assert all(
        computed[name] for name, row in OPERATORS.items() if row.join in (Join.NONE, *GATES) and name in computed
    )


def on_device(path: Path, **config: Any) -> Engine:
    engine = edgefuse.load(path, RunConfig(**{**CUDA, **config}))
    assert engine.parts.provider == "cuda"
    return engine


def both(path: Path, **config: Any) -> tuple[Engine, Engine]:
    return edgefuse.load(path, RunConfig(**config)), on_device(path, **config)


def same(here: Result, there: Result) -> None:
    assert (here.mode, here.why, here.labels, dict(here.streams)) == (
        there.mode,
        there.why,
        there.labels,
        dict(there.streams),
    )
    for name, values in here.outputs.items():
        np.testing.assert_allclose(there.outputs[name], values, rtol=1e-4, atol=1e-5)
    for name, streams in here.attribution.items():
        for stream, phi in streams.items():
            np.testing.assert_allclose(there.attribution[name][stream], phi, rtol=1e-3, atol=1e-4)


def answers(engine: Engine, uri: str, tick_hz: float = 20.0) -> Iterator[Result]:
    for tick in replay(engine, open_source(uri), tick_hz=tick_hz):
        yield tick.result


@pytest.mark.parametrize("config", [{}, {"cuda_graphs": False}, {"fusion_weights": "float16"}, {"explain": True}])
def test_the_shipped_bundle_answers_a_run_with_faults_as_on_the_host(config: dict[str, Any]) -> None:
    faults = (
        {"stream": "camera", "kind": "black", "from_s": 2.0, "to_s": 3.0},
        {"stream": "lidar", "kind": "off", "from_s": 1.0, "to_s": 4.0},
        {"stream": "gps", "kind": "nan", "from_s": 3.5, "to_s": 4.0},
    )
    here, there = both(shipped_bundle(), faults=faults, **config)
    pairs = list(
        zip(answers(here, "site:seed=3&duration_s=5"), answers(there, "site:seed=3&duration_s=5"), strict=True)
    )
    assert len(pairs) > 90
    for own, other in pairs:
        same(own, other)
    assert {own.mode for own, _ in pairs} >= {"full", "degraded"}


@pytest.mark.parametrize("operator", KERNEL_OPERATORS)
def test_every_subset_is_answered_as_the_formula_says(operator: str, tmp_path: Path) -> None:
    tiny = Tiny(dims_for(operator, 4), operator)
    tiny.write(tmp_path / "tiny.efb")
    engine, samples = on_device(tmp_path / "tiny.efb"), tiny.samples()
    for present in subsets(list(tiny.dims)):
        chosen = {name: samples[name] for name in present}
        result = engine.answer(chosen)
        np.testing.assert_allclose(result.outputs["way"], tiny.truth(chosen), rtol=1e-4, atol=1e-5)
        assert result.used == present


@pytest.mark.parametrize("rung", ["mean", "token"])
def test_an_imputed_stream_counts_as_its_stand_in(rung: str, tmp_path: Path) -> None:
    tiny = Tiny()
    tiny.write(tmp_path / "tiny.efb")
    engine, samples = on_device(tmp_path / "tiny.efb", ladder=("hold", rung)), {"b": tiny.samples()["b"]}
    stand_ins = {name: row for name, row in zip(tiny.dims, tiny.blocks[rung], strict=True) if name != "b"}
    np.testing.assert_allclose(
        engine.answer(samples).outputs["way"], tiny.truth(samples, stand_ins), rtol=1e-4, atol=1e-5
    )


def test_what_is_told_from_the_others_is_told_from_those_on_the_device(tmp_path: Path) -> None:
    tiny = Tiny()
    bundle, _ = bundle_with(tmp_path, tiny)
    here, there = both(Path(bundle.path), ladder=("hold", "impute"))
    for present in subsets(list(tiny.dims)):
        samples = {name: tiny.samples()[name] for name in present}
        same(here.answer(samples), there.answer(samples))


def test_an_encoder_that_overflows_takes_its_stream_out_of_the_very_answer(tmp_path: Path) -> None:
    tiny = Tiny()
    tiny.encoders["a"][0][:] = 3e38
    tiny.write(tmp_path / "tiny.efb")
    engine, samples = on_device(tmp_path / "tiny.efb"), tiny.samples()
    samples["a"] = np.full_like(samples["a"], 3e38)
    rest = {name: samples[name] for name in ("b", "c")}
    for _ in range(2):  # it stays known of the sample that lies there
        result = engine.answer(samples)
        assert result.streams["a"].reason == "non_finite"
        np.testing.assert_allclose(result.outputs["way"], tiny.truth(rest), rtol=1e-4, atol=1e-5)


def test_after_a_sample_that_overflows_the_one_before_is_held(tmp_path: Path) -> None:
    tiny = Tiny()
    tiny.encoders["a"][0][:] = 3e38
    tiny.write(tmp_path / "tiny.efb")
    engines = both(tmp_path / "tiny.efb")
    good, bad = np.zeros(3, np.float32), np.full(3, 3e38, np.float32)
    results = []
    for engine in engines:
        for stamp, payload in ((0, good), (20, bad)):
            engine.push("a", stamp * 1_000_000, payload)
            results.append(engine.step(stamp * 1_000_000))
    for here, there in zip(results[:2], results[2:], strict=True):
        same(here, there)


def test_what_if_asks_the_host_and_changes_nothing(tmp_path: Path) -> None:
    tiny = Tiny()
    tiny.write(tmp_path / "tiny.efb")
    engine, samples = on_device(tmp_path / "tiny.efb"), tiny.samples()
    before = engine.answer(samples)
    left = {name: samples[name] for name in ("a", "c")}
    np.testing.assert_allclose(engine.what_if("b").outputs["way"], tiny.truth(left), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(engine.answer(samples).outputs["way"], before.outputs["way"])


def test_a_tick_has_one_copy_back_and_one_wait_and_copies_what_is_new_alone() -> None:
    engine, uri = on_device(shipped_bundle()), "site:seed=3&duration_s=3"
    traffic, ticks = engine.parts.traffic, answers(engine, uri, 100.0)
    assert traffic is not None
    first = [next(ticks) for _ in range(150)][-1]
    before = (traffic.downloads, traffic.waits, traffic.uploads)
    last = [next(ticks) for _ in range(100)][-1]
    after = (traffic.downloads, traffic.waits, traffic.uploads)
    downloads, waits, uploads = (b - a for a, b in zip(before, after, strict=True))
    assert downloads == waits == 100
    new = [sample for sample in open_source(uri).samples() if first.t_ns < sample.arrived_ns <= last.t_ns]
    assert len(new) > 20 and uploads == 2 * 100 + len(new)  # presence and stand-ins every time


def fusion_of(engine: Engine) -> DeviceFusion:
    fusion = engine.parts.model.fusion
    assert isinstance(fusion, DeviceFusion)
    return fusion


@emulated_only
@pytest.mark.parametrize("graphs", [True, False])
def test_the_fusion_is_one_graph_where_that_is_wanted(graphs: bool, tmp_path: Path) -> None:
    assert (fusion_of(on_device(shipped_bundle(), cuda_graphs=graphs)).launch is not None) == graphs
    Tiny(operator="lmf").write(tmp_path / "tiny.efb")  # joined by the host
    assert fusion_of(on_device(tmp_path / "tiny.efb")).launch is None


@emulated_only
def test_a_graph_of_a_model_that_cannot_be_captured_is_run_step_by_step_and_that_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    opened = session._session

    def picky(model: bytes, ours: Pool, one_thread: bool, on: Placement) -> Any:
        if on.captured:
            raise RuntimeError("cannot use the graph capture feature: not all nodes are on the device")
        return opened(model, ours, one_thread, on)

    monkeypatch.setattr(session, "_session", picky)
    caplog.set_level(logging.INFO, "edgefuse")
    engine = on_device(shipped_bundle())
    told = [record.getMessage() for record in caplog.records]
    assert sum("not as one CUDA graph" in line and "not all nodes" in line for line in told) == 5
    assert next(answers(engine, "site:duration_s=1")).t_ns > 0


@emulated_only
def test_cuda_graphs_are_launched_in_the_thread_that_loaded_and_in_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Runs:
        """ONNX Runtime's session, that writes down what each run is asked for."""

        def __init__(self, own: Any) -> None:
            self._own = own

        def __getattr__(self, name: str) -> Any:
            return getattr(self._own, name)

        def run_with_iobinding(self, binding: Any, options: Any = None) -> None:
            with contextlib.suppress(AttributeError, RuntimeError):  # the host has no options, others not this one
                asked.append(options.get_run_config_entry("gpu_graph_id"))
            self._own.run_with_iobinding(binding, options)

    opened = session._session
    monkeypatch.setattr(session, "_session", lambda *given: Runs(opened(*given)))
    engine, host = on_device(shipped_bundle()), edgefuse.load(shipped_bundle())
    want = list(answers(host, "site:duration_s=1"))
    for here, there in zip(want, answers(engine, "site:duration_s=1"), strict=True):
        same(here, there)
    assert asked == []
    engine.reset()
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.extend(answers(engine, "site:duration_s=1")))
    thread.start()
    thread.join()
    assert set(asked) == {"-1"}
    for here, there in zip(want, results, strict=True):
        same(here, there)


@emulated_only
def test_no_garbage_is_collected_while_graphs_are_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    captured, collects = Device.captured, []

    def watched(self: Device, work: Callable[[], object]) -> Callable[[], None]:
        collects.append(gc.isenabled())
        return captured(self, work)

    monkeypatch.setattr(Device, "captured", watched)
    assert fusion_of(on_device(shipped_bundle())).launch is not None
    assert collects == [False] and gc.isenabled()


@emulated_only
@pytest.mark.parametrize("how", ["refused", "answers otherwise"])
def test_a_graph_that_cannot_be_had_or_answers_otherwise_is_not_launched(
    how: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    captured = Device.captured

    def odd(self: Device, work: Callable[[], object]) -> Callable[[], None]:
        if how == "refused":
            raise DeviceError("capturing a graph: operation not permitted", place="cuda:0")
        return captured(self, lambda: None)

    monkeypatch.setattr(Device, "captured", odd)
    caplog.set_level(logging.INFO, "edgefuse")
    engine, host = on_device(shipped_bundle()), edgefuse.load(shipped_bundle())
    assert "step by step" in caplog.records[0].getMessage()
    assert fusion_of(engine).launch is None
    for here, there in zip(answers(host, "site:duration_s=1"), answers(engine, "site:duration_s=1"), strict=True):
        same(here, there)


@pytest.mark.parametrize("graphs", [True, False])
def test_without_anything_new_only_presence_is_copied_and_what_stands_in(graphs: bool, tmp_path: Path) -> None:
    tiny = Tiny()
    tiny.write(tmp_path / "tiny.efb")
    engine = on_device(tmp_path / "tiny.efb", cuda_graphs=graphs)
    for name, payload in tiny.samples().items():
        engine.push(name, 0, payload)
    first = engine.step(0)
    assert engine.parts.traffic is not None
    before = engine.parts.traffic.uploads
    second = engine.step(1_000_000)
    assert engine.parts.traffic.uploads - before == (2 if graphs else 1)
    np.testing.assert_array_equal(first.outputs["way"], second.outputs["way"])


@emulated_only
@pytest.mark.parametrize("calls", range(1, 40, 3))
def test_a_device_that_is_lost_is_replaced_by_the_host_within_the_tick(
    calls: int, caplog: pytest.LogCaptureFixture
) -> None:
    engine, clean = on_device(shipped_bundle(), providers=("cuda", "cpu")), edgefuse.load(shipped_bundle())
    pairs = zip(answers(engine, "site:seed=3&duration_s=3"), answers(clean, "site:seed=3&duration_s=3"), strict=True)
    for i, (there, here) in enumerate(pairs):
        same(here, there)
        if i == 10:
            engine.parts.on.device._own.break_in(calls)  # type: ignore[union-attr]
    assert engine.parts.provider == "cpu"
    (refused,) = engine.parts.refused
    assert refused.provider == "cuda" and "the device is lost" in refused.reason
    (record,) = caplog.records
    assert "answers are computed by cpu" in record.getMessage() and record.levelno == logging.WARNING


@emulated_only
def test_where_no_other_is_allowed_every_answer_is_the_prior_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    engine = on_device(shipped_bundle(), explain=True)
    ticks = answers(engine, "site:seed=3&duration_s=3")
    assert [next(ticks).mode for _ in range(20)][-1] == "full"
    engine.parts.on.device._own.break_in(5)  # type: ignore[union-attr]
    for result in ticks:
        assert result.mode == "blind"
        assert {trust.reason for trust in result.streams.values()} == {"device_lost"}
    (record,) = caplog.records
    assert "every answer is the prior" in record.getMessage() and record.levelno == logging.ERROR
    assert engine.what_if("camera").mode == "blind"


@emulated_only
@pytest.mark.parametrize("providers", [("cuda", "cpu"), ("cuda",)])
def test_what_is_asked_beside_an_answer_may_lose_the_device_too(providers: tuple[str, ...], tmp_path: Path) -> None:
    tiny = Tiny()
    tiny.write(tmp_path / "tiny.efb")
    engine = on_device(tmp_path / "tiny.efb", providers=providers)
    before = engine.answer(tiny.samples())
    engine.parts.on.device._own.break_in(1)  # type: ignore[union-attr]
    supposed = engine.what_if("a")
    assert supposed.mode == "blind" and {t.reason for t in supposed.streams.values()} == {"device_lost"}
    assert {t.reason for t in engine.what_if("b").streams.values()} == {"device_lost"}  # nothing of it is left
    after = engine.answer(tiny.samples())
    assert after.mode == ("full" if len(providers) == 2 else "blind")
    assert engine.what_if("b").mode == ("degraded" if len(providers) == 2 else "blind")
    assert before.mode == "full"


@emulated_only
def test_an_answer_whose_explanation_loses_the_device_is_given_without_one(tmp_path: Path) -> None:
    tiny = Tiny()
    tiny.write(tmp_path / "tiny.efb")
    samples = tiny.samples()
    for calls in range(1, 40):
        engine = on_device(tmp_path / "tiny.efb", providers=("cuda", "cpu"), explain=True)
        assert engine.answer(samples).attribution
        engine.parts.on.device._own.break_in(calls)  # type: ignore[union-attr]
        result = engine.answer(samples)
        assert result.mode == "full"
        np.testing.assert_allclose(result.outputs["way"], tiny.truth(samples), rtol=1e-4, atol=1e-5)
        if engine.parts.provider == "cpu" and not result.attribution:
            return  # it was lost over the explanation
    pytest.fail("no call was the explanation's")


@emulated_only
@pytest.mark.parametrize(
    ("words", "provider"),
    [
        ("Failed to allocate memory for requested buffer", "cpu"),
        ("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED", "cpu"),
        ("invalid index", "cuda"),
    ],
)
def test_a_graph_that_fails_is_its_streams_reason_unless_the_device_has_no_memory(
    words: str, provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = Tiny()
    tiny.write(tmp_path / "tiny.efb")
    engine, samples = on_device(tmp_path / "tiny.efb", providers=("cuda", "cpu")), tiny.samples()
    run = Session.run

    def failing(self: Session) -> None:
        if self._on.device is not None and self._place.endswith("a.onnx"):
            raise BundleError(words, place=self._place)
        run(self)

    monkeypatch.setattr(Session, "run", failing)
    result = engine.answer(samples)
    assert engine.parts.provider == provider
    left = samples if provider == "cpu" else {name: samples[name] for name in ("b", "c")}
    assert result.streams["a"].reason == (None if provider == "cpu" else "graph_failed")
    np.testing.assert_allclose(result.outputs["way"], tiny.truth(left), rtol=1e-4, atol=1e-5)


@emulated_only
def test_a_device_without_memory_is_refused_and_the_host_taken_where_that_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make = emulated.module().Device

    def small(index: int) -> Any:
        own = make(index)
        own.allocate((1 << 28) - 100_000)
        return own

    monkeypatch.setattr(emulated.module(), "Device", small)
    engine = edgefuse.load(shipped_bundle(), RunConfig(**CUDA, providers=("cuda", "cpu")))
    assert engine.parts.provider == "cpu"
    assert str(engine.parts.refused[0]).endswith("out of memory")
    with pytest.raises(ConfigError, match=r"configuration: providers: none can be had .*out of memory.*name cpu last"):
        edgefuse.load(shipped_bundle(), RunConfig(**CUDA))


def test_payloads_of_any_layout_are_brought_there_as_they_are(tmp_path: Path) -> None:
    here, there = both(shipped_bundle())
    rng = np.random.default_rng(0)
    big = rng.integers(0, 255, (97, 131, 3)).astype(np.uint8)
    pictures: list[Array] = [
        big,
        big[:48, :64],  # as the encoder takes it, with gaps between rows
        big[:, ::-1],
        np.asfortranarray(big),
        big[:20, :30],  # smaller than the encoder's
    ]
    clouds = [rng.uniform(0, 20, (2000, 4)).astype(np.float32), rng.uniform(0, 20, (4000, 4)).astype(np.float32)[::2]]
    depths = [
        rng.integers(500, 6000, (60, 80)).astype(np.uint16),
        rng.integers(500, 6000, (121, 160)).astype(np.uint16),
    ]
    for i, picture in enumerate(pictures):
        samples = {"camera": picture, "lidar": clouds[i % 2], "depth": depths[i % 2]}
        same(here.answer(samples), there.answer(samples))
