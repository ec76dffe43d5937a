"""Demo: the shipped bundle on a simulated site while its sensors freeze, go dark, lose their fix and fall silent."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from edgefuse import kernels
from edgefuse.config import parse_config
from edgefuse.doctor import shipped_bundle
from edgefuse.engine import Engine, load
from edgefuse.replay import Tick, injected
from edgefuse.run import drive, losses
from edgefuse.sinks import JsonlSink
from edgefuse.sources import Source, open_source
from edgefuse.summary import Span, describe
from edgefuse.types import NS_PER_S, State

CONFIG = "data/demo.yaml"

_LANE: dict[State, tuple[str, str]] = {
    "fresh": ("#", "\033[32m"),
    "held": ("+", "\033[33m"),
    "imputed": ("~", "\033[35m"),
    "absent": (".", "\033[31m"),
}
_RESET = "\033[0m"
_TICKS_A_LINE = 5


def demo(
    tell: Callable[[str], None], *, seed: int, seconds: float, out: Path | None, realtime: bool, colour: bool
) -> dict[str, Any]:
    """Run it, tell it line by line and give the summary, JSON-ready."""
    engine, source = staged(seed, seconds)
    teller = _Teller(tell, engine, colour)
    start = time.monotonic()
    sinks = [] if out is None else [JsonlSink(out, {plan.name: plan.modality.kind for plan in engine.plan.streams})]
    summary, _ = drive(engine, source, sinks, engine.plan.config.tick_hz, realtime, teller.watch)
    took_s = time.monotonic() - start
    tell(f"\n{describe(summary)}\n{seconds:.0f} s of the site, simulated and answered in {took_s:.1f} s")
    return {**summary.as_json(), **losses(engine, source)}


def staged(seed: int, seconds: float) -> tuple[Engine, Source]:
    """The shipped engine, and the site with the demo's faults in it."""
    text = resources.files("edgefuse").joinpath(CONFIG).read_bytes()
    engine = load(shipped_bundle(), parse_config(text, CONFIG))
    return engine, injected(engine, open_source(f"site:seed={seed}&duration_s={seconds}"), CONFIG)


class _Teller:
    """The demo's lines: time, one lane a stream, mode, answer, truth, and what the datasheet expects."""

    def __init__(self, tell: Callable[[str], None], engine: Engine, colour: bool) -> None:
        self._tell = tell
        self._colour = colour
        self._first_ns: int | None = None
        self._count = 0
        self._lanes: dict[str, str] = dict.fromkeys(engine.plan.names, "")
        backend = kernels.backend()
        tell("A railway construction site, seen from an excavator; the answer is the danger, if there is one.")
        tell("Sensors fail on the way:  # fresh   + held   ~ imputed   . absent")
        tell(f"kernels: {backend.name} ({backend.isa}): {backend.reason}")
        names = " ".join(f"{name:<7}" for name in self._lanes)
        tell(f"\n  time    {names} {'mode':<9} {'answer':<16} {'truth':<16} expected")

    def watch(self, tick: Tick, span: Span | None) -> None:
        self._first_ns = tick.result.t_ns if self._first_ns is None else self._first_ns
        for name, trust in tick.result.streams.items():
            self._lanes[name] += self._mark(trust.state)
        self._count += 1
        if self._count % _TICKS_A_LINE == 0:
            self._tell(self._line(tick, (tick.result.t_ns - self._first_ns) / NS_PER_S))
            self._lanes = dict.fromkeys(self._lanes, "")

    def _line(self, tick: Tick, time_s: float) -> str:
        result = tick.result
        answer = next(iter(result.labels.values()), "")
        truth = next(iter((tick.truth or {}).values()), "")
        expected = f"{result.expected.value:.0%}" if result.expected else "-"
        lanes = " ".join(lane + " " * (7 - _TICKS_A_LINE) for lane in self._lanes.values())
        wrong = "" if answer == truth else "  <- wrong"
        return f"{time_s:6.1f} s  {lanes} {result.mode:<9} {answer:<16} {truth:<16} {expected}{wrong}"

    def _mark(self, state: State) -> str:
        mark, colour = _LANE[state]
        return f"{colour}{mark}{_RESET}" if self._colour else mark
