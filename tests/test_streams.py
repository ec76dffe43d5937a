"""A stream keeps what arrives until its time has come, judges its stamps, and accounts for every sample."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefuse.streams import CAPACITY, Stream
from edgefuse.types import NS_PER_MS

PAYLOAD = np.zeros(3, dtype=np.float32)


def stream_with(*stamps_ms: float, tolerance_ms: float = 50.0) -> Stream:
    stream = Stream("a", round(tolerance_ms * NS_PER_MS))
    for stamp in stamps_ms:
        stream.push(round(stamp * NS_PER_MS), PAYLOAD)
    return stream


def verdicts(stream: Stream, t_ms: float) -> list[tuple[float, str | None]]:
    return [(a.sample.stamp_ns / NS_PER_MS, a.reason) for a in stream.due(round(t_ms * NS_PER_MS))]


def test_samples_come_out_once_in_order_of_arrival() -> None:
    stream = stream_with(1, 2, 3)
    assert verdicts(stream, 3) == [(1, None), (2, None), (3, None)]
    assert verdicts(stream, 4) == []


def test_a_sample_a_little_ahead_waits_for_its_time() -> None:
    stream = stream_with(1, 20)
    assert verdicts(stream, 10) == [(1, None)]
    assert verdicts(stream, 19) == []
    assert verdicts(stream, 20) == [(20, None)]


def test_a_sample_far_ahead_is_a_fault_and_locks_nothing_out() -> None:
    stream = stream_with(1, 1_000_000, 2)
    assert verdicts(stream, 10) == [(1, None), (1_000_000, "future_stamp"), (2, None)]


def test_the_past_and_the_same_again_are_told_apart() -> None:
    assert verdicts(stream_with(5, 5, 3, 6), 10) == [(5, None), (5, "duplicate"), (3, "out_of_order"), (6, None)]


@pytest.mark.parametrize("stamp", [-1, 1 << 63, 1.5, None, "now", float("nan")])
def test_what_is_no_stamp_is_a_reason_and_no_exception(stamp: object) -> None:
    stream = Stream("a", 50 * NS_PER_MS)
    stream.push(stamp, PAYLOAD)  # type: ignore[arg-type]
    assert [arrival.reason for arrival in stream.due(10)] == ["bad_stamp"]


def test_numpy_integers_are_stamps() -> None:
    stream = Stream("a", 50 * NS_PER_MS)
    stream.push(np.int64(3), PAYLOAD)  # type: ignore[arg-type]
    assert [arrival.reason for arrival in stream.due(10)] == [None]


def test_when_too_many_wait_the_oldest_go_and_are_counted() -> None:
    stream = stream_with(*range(1, CAPACITY + 11))
    due = verdicts(stream, 1000)
    assert [stamp for stamp, _ in due] == list(range(11, CAPACITY + 11))
    assert stream.account.dropped == {"overflow": 10}


@given(st.lists(st.integers(0, 400), max_size=60), st.lists(st.integers(0, 400), max_size=10))
def test_no_sample_is_lost_or_given_twice(stamps: list[int], ticks: list[int]) -> None:
    stream = stream_with(*stamps)
    out = [item for t in sorted(ticks) for item in verdicts(stream, t)]
    assert len(out) + stream.counted()[1] == len(stamps) == stream.account.received
    good = [stamp for stamp, reason in out if reason is None]
    assert good == sorted(set(good))


def test_threads_may_push_while_a_tick_reads() -> None:
    stream = Stream("a", 50 * NS_PER_MS)
    start = threading.Barrier(3)

    def produce() -> None:
        start.wait()
        for _ in range(20_000):
            stream.push(1, PAYLOAD)

    threads = [threading.Thread(target=produce) for _ in range(2)]
    for thread in threads:
        thread.start()
    start.wait()
    seen = 0
    while any(thread.is_alive() for thread in threads):
        seen += len(stream.due(10))
    seen += len(stream.due(10))
    assert stream.account.received == 40_000 == seen + stream.account.dropped.get("overflow", 0)
