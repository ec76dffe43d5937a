"""Whoever encodes, and when: the answers are the same, no tick waits for an encoder, and the newest sample wins."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgefuse
from edgefuse import Engine, RunConfig, aside, executors
from edgefuse.aside import Aside
from edgefuse.config import FaultConfig, StreamConfig
from edgefuse.executors import Eager, Timed
from edgefuse.replay import injected, replay
from edgefuse.schema import document_of
from edgefuse.sources.base import Source
from edgefuse.types import NS_PER_MS, Sample
from tiny import Tiny

MS = NS_PER_MS
RATES_MS = {"a": 33, "b": 50, "c": 100}
SIZES = {"a": 3, "b": 5, "c": 4}


class Sensors(Source):
    """Three sensors at rates of their own, jittered, over two seconds."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.topics = dict.fromkeys(RATES_MS, "vector")
        self._seed = seed

    def samples(self) -> Iterator[Sample]:
        rng = np.random.default_rng(self._seed)
        drawn = [
            (round((k + rng.uniform(-0.2, 0.2)) * every * MS) + 10**9, name)
            for name, every in RATES_MS.items()
            for k in range(2000 // every)
        ]
        for stamp, name in sorted(drawn):
            yield Sample(name, stamp, rng.normal(size=SIZES[name]).astype(np.float32), stamp + 2 * MS)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    Tiny().write(tmp_path / "tiny.efb")
    return tmp_path / "tiny.efb"


def answers(bundle: Path, seed: int, **config: Any) -> list[dict[str, object]]:
    faults = (
        FaultConfig(stream="a", kind="stuck", from_s=0.4, to_s=0.8),
        FaultConfig(stream="b", kind="nan", from_s=0.6, to_s=0.9),
        FaultConfig(stream="c", kind="off", from_s=0.5, to_s=1.2),
        FaultConfig(stream="a", kind="stamp_jump", from_s=1.3, to_s=1.5),
        FaultConfig(stream="b", kind="delayed", from_s=1.2, to_s=1.6, delay_ms=80.0),
    )
    with edgefuse.load(bundle, RunConfig(faults=faults, **config)) as engine:
        ticks = list(replay(engine, injected(engine, Sensors(seed)), tick_hz=20))
        lines = [tick.result.as_json() for tick in ticks]
        assert {trust.state for tick in ticks for trust in tick.result.streams.values()} >= {"fresh", "held", "absent"}
        received = {name: account["received"] for name, account in engine.accounts().items()}
    return [*({k: v for k, v in line.items() if k != "timing_ms"} for line in lines), received]


@pytest.mark.parametrize("seed", range(4))
def test_every_executor_gives_the_same_answers_from_the_same_samples(bundle: Path, seed: int) -> None:
    inline = answers(bundle, seed)
    assert answers(bundle, seed, executor="workers") == inline
    assert answers(bundle, seed, deadline_ms=60_000.0) == inline


@pytest.mark.parametrize("seed", range(2))
def test_payloads_preprocessed_side_by_side_give_the_same_answers(
    bundle: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, before = answers(bundle, seed), set(threading.enumerate())
    threads = set[int]()
    share = Aside.share

    def watched(self: Aside, jobs: Iterable[Callable[[], object]]) -> None:
        share(self, [partial(noted, job) for job in jobs])

    def noted(job: Callable[[], object]) -> None:
        threads.add(threading.get_ident())
        job()
        time.sleep(0.001)  # so that the other thread comes in

    monkeypatch.setattr(executors, "WORTH_SHARING", 1)
    monkeypatch.setattr(aside, "cores", lambda: 2)
    monkeypatch.setattr(Aside, "share", watched)
    assert answers(bundle, seed) == alone
    assert len(threads) == 2
    for thread in set(threading.enumerate()) - before:
        thread.join(10.0)
        assert not thread.is_alive()


@pytest.mark.parametrize("config", [{"executor": "workers"}, {"deadline_ms": 60_000.0}])
def test_samples_in_hand_are_answered_whole_and_leave_the_rest_alone(bundle: Path, config: dict[str, Any]) -> None:
    one, two = Tiny(seed=1).samples(), Tiny(seed=2).samples()
    want = edgefuse.load(bundle).answer(two)
    with edgefuse.load(bundle, RunConfig(**config)) as engine:
        for name, payload in one.items():
            engine.push(name, 1, payload)
        engine.settle()
        before = engine.step(1)
        assert engine.answer(two).outputs["way"].tobytes() == want.outputs["way"].tobytes()
        assert engine.step(2).outputs["way"].tobytes() == before.outputs["way"].tobytes()


class Held:
    """Makes the encoder of one stream wait until it is let go, and notes what it encoded."""

    def __init__(self, engine: Engine, stream: int, monkeypatch: pytest.MonkeyPatch) -> None:
        executor = engine._executor
        assert isinstance(executor, Eager | Timed)
        self.encoder, self.begun, self.go = executor.workers[stream]._encoder, threading.Event(), threading.Event()
        self.stamps: list[int] = []
        run = self.encoder.run

        def slow(sample: Sample) -> None:
            self.begun.set()
            assert self.go.wait(30.0)
            self.stamps.append(sample.stamp_ns)
            run(sample)

        monkeypatch.setattr(self.encoder, "run", slow)


def push(engine: Engine, t_ms: int, *names: str) -> None:
    for name in names:
        engine.push(name, t_ms * MS, np.full(SIZES[name], t_ms, dtype=np.float32))


def test_a_tick_never_waits_for_an_encoder_and_the_newest_sample_wins(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with edgefuse.load(bundle, RunConfig(executor="workers")) as engine:
        push(engine, 0, "a", "b", "c")
        engine.settle()
        held = Held(engine, 0, monkeypatch)
        push(engine, 30, "a")
        assert held.begun.wait(30.0)
        for t_ms in (60, 90, 120):  # the encoder still holds the one of 30: twice too slow, or worse
            push(engine, t_ms, "a", "b", "c")
            engine._executor.workers[1].settle()  # type: ignore[attr-defined]
            engine._executor.workers[2].settle()  # type: ignore[attr-defined]
            result = engine.step(t_ms * MS)  # returns although the encoder is at work
            assert result.streams["a"].age_ms == t_ms
            assert result.streams["b"].age_ms == 0.0
        assert result.streams["a"].state == "held"
        assert (result.streams["a"].health, result.streams["a"].reason) == ("warn", "late")
        held.go.set()
        engine.settle()
        assert held.stamps == [30 * MS, 120 * MS]  # those of 60 and 90 were overtaken and cost nothing
        assert engine.step(125 * MS).streams["a"].age_ms == 5.0
        account = engine.accounts()["a"]
        assert (account["used"], account["waiting"]) == (2, 1)  # of 0 and 120; that of 90 could still be held
        assert account["dropped"] == {"superseded": 2}


def test_an_encoder_beyond_the_deadline_is_flagged_in_the_same_tick_and_its_result_serves_the_next(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with edgefuse.load(bundle, RunConfig(deadline_ms=200.0)) as engine:
        push(engine, 0, "a", "b", "c")
        assert engine.step(0).mode == "full"
        held = Held(engine, 0, monkeypatch)
        push(engine, 50, "a", "b", "c")
        result = engine.step(50 * MS)  # answered while the encoder still holds the sample
        late = result.streams["a"]
        assert (late.state, late.health, late.reason, late.age_ms) == ("fresh", "warn", "deadline", 50.0)
        assert [result.streams[name].reason for name in "bc"] == [None, None]
        push(engine, 100, "a", "b", "c")
        again = engine.step(100 * MS)
        assert (again.streams["a"].reason, again.streams["a"].age_ms) == ("deadline", 100.0)
        assert again.streams["b"].age_ms == 0.0
        held.go.set()
        engine.settle()
        engine.step(110 * MS)
        engine.settle()
        assert engine.step(120 * MS).streams["a"].age_ms == 20.0


def test_an_encoder_known_to_be_too_slow_is_not_started_within_the_tick(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with edgefuse.load(bundle, RunConfig(deadline_ms=200.0)) as engine:
        push(engine, 0, "a", "b", "c")
        engine.step(0)
        executor = engine._executor
        assert isinstance(executor, Timed)
        for _ in range(3):
            executor.workers[0].times.note(1000.0)
        held = Held(engine, 0, monkeypatch)
        push(engine, 50, "a", "b", "c")
        result = engine.step(50 * MS)
        assert (result.streams["a"].reason, result.streams["b"].reason) == ("deadline", None)
        assert held.begun.wait(30.0)  # started after the answer, for the next
        held.go.set()
        engine.settle()
        assert engine.step(60 * MS).streams["a"].age_ms == 10.0


def test_without_an_older_embedding_a_late_stream_is_absent(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with edgefuse.load(bundle, RunConfig(deadline_ms=100.0)) as engine:
        held = Held(engine, 0, monkeypatch)
        push(engine, 0, "a", "b", "c")
        result = engine.step(0)
        assert (result.streams["a"].state, result.streams["a"].reason) == ("absent", "deadline")
        assert result.used == ("b", "c")
        held.go.set()


def test_a_failing_encoder_does_not_end_its_worker(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with edgefuse.load(bundle, RunConfig(executor="workers")) as engine:
        executor = engine._executor
        assert isinstance(executor, Eager)
        encoder = executor.workers[0]._encoder
        with monkeypatch.context() as broken:
            broken.setattr(encoder, "preprocess", lambda sample: 1 / 0)
            push(engine, 0, "a", "b")
            engine.settle()
            assert engine.step(0).streams["a"].reason == "graph_failed"
            assert "stream 'a': the encoder failed" in caplog.text
        for k in range(1, 6):
            push(engine, 10 * k, "a")
            engine.settle()
            trust = engine.step(10 * k * MS).streams["a"]
        assert (trust.reason, trust.state) == (None, "fresh")


def test_the_threads_end_with_the_engine(bundle: Path) -> None:
    def alive() -> int:
        return sum(thread.name.startswith("edgefuse ") for thread in threading.enumerate())

    before = alive()
    engine = edgefuse.load(bundle, RunConfig(executor="workers"))
    workers = engine._executor.workers  # type: ignore[attr-defined]
    assert alive() == before + 3
    del engine
    gc.collect()
    for worker in workers:
        worker._thread.join(30.0)
    assert alive() == before


def test_a_reset_forgets_what_the_workers_had(bundle: Path) -> None:
    with edgefuse.load(bundle, RunConfig(executor="workers", streams={"a": StreamConfig(ladder=("hold",))})) as engine:
        push(engine, 0, "a", "b", "c")
        engine.settle()
        engine.step(0)
        engine.reset()
        assert engine.step(0).mode == "blind"
        push(engine, 5, "a")
        engine.settle()
        result = engine.step(5 * MS)
        want = edgefuse.load(bundle).answer({"a": np.full(3, 5, dtype=np.float32)})
        assert result.used == ("a",)
        assert result.outputs["way"].tobytes() == want.outputs["way"].tobytes()


def test_a_sample_that_a_reset_overtakes_is_nobodys(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with edgefuse.load(bundle, RunConfig(executor="workers")) as engine:
        old = engine._front.push("a", 1, np.full(3, 9, dtype=np.float32))  # its thread stops here
        engine.reset()
        engine._executor.pushed(0, old)
        engine.settle()
        held = Held(engine, 0, monkeypatch)
        push(engine, 1, "a")
        assert engine.step(1 * MS).streams["a"].state == "absent"
        held.go.set()


def test_a_reset_waits_for_nobody(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with edgefuse.load(bundle, RunConfig(executor="workers")) as engine:
        held = Held(engine, 0, monkeypatch)
        push(engine, 0, "a")
        assert held.begun.wait(30.0)
        engine.reset()  # returns although the encoder is at work
        held.go.set()


def test_a_sample_sent_twice_does_not_starve_its_stream(bundle: Path) -> None:
    with edgefuse.load(bundle, RunConfig(executor="workers")) as engine:
        for k in range(5):
            push(engine, 30 * k, "a", "a")
            engine.step(30 * k * MS)
            engine.settle()
            assert engine.step(30 * k * MS).streams["a"].age_ms == 0.0


def test_an_older_sample_never_replaces_a_newer_one_in_the_mailbox(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with edgefuse.load(bundle, RunConfig(executor="workers")) as engine:
        held = Held(engine, 0, monkeypatch)
        push(engine, 0, "a")
        assert held.begun.wait(30.0)
        two, three = (engine._front.push("a", t * MS, np.full(3, t, dtype=np.float32)) for t in (10, 20))
        engine._executor.pushed(0, three)
        engine._executor.pushed(0, two)
        held.go.set()
        engine.settle()
        assert held.stamps == [0, 20 * MS]


@pytest.mark.parametrize("config", [{}, {"executor": "workers"}, {"deadline_ms": 60_000.0}])
def test_many_answers_in_hand_leave_what_was_pushed_alone(bundle: Path, config: dict[str, Any]) -> None:
    with edgefuse.load(bundle, RunConfig(**config)) as engine:
        push(engine, 0, "a", "b", "c")
        engine.settle()
        before = engine.step(0)
        for seed in range(80):
            engine.answer(Tiny(seed=seed).samples())
        after = engine.step(1 * MS)
        assert after.mode == "full"
        assert after.outputs["way"].tobytes() == before.outputs["way"].tobytes()


@pytest.mark.parametrize("config", [{}, {"executor": "workers"}, {"deadline_ms": 60_000.0}])
def test_an_embedding_that_overflows_closes_the_gate_and_the_sample_before_is_held(
    bundle: Path, config: dict[str, Any]
) -> None:
    with edgefuse.load(bundle, RunConfig(**config)) as engine:
        told = []
        for k in range(12):
            t_ms = 20 * k
            payload = [3e38, 3e38, -3e38] if k == 3 else [k, 1, 2]
            engine.push("a", t_ms * MS, np.array(payload, dtype=np.float32))
            engine.settle()
            told.append(engine.step(t_ms * MS).streams["a"])
        assert [trust.reason for trust in told] == [None] * 3 + ["non_finite"] * 5 + [None] * 4
        assert told[4].state == "held"
        assert told[4].age_ms == 40.0
        assert engine.accounts()["a"]["dropped"] == {"non_finite": 1, "recovering": 4, "superseded": 0}


def test_a_bundle_that_does_not_load_leaves_no_thread(tmp_path: Path) -> None:
    bundle = Tiny().write(tmp_path / "tiny.efb")
    fields = document_of(bundle.manifest, "files")
    files = {name: bundle[name] for name in bundle.manifest.files}
    files["encoders/c.onnx"] = files["encoders/b.onnx"]
    edgefuse.bundle.write(tmp_path / "odd.efb", fields, files)
    before = threading.active_count()
    with pytest.raises(edgefuse.BundleError, match=r"encoders/c\.onnx"):
        edgefuse.load(tmp_path / "odd.efb", RunConfig(executor="workers"))
    assert threading.active_count() == before
