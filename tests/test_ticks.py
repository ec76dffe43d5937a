"""A live source is stepped by the clock whether something comes or not, and ends when it is told to, or breaks."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import edgefuse
from edgefuse.engine import Engine
from edgefuse.errors import SourceError
from edgefuse.faults import Fault, FaultySource
from edgefuse.recorded import record
from edgefuse.replay import replay
from edgefuse.run import drive
from edgefuse.sinks import JsonlSink
from edgefuse.sources import Source
from edgefuse.sources.clock import now_ns
from edgefuse.ticks import ticks
from edgefuse.types import NS_PER_MS, Sample
from tiny import Tiny

HZ = 100.0


class Fed(Source):
    """A live source that gives what a test puts into its queue; None ends it."""

    live = True

    def __init__(self) -> None:
        super().__init__()
        self.topics = {"a": "vector", "b": "vector", "c": "vector"}
        self.queue: queue.Queue[Sample | Exception | None] = queue.Queue()
        self.closed = False

    def samples(self) -> Iterator[Sample]:
        while (given := self.queue.get()) is not None:
            if isinstance(given, Exception):
                raise given
            yield given

    def close(self) -> None:
        self.closed = True
        self.queue.put(None)

    def give(self, engine: Engine, *topics: str) -> None:
        for topic in topics:
            plan = next(p for p in engine.plan.streams if p.name == topic)
            stamp_ns = now_ns()
            values = np.random.default_rng(stamp_ns % 2**32).normal(size=plan.tensor_shape).astype(np.float32)
            self.queue.put(Sample(topic, stamp_ns, values, stamp_ns))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    Tiny().write(tmp_path / "tiny.efb")
    with edgefuse.load(tmp_path / "tiny.efb") as made:
        yield made


def threads() -> int:
    return sum(thread.name == "edgefuse source" for thread in threading.enumerate())


def test_a_live_source_is_stepped_though_nothing_comes(engine: Engine) -> None:
    source = Fed()
    stepped = []
    for tick in replay(engine, source, tick_hz=HZ):
        stepped.append(tick.result)
        if len(stepped) == 5:
            break
    assert all(result.mode == "blind" for result in stepped)
    times = np.diff([result.t_ns for result in stepped])
    assert (times >= 1e9 / HZ - 1).all()
    assert source.closed and threads() == 0


def test_what_comes_is_answered_from_on_the_clock_of_the_source(engine: Engine) -> None:
    source, states = Fed(), []
    for tick in replay(engine, source, tick_hz=HZ):
        states.append(tick.result.streams["a"].state)
        if states[-1] == "fresh":
            break
        source.give(engine, "a", "b", "c")
        assert len(states) < 300
    assert "absent" in states
    age_ms = tick.result.streams["a"].age_ms
    assert age_ms is not None and age_ms <= 1000.0


def test_the_end_of_a_live_source_is_one_more_tick_and_no_thread_is_left(engine: Engine) -> None:
    source = Fed()
    source.queue.put(None)
    assert 1 <= len(list(replay(engine, source, tick_hz=HZ))) <= 2
    assert threads() == 0


def test_a_live_source_that_breaks_is_an_error_of_its_own(engine: Engine) -> None:
    source = Fed()
    source.queue.put(SourceError("gone", place="device:0"))
    with pytest.raises(SourceError, match="device:0: gone"):
        list(replay(engine, source, tick_hz=HZ))


def test_ticks_that_were_missed_are_left_out_and_never_made_up_for(engine: Engine) -> None:
    source, seen = Fed(), []
    for t_ns in ticks(engine.plan, source, lambda stream, sample: None, HZ):
        seen.append((t_ns, now_ns()))
        if len(seen) == 2:
            time.sleep(0.1)  # ten ticks
        if len(seen) == 6:
            break
    assert all(late - t_ns < 50 * NS_PER_MS for t_ns, late in seen[3:])
    assert seen[2][0] - seen[1][0] >= 90 * NS_PER_MS


def test_a_tap_sees_every_sample_that_a_stream_is_given(engine: Engine) -> None:
    source, tapped = Fed(), list[str]()
    source.give(engine, "a", "c")
    source.queue.put(Sample("elsewhere", 0, np.zeros(1)))
    source.queue.put(None)
    list(replay(engine, source, tick_hz=HZ, tap=lambda stream, sample: tapped.append(stream)))
    assert tapped == ["a", "c"]


def test_an_interrupt_is_the_end_of_a_live_run_and_its_file_is_whole(engine: Engine, tmp_path: Path) -> None:
    source, count = Fed(), [0]

    def watch(tick: object, span: object) -> None:
        count[0] += 1
        if count[0] == 5:
            raise KeyboardInterrupt

    summary, whole = drive(engine, source, [JsonlSink(tmp_path / "r.jsonl")], HZ, False, watch)
    assert whole and source.closed
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 5 == summary.as_json()["ticks"]


def test_faults_can_be_put_into_a_live_source_which_still_ends(engine: Engine) -> None:
    source = Fed()
    faulty = FaultySource(source, [Fault(stream="a", kind="off", from_s=0.0, to_s=1e6)])
    assert faulty.live
    source.give(engine, "a", "b")
    tapped = list[str]()
    for _ in replay(engine, faulty, tick_hz=HZ, tap=lambda stream, sample: tapped.append(stream)):
        if tapped:
            break
    assert tapped == ["b"] and source.closed


def test_a_live_source_cannot_be_held_in_memory() -> None:
    with pytest.raises(SourceError, match="device:0: is live and has no end: record it first"):
        record(Fed(), "device:0")
