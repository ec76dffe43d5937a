"""Processes: children do what they are told, and what is counted of them is what it is called."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgefuse import RunConfig, load
from edgefuse.bench import processes
from edgefuse.bench.child import at_own_rates, memory, overloaded, paced, served
from edgefuse.bench.processes import Child, arrivals, children
from edgefuse.bench.profile import Profile
from edgefuse.bench.races import Stand
from edgefuse.config import StreamConfig
from edgefuse.doctor import shipped_bundle
from edgefuse.errors import UsageError
from edgefuse.schema import document_of

SHORT = Profile(rounds=100, starts=1, idle_s=0.5, rates_s=1.0, slice_s=1.0)


class Fake:
    """Takes so long for each answer, and remembers what it was told."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.answers = seconds, 0
        self.pushed: list[str] = []
        self.asked_after: list[list[str]] = []

    def answer(self) -> None:
        self.answers += 1
        time.sleep(self.seconds)

    def settle(self) -> None:
        pass

    def push(self, stream: str, t_ns: int) -> None:
        self.pushed.append(stream)

    def step(self, t_ns: int) -> None:
        self.asked_after.append(self.pushed)
        self.pushed = []
        self.answer()


def test_a_steady_rhythm_is_kept_and_sleep_is_no_work() -> None:
    fake = Fake()
    told = paced(fake, hz=100.0, seconds=0.3)
    assert fake.answers == len(told["ms"]) == 30
    assert 0.3 <= told["wall_s"] < 0.6
    assert told["cpu_s"] < 0.15


ARRIVALS = [(0.0, "a"), (0.01, "b"), (0.02, "a"), (0.03, "a"), (0.04, "b"), (0.05, "a")]


@pytest.mark.parametrize(
    ("wait", "sets"),
    [
        ("b", [["a", "b"], ["a", "a", "b"]]),
        ("each", [["a"], ["b"], ["a"], ["a"], ["b"], ["a"]]),
        ("all", [["a", "b"], ["a", "a", "b"]]),
    ],
)
def test_answers_are_made_when_the_policy_says(wait: str, sets: list[list[str]]) -> None:
    fake = Fake()
    at_own_rates(fake, ARRIVALS, 0.0, 0.06, wait)
    assert fake.asked_after == sets


def test_waiting_for_the_full_set_makes_what_came_first_old() -> None:
    told = at_own_rates(Fake(), [(0.0, "a"), (0.04, "a"), (0.05, "b")], 0.0, 0.06, "all")
    oldest, middle, last = told["age_ms"]  # one that a newer one has replaced has waited too
    assert oldest >= 50.0 > 40.0 > middle > last


def test_what_comes_before_is_not_counted() -> None:
    told = at_own_rates(Fake(), ARRIVALS, 0.035, 0.06, "each")
    assert len(told["ms"]) == 2
    assert told["wall_s"] < 0.055


def test_a_queue_grows_old_where_the_newest_does_not() -> None:
    newest = overloaded(Fake(0.01), hz=200.0, seconds=0.6, queue=0)
    queued = overloaded(Fake(0.01), hz=200.0, seconds=0.6, queue=10)
    assert min(queued["age_ms"][20:]) > max(15.0, 1.5 * sorted(newest["age_ms"])[len(newest["age_ms"]) // 2])
    assert newest["answered"] < newest["came"] == 120


def test_memory_is_after_the_first_answers_and_what_more_add() -> None:
    kept: list[bytes] = []

    class Leaky(Fake):
        def answer(self) -> None:
            kept.append(b"x" * (4 << 20))

    told = memory(Leaky(), answers=50)
    assert told["resident_mib"] > 10.0
    assert 150.0 < told["grown_mib"] < 250.0


def test_jobs_are_done_line_by_line() -> None:
    lines = iter(
        [json.dumps({"job": "paced", "hz": 100.0, "seconds": 0.02}), json.dumps({"job": "memory", "answers": 1})]
    )
    first, second, third = served(Fake(), lines)
    assert first == {"answered": True}
    assert len(second["ms"]) == 2 and "grown_mib" in third


def test_samples_come_at_their_rates_and_never_together() -> None:
    times = arrivals({"camera": 30.0, "gps": 5.0}, 10.0)
    assert [name for _, name in times].count("camera") == 300
    assert [name for _, name in times].count("gps") == 50
    assert times == sorted(times) and len({at_s for at_s, _ in times}) == 350


@pytest.fixture(scope="module")
def stand() -> Stand:
    return Stand.of(load(shipped_bundle()), SHORT)


@pytest.fixture(scope="module")
def started(stand: Stand) -> Iterator[dict[str, Child]]:
    with children(stand, ["engine", "graph", "sessions"]) as found:
        yield found


def test_every_contender_starts_answers_and_works_in_a_process_of_its_own(started: dict[str, Child]) -> None:
    for child in started.values():
        assert child.started_ms > 50.0
        assert len(child.ask("paced", hz=50.0, seconds=0.1)["ms"]) == 5
    told = started["engine"].ask("at_own_rates", arrivals=ARRIVALS_OF_THE_SITE, from_s=0.0, to_s=0.2, wait="camera")
    assert len(told["ms"]) == 4


ARRIVALS_OF_THE_SITE = arrivals({"camera": 20.0, "depth": 20.0, "lidar": 10.0, "gps": 5.0}, 0.2)


def test_children_run_with_the_configuration_of_the_bench() -> None:
    config = RunConfig(streams={"gps": StreamConfig(derived_from="camera")}, explain=True)
    with children(Stand.of(load(shipped_bundle(), config), SHORT), ["engine"]) as found:
        assert len(found["engine"].ask("paced", hz=50.0, seconds=0.1)["ms"]) == 5


def test_a_configuration_that_does_not_fit_ends_the_child_with_its_word(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(document_of(RunConfig(streams={"radar": StreamConfig()}))))
    with pytest.raises(UsageError, match=r"the process of 'engine' ended: .*radar"):
        Child("engine", str(shipped_bundle()), tmp_path)


def test_a_process_that_dies_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the process of 'one graph, defaults' ended: .*No such file"):
        Child("graph", str(tmp_path / "none.efb"), tmp_path)


@pytest.mark.slow
def test_own_rates_count_work_and_ages_of_each_way_to_wait(stand: Stand) -> None:
    section = processes.own_rates(stand)
    assert set(section.figures) == {
        "engine",
        "engine, on arrival",
        "one graph",
        "one graph, full set",
        "engine / one graph",
    }
    full_set = section.timings["one graph, full set: arrival to answer"]
    on_arrival = section.timings["engine, on arrival: arrival to answer"]
    assert full_set.ms.max() > 10 * sorted(on_arrival.ms)[on_arrival.ms.size // 2]


@pytest.mark.slow
def test_starts_memory_and_idling_have_their_ratios(stand: Stand) -> None:
    (start,) = processes.starts(stand).ratios.values()
    weigh: dict[str, Any] = dict(processes.weights(stand).figures)
    idle: dict[str, Any] = dict(processes.idling(stand).figures)
    assert start["p50"] > 0.3
    assert weigh["engine / bare sessions"]["ratio"] > 0.5
    assert idle["engine / one graph, defaults"]["ratio"] > 0.0
