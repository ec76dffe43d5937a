"""A sink beside the run gets everything in order; one that is slow or breaks neither hangs nor hides it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pytest

from edgefuse.errors import SinkError
from edgefuse.sinks import Beside, JsonlSink, Setting, Sink, open_sink
from edgefuse.sinks.beside import WAITING
from edgefuse.types import Result, Sample


class Noting(Sink):
    """Notes what it is given, and in which thread; `hold` makes it wait, `fail_at` makes it break."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.given: list[Any] = []
        self.threads: set[str] = set()
        self.hold = threading.Event()
        self.hold.set()
        self.closed: list[Any] = []
        self._fail_at = fail_at

    def __enter__(self) -> Noting:
        return self

    def write(self, result: Result, truth: Mapping[str, str] | None = None) -> None:
        self.hold.wait()
        if len(self.given) == self._fail_at:
            raise SinkError("full", place="r.x")
        self.given.append(result)
        self.threads.add(threading.current_thread().name)

    def sample(self, stream: str, sample: Sample) -> None:
        self.given.append((stream, sample.stamp_ns))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed.append(kind)


def result(k: int) -> Any:
    return k  # what lies between a run and a sink is not looked at


def hand_on(sink: Sink, count: int, each_s: float = 0.0, ends: Exception | None = None) -> None:
    with Beside(sink, lossy=False) as beside:
        for k in range(count):
            beside.write(result(k))
            time.sleep(each_s)
        if ends is not None:
            raise ends


def test_all_is_handed_on_in_order_in_another_thread() -> None:
    sink = Noting()
    with Beside(sink, lossy=False) as beside:
        for k in range(3 * WAITING):
            beside.write(result(k))
            beside.sample("a", Sample("a", k, np.zeros(1)))
    assert sink.given == [item for k in range(3 * WAITING) for item in (k, ("a", k))]
    assert sink.threads == {"edgefuse sink"} and sink.closed == [None]


def test_a_slow_sink_of_a_recording_is_waited_for() -> None:
    sink = Noting()
    sink.hold.clear()
    threading.Timer(0.3, sink.hold.set).start()
    with Beside(sink, lossy=False) as beside:
        for k in range(2 * WAITING):
            beside.write(result(k))
        assert beside.dropped == 0
    assert len(sink.given) == 2 * WAITING


def test_a_slow_sink_of_a_live_source_holds_nobody_up_and_what_it_missed_is_counted() -> None:
    sink = Noting()
    sink.hold.clear()
    with Beside(sink, lossy=True) as beside:
        for k in range(3 * WAITING):
            beside.write(result(k))
        sink.hold.set()
    assert len(sink.given) + beside.dropped == 3 * WAITING
    assert beside.dropped >= 2 * WAITING - 1


def test_a_sink_that_breaks_is_told_where_the_run_can_hear_it() -> None:
    sink = Noting(fail_at=2)
    with pytest.raises(SinkError, match=r"r\.x: full"):
        hand_on(sink, 20 * WAITING, each_s=0.001)
    assert sink.given == [0, 1] and sink.closed == [SinkError]


def test_a_sink_that_breaks_on_the_last_thing_is_told_at_the_end() -> None:
    sink = Noting(fail_at=1)
    with pytest.raises(SinkError, match=r"r\.x: full"):
        hand_on(sink, 2)
    assert sink.closed == [SinkError]


def test_a_run_that_fails_hands_its_reason_to_the_sink() -> None:
    sink = Noting()
    with pytest.raises(ZeroDivisionError):
        hand_on(sink, 1, ends=ZeroDivisionError())
    assert sink.given == [0] and sink.closed == [ZeroDivisionError]


def test_a_path_is_json_lines_unless_its_ending_says_otherwise(tmp_path: Path) -> None:
    for name in ("r.jsonl", "r", "r.txt", "c:r.jsonl"):
        assert isinstance(open_sink(str(tmp_path / name), Setting({})), JsonlSink)
