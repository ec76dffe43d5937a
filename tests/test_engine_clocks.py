"""Stamps of a sensor's own clock are brought to the engine's: steps, drift and reordering pair nothing wrongly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import edgefuse
from edgefuse import Engine, RunConfig
from edgefuse.config import StreamConfig
from edgefuse.types import NS_PER_MS, NS_PER_S
from tiny import Tiny

MS = NS_PER_MS
PERIOD = 50 * MS
LATENCY = 8 * MS
COUNT = 400
TOLERANCE_MS = 5.0  # of the age that a result states, against the true one


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    Tiny().write(tmp_path / "tiny.efb")
    sensor = StreamConfig(clock="imu", latency_ms=8.0)
    return edgefuse.load(tmp_path / "tiny.efb", RunConfig(streams={"a": sensor, "b": sensor}))


def run(
    engine: Engine, clock: Callable[[int, int], int], order: Callable[[list[int]], list[int]] = list
) -> list[float]:
    """Errors in ms of every age that the engine states for stream a, over 20 s; the payload tells when it was taken.

    clock: (true capture in ns, index) -> the sensor's stamp; order: the order in which indices arrive.
    """
    queue = np.random.default_rng(3).exponential(1.0 * MS, COUNT).astype(int)
    errors = []
    for k, i in enumerate(order(list(range(COUNT)))):
        true_ns = NS_PER_S + i * PERIOD
        arrival = max(true_ns, NS_PER_S + k * PERIOD) + LATENCY + int(queue[i])
        engine.push("a", clock(true_ns, i), np.array([i, 1, i % 3], np.float32), arrival_ns=arrival)
        t_ns = NS_PER_S + k * PERIOD + 20 * MS
        trust = engine.step(t_ns).streams["a"]
        used = engine._front._healths[0].trusted
        if trust.present and trust.age_ms is not None and used is not None:
            taken_ns = NS_PER_S + int(used.payload[0]) * PERIOD
            errors.append(trust.age_ms - (t_ns - taken_ns) / MS)
    return errors


@pytest.mark.parametrize("offset_s", [0, -100, 100, 1_700_000_000])
def test_a_clock_that_is_elsewhere_is_no_fault(engine: Engine, offset_s: int) -> None:
    errors = run(engine, lambda true_ns, i: true_ns + (offset_s + 200) * NS_PER_S)
    assert len(errors) == COUNT
    assert max(map(abs, errors)) < TOLERANCE_MS


@pytest.mark.parametrize("ppm", [-100, 100])
def test_drift_is_followed(engine: Engine, ppm: int) -> None:
    errors = run(engine, lambda true_ns, i: true_ns + true_ns * ppm // 1_000_000)
    assert len(errors) == COUNT
    assert max(map(abs, errors)) < TOLERANCE_MS


@pytest.mark.parametrize("step_s", [-100, -1, 1, 100])
def test_a_step_of_the_clock_costs_a_few_samples_and_pairs_nothing_wrongly(engine: Engine, step_s: int) -> None:
    errors = run(engine, lambda true_ns, i: true_ns + 200 * NS_PER_S + (step_s * NS_PER_S if i >= 200 else 0))
    assert max(map(abs, errors)) < TOLERANCE_MS
    assert len(errors) >= COUNT - 2
    account = engine.accounts()["a"]
    assert account["clock_jumps"] == 1
    dropped = account["dropped"]
    assert isinstance(dropped, dict)
    assert sum(n for reason, n in dropped.items() if reason != "superseded") <= 1 + 4  # the step, and its probation


def test_wild_stamps_lock_nothing_out(engine: Engine) -> None:
    wild = {50: 10**17, 100: 0, 150: 5 * 10**18, 250: 1}
    errors = run(engine, lambda true_ns, i: wild.get(i, true_ns))
    assert max(map(abs, errors)) < TOLERANCE_MS
    assert len(errors) >= COUNT - 4
    assert engine.accounts()["a"]["clock_jumps"] == 0


def test_samples_that_come_in_another_order_or_twice_are_dropped_by_name(engine: Engine) -> None:
    def order(indices: list[int]) -> list[int]:
        indices[30], indices[31] = indices[31], indices[30]
        indices[60] = indices[59]
        return indices

    errors = run(engine, lambda true_ns, i: true_ns, order)
    assert max(map(abs, errors)) < TOLERANCE_MS
    dropped = engine.accounts()["a"]["dropped"]
    assert isinstance(dropped, dict)
    assert (dropped["out_of_order"], dropped["duplicate"]) == (1, 1)


def test_streams_of_one_sensor_share_its_clock(engine: Engine) -> None:
    for i in range(5):
        engine.push(
            "a", 7 * NS_PER_S + i * PERIOD, np.full(3, i, np.float32), arrival_ns=NS_PER_S + i * PERIOD + LATENCY
        )
    engine.step(NS_PER_S + 4 * PERIOD + LATENCY)
    late = 6 * PERIOD  # b's first sample took 60 ms more than a's do: its age tells so at once
    engine.push("b", 7 * NS_PER_S + late, np.ones(5, np.float32), arrival_ns=NS_PER_S + late + LATENCY + 60 * MS)
    result = engine.step(NS_PER_S + late + LATENCY + 60 * MS)
    assert result.streams["b"].age_ms == pytest.approx(68.0, abs=1.0)


@pytest.mark.parametrize("jump_s", [-100, 100])
@pytest.mark.parametrize("other_ms", [12, 40, 70])
def test_a_jump_of_a_clock_that_two_streams_share_is_followed(engine: Engine, jump_s: int, other_ms: int) -> None:
    last, latencies = {}, {"a": LATENCY, "b": other_ms * MS}
    arrivals = sorted((NS_PER_S + i * PERIOD + late, i, name) for i in range(200) for name, late in latencies.items())
    for arrival_ns, i, name in arrivals:
        stamp = NS_PER_S + i * PERIOD + (200 + (jump_s if i >= 100 else 0)) * NS_PER_S
        content = np.array([i, 1, 2, 3, 4][: 3 if name == "a" else 5], np.float32)
        engine.push(name, stamp, content, arrival_ns=arrival_ns)
        last = dict(engine.step(arrival_ns).streams)
    assert [last[name].reason for name in "ab"] == [None, None]
    assert {name: account["clock_jumps"] for name, account in engine.accounts().items()} == {"a": 1, "b": 1, "c": 0}


def test_streams_of_one_clock_have_latencies_of_their_own(tmp_path: Path) -> None:
    Tiny().write(tmp_path / "tiny.efb")
    slow, quick = (StreamConfig(clock="unit", latency_ms=ms) for ms in (80.0, 20.0))
    engine = edgefuse.load(tmp_path / "tiny.efb", RunConfig(streams={"a": slow, "b": quick}))
    for i in range(40):
        true_ns = NS_PER_S + i * PERIOD
        engine.push("b", true_ns, np.array([i, 1, 2, 3, 4], np.float32), arrival_ns=true_ns + 20 * MS)
        if i < 20:
            engine.push("a", true_ns, np.array([i, 1, 2], np.float32), arrival_ns=true_ns + 80 * MS)
        assert engine.step(true_ns + 90 * MS).streams["b"].age_ms == pytest.approx(90.0, abs=0.1)


def test_a_latency_without_a_clock_is_refused(tmp_path: Path) -> None:
    Tiny().write(tmp_path / "tiny.efb")
    with pytest.raises(edgefuse.ConfigError, match=r"streams\.a\.latency_ms: is of a sensor with a `clock` of its own"):
        edgefuse.load(tmp_path / "tiny.efb", RunConfig(streams={"a": StreamConfig(latency_ms=5.0)}))


class Odd:
    """A stamp as careless drivers make them."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __index__(self) -> int:
        if isinstance(self.value, Exception):
            raise self.value
        return self.value  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("stamp", "age_ms"),
    [
        (np.int8(5), 10_000.0 - 5e-6),
        (np.uint64(9_990 * MS), 10.0),
        (np.array(9_990 * MS), 10.0),
        (Odd(9_990 * MS), 10.0),
        (Odd(ValueError("no")), None),
        (Odd("five"), None),
        (True, 10_000.0 - 1e-6),
    ],
)
def test_a_stamp_of_any_make_is_a_whole_number_or_a_reason(tmp_path: Path, stamp: object, age_ms: float | None) -> None:
    Tiny().write(tmp_path / "tiny.efb")
    engine = edgefuse.load(tmp_path / "tiny.efb", RunConfig(streams={"a": StreamConfig(choose="nearest")}))
    engine.push("a", stamp, np.ones(3, np.float32), arrival_ns="soon")  # type: ignore[arg-type]
    trust = engine.step(10_000 * MS).streams["a"]
    assert trust.age_ms == (None if age_ms is None else pytest.approx(age_ms))
    assert (trust.reason == "bad_stamp") == (age_ms is None)


def test_where_no_arrival_is_told_it_is_now_on_the_monotonic_clock(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [10 * NS_PER_S]
    monkeypatch.setattr("time.monotonic_ns", lambda: now[0])
    monkeypatch.setattr("time.time_ns", lambda: pytest.fail("the wall clock was asked"))
    for i in range(3):
        now[0] += PERIOD
        engine.push("a", 5 * NS_PER_S + i * PERIOD, np.full(3, i, np.float32))
    assert engine.step(now[0]).streams["a"].age_ms == pytest.approx(8.0)
