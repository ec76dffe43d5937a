"""An engine that is no longer stepped is not believed, and whoever listens hears of every change of mode."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

import edgefuse
from edgefuse import Engine, RunConfig
from edgefuse.types import NS_PER_MS, Mode, Result
from tiny import PRIOR, Tiny

MS = NS_PER_MS


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    Tiny().write(tmp_path / "tiny.efb")
    return edgefuse.load(tmp_path / "tiny.efb", RunConfig(max_tick_gap_ms=250.0))


def feed(engine: Engine, t_ms: int, *names: str) -> Result:
    for name in names:
        size = {"a": 3, "b": 5, "c": 4}[name]
        engine.push(name, t_ms * MS, np.full(size, t_ms % 7, dtype=np.float32))
    return engine.step(t_ms * MS)


def test_the_newest_answer_stands_until_the_ticks_have_been_silent_too_long(engine: Engine) -> None:
    assert engine.current(0).mode == "blind"
    result = feed(engine, 100, "a", "b", "c")
    assert engine.current(350 * MS) is result
    after = engine.current(351 * MS)
    assert after.mode == "blind"
    assert tuple(after.outputs["way"]) == PRIOR
    assert {trust.reason for trust in after.streams.values()} == {"unwatched"}


def test_after_a_silence_of_the_ticks_every_stream_proves_itself_anew(engine: Engine) -> None:
    assert feed(engine, 0, "a").streams["a"].state == "fresh"
    later = [feed(engine, 1000 + 10 * i, "a").streams["a"] for i in range(5)]
    assert [trust.reason for trust in later] == ["unwatched"] * 4 + [None]
    assert [trust.state for trust in later] == ["absent"] * 4 + ["fresh"]


def test_without_a_limit_the_ticks_own_rhythm_is_the_measure(tmp_path: Path) -> None:
    Tiny().write(tmp_path / "tiny.efb")
    engine = edgefuse.load(tmp_path / "tiny.efb")
    for i in range(20):
        feed(engine, 50 * i, "a")
    last = 50 * 19
    assert engine.current((last + 500) * MS).mode == "degraded"
    assert engine.current((last + 501) * MS).mode == "blind"


def test_ticks_in_bursts_are_no_silence(tmp_path: Path) -> None:
    Tiny().write(tmp_path / "tiny.efb")
    engine = edgefuse.load(tmp_path / "tiny.efb")
    t_ms, reasons = 0, set()
    for k in range(200):
        t_ms += 1 if k < 20 or k % 3 else 100
        reasons.add(feed(engine, t_ms, "a").streams["a"].reason)
    assert "unwatched" not in reasons


def test_an_answer_that_is_too_old_is_not_current_while_the_next_is_made(engine: Engine) -> None:
    feed(engine, 100, "a", "b", "c")
    engine._vigil.tick(2000 * MS)  # as `step` does before it answers
    assert engine.current(2000 * MS).mode == "blind"


def test_a_gap_that_no_rhythm_of_ticks_can_keep_is_refused(tmp_path: Path) -> None:
    Tiny().write(tmp_path / "tiny.efb")
    with pytest.raises(edgefuse.ConfigError, match="max_tick_gap_ms: 100 ms is no longer than the period of 10 ticks"):
        edgefuse.load(tmp_path / "tiny.efb", RunConfig(max_tick_gap_ms=100.0))


def test_ticks_without_a_rhythm_have_no_measure(tmp_path: Path) -> None:
    Tiny().write(tmp_path / "tiny.efb")
    engine = edgefuse.load(tmp_path / "tiny.efb")
    feed(engine, 0, "a")
    assert feed(engine, 60_000, "a").streams["a"].reason is None


def test_listeners_hear_of_changes_alone(engine: Engine) -> None:
    heard: list[tuple[Mode | None, Mode]] = []
    engine.on_mode_change(lambda before, result: heard.append((before, result.mode)))
    feed(engine, 0, "a", "b", "c")
    feed(engine, 50, "a", "b", "c")
    for t_ms in (150, 250, 340, 400, 450):
        feed(engine, t_ms, "a")
    assert heard == [(None, "full"), ("full", "degraded")]


def test_a_listener_that_raises_loses_no_answer(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_before: Mode | None, _result: Result) -> None:
        raise ValueError("boom")

    heard: list[Mode] = []
    engine.on_mode_change(broken)
    engine.on_mode_change(lambda _, result: heard.append(result.mode))
    with caplog.at_level(logging.ERROR, "edgefuse"):
        assert feed(engine, 0, "a").mode == "degraded"
    assert heard == ["degraded"]
    assert "boom" in caplog.text
