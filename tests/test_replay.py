"""A replay lets the engine see at each tick exactly what had arrived by then, whatever the speed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

import edgefuse
from edgefuse import Engine, RunConfig, Sample
from edgefuse.config import FaultConfig, StreamConfig
from edgefuse.doctor import shipped_bundle
from edgefuse.errors import ConfigError
from edgefuse.faults import Fault, FaultySource
from edgefuse.replay import injected, replay, same_world
from edgefuse.sources import open_source
from edgefuse.sources.base import Source
from edgefuse.types import NS_PER_MS, NS_PER_S
from tiny import Tiny

MS = NS_PER_MS


class Script(Source):
    """A source that a test writes down: (topic, stamp in ms, arrival in ms)."""

    def __init__(self, *rows: tuple[str, int, int], domain: str = "test") -> None:
        super().__init__()
        self.domain = domain
        self.topics = {"a": "vector", "b": "vector", "c": "vector", "other": "vector"}
        self._rows = rows

    def samples(self) -> Iterator[Sample]:
        for i, (topic, stamp_ms, arrival_ms) in enumerate(self._rows):
            size = {"a": 3, "b": 5, "c": 4}.get(topic, 1)
            yield Sample(topic, stamp_ms * MS, np.full(size, i, dtype=np.float32), arrival_ms * MS)

    def truth(self, t_ns: int) -> Mapping[str, str] | None:
        return {"way": "left"} if t_ns >= 1000 * MS else None


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    Tiny().write(tmp_path / "tiny.efb")
    return edgefuse.load(tmp_path / "tiny.efb")


def test_ticks_begin_with_the_first_arrival_and_take_in_the_last(engine: Engine) -> None:
    ticks = list(replay(engine, Script(("a", 1000, 1000), ("b", 1210, 1250)), tick_hz=10))
    assert [tick.result.t_ns // MS for tick in ticks] == [1000, 1100, 1200, 1300]
    assert ticks[-1].result.streams["b"].state == "fresh"


def test_a_sample_is_not_seen_before_it_arrived(engine: Engine) -> None:
    ticks = list(replay(engine, Script(("a", 1000, 1000), ("a", 1050, 1150), ("a", 1300, 1300)), tick_hz=10))
    assert [tick.result.streams["a"].age_ms for tick in ticks] == [0.0, 100.0, 150.0, 0.0]


def test_topics_that_no_stream_wants_are_left_alone(engine: Engine) -> None:
    (tick,) = replay(engine, Script(("other", 1000, 1000)), tick_hz=10)
    assert tick.result.mode == "blind"


def test_a_topic_is_routed_to_the_stream_that_names_it(tmp_path: Path) -> None:
    Tiny().write(tmp_path / "tiny.efb")
    engine = edgefuse.load(tmp_path / "tiny.efb", RunConfig(streams={"a": StreamConfig(topic="other")}))
    (tick,) = replay(engine, Script(("a", 1000, 1000)), tick_hz=10)
    assert tick.result.mode == "blind"


def test_the_truth_of_the_source_comes_along(engine: Engine) -> None:
    ticks = list(replay(engine, Script(("a", 900, 900), ("a", 1050, 1050)), tick_hz=10))
    assert [tick.truth for tick in ticks] == [None, {"way": "left"}, {"way": "left"}]


def test_an_empty_source_gives_no_ticks(engine: Engine) -> None:
    assert list(replay(engine, Script(), tick_hz=10)) == []


@pytest.mark.parametrize(("domain", "same"), [("test", True), ("kitti", False), ("unknown", None)])
def test_the_result_says_whether_the_world_is_the_models(engine: Engine, domain: str, same: bool | None) -> None:
    source = Script(("a", 1000, 1000), domain=domain)
    assert same_world(engine, source) is same
    (tick,) = replay(engine, source, tick_hz=10)
    assert tick.result.in_domain is same
    assert tick.result.as_json()["in_domain"] is same


def test_real_time_only_changes_when_not_what(engine: Engine) -> None:
    rows = [("a", 1000 + 20 * i, 1000 + 20 * i) for i in range(10)]
    fast = [tick.result.outputs["way"].tobytes() for tick in replay(engine, Script(*rows), tick_hz=50)]
    engine.reset()
    real = [tick.result.outputs["way"].tobytes() for tick in replay(engine, Script(*rows), tick_hz=50, realtime=True)]
    assert fast == real


def test_rates_that_do_not_divide_a_second_do_not_drift(engine: Engine) -> None:
    rows = [("a", 1000 * i, 1000 * i) for i in range(1, 4)]
    ticks = [tick.result.t_ns for tick in replay(engine, Script(*rows), tick_hz=3)]
    assert ticks == [NS_PER_S + round(i * NS_PER_S / 3) for i in range(7)]


def test_faults_of_the_configuration_reach_the_stream_they_name(tmp_path: Path) -> None:
    Tiny().write(tmp_path / "tiny.efb")
    fault = FaultConfig(stream="a", kind="off", from_s=0.05, to_s=0.15)
    engine = edgefuse.load(tmp_path / "tiny.efb", RunConfig(faults=(fault,)))
    source = injected(engine, Script(*[("a", 1000 + 100 * i, 1000 + 100 * i) for i in range(4)]))
    assert [tick.result.streams["a"].age_ms for tick in replay(engine, source, tick_hz=10)] == [0.0, 100.0, 0.0, 0.0]


def test_a_fault_of_a_stream_that_is_not_there_is_named(tmp_path: Path) -> None:
    Tiny().write(tmp_path / "tiny.efb")
    fault = FaultConfig(stream="zebra", kind="off", from_s=0.0, to_s=1.0)
    engine = edgefuse.load(tmp_path / "tiny.efb", RunConfig(faults=(fault,)))
    with pytest.raises(ConfigError, match=r"run\.yaml: faults\[0\]\.stream"):
        injected(engine, Script(), "run.yaml")


def test_three_replays_of_failing_sensors_are_the_same_bits_trust_included() -> None:
    source = FaultySource(
        open_source("site:seed=5&duration_s=6"),
        [
            Fault("camera", "stuck", 1.0, 2.5),
            Fault("lidar", "nan_burst", 2.0, 3.0),
            Fault("gps", "intermittent", 1.0, 5.0),
        ],
    )
    engine, played = edgefuse.load(shipped_bundle()), []
    for _ in range(3):
        engine.reset()
        lines = [tick.result.as_json() for tick in replay(engine, source, tick_hz=10)]
        outputs = [{k: v for k, v in line.items() if k != "timing_ms"} for line in lines]
        played.append((outputs, engine.accounts()))
    assert played[0] == played[1] == played[2]
    assert len({str(line["streams"]) for line in played[0][0]}) > 10
