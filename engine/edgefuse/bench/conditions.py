"""Conditions: answers beside other work on the machine, while sensors fail, and the energy that they take."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from edgefuse.bench import meters
from edgefuse.bench.contenders import one_graph_bound
from edgefuse.bench.races import BOUND, ENGINE, Stand
from edgefuse.bench.section import Section, compared
from edgefuse.bench.stages import Watched
from edgefuse.bench.timing import Contender, Timing
from edgefuse.config import FaultConfig
from edgefuse.engine import Engine
from edgefuse.faults import KINDS
from edgefuse.plan import StreamPlan
from edgefuse.replay import injected, replay
from edgefuse.sources import open_source

BUSY = "while True: pass"
FAULTS = ("off", "stuck", "garbage", "nan", "empty", "wrong_shape", "delayed", "stamp_jump")
FAULT_S, REST_S = 2.0, 2.0
ENERGY_S = 5.0


def loaded(stand: Stand) -> Section:
    """As many busy processes as cores, beside it: the same race as with all streams fresh."""
    with _busy(os.cpu_count() or 1):
        timings = stand.race(_pair(stand), stand.profile.subset_rounds * 2)
    return compared(f"beside {os.cpu_count()} busy processes", timings)


def _pair(stand: Stand) -> dict[str, Contender]:
    return {ENGINE: Watched(stand.feed()), **stand.rivals({BOUND: one_graph_bound})}


@contextmanager
def _busy(processes: int) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(processes):
            busy = stack.enter_context(subprocess.Popen([sys.executable, "-c", BUSY]))
            stack.callback(busy.kill)
        time.sleep(0.2)
        yield


def faulty(stand: Stand, uri: str) -> Section:
    """The same recording twice, tick by tick: as it is, and with every stream failing in every way, one at a time."""
    title, topics = f"while sensors fail: {uri}", open_source(uri).topics
    if strange := [plan.topic for plan in stand.engine.plan.streams if plan.topic not in topics]:
        return Section(title, left_out={"with faults": f"the source has no topic {strange[0]!r}"})
    clean, failing = stand.another(), stand.another(faults=tuple(_faults(stand.engine.plan.streams)))
    pairs = zip(_replayed(clean, uri), _replayed(failing, uri), strict=False)
    rows = np.array([(a.timing_ms["total"], b.timing_ms["total"], b.mode == "full") for a, b in pairs])
    timings = [Timing("as recorded", rows[:, 0]), Timing("with faults", rows[:, 1])]
    figures = {
        "with faults": {"answers": len(rows), "not_full_percent": round(100.0 * float(1.0 - rows[:, 2].mean()), 1)}
    }
    return compared(title, timings, [("with faults", "as recorded")], figures=figures)


def fault_seconds(stand: Stand) -> int:
    """How long a recording must be for every fault of every stream to have its turn."""
    return math.ceil(max(fault.to_s for fault in _faults(stand.engine.plan.streams)))


def _faults(plans: Sequence[StreamPlan]) -> Iterator[FaultConfig]:
    fits = {fault: KINDS[fault].fits for fault in FAULTS}
    fitting = [(p.name, f) for p in plans for f, kinds in fits.items() if kinds is None or p.modality.kind in kinds]
    for k, (name, fault) in enumerate(fitting):
        from_s = REST_S + k * (FAULT_S + REST_S)
        yield FaultConfig(stream=name, kind=fault, from_s=from_s, to_s=from_s + FAULT_S)


def _replayed(engine: Engine, uri: str) -> Iterator[Any]:
    source = injected(engine, open_source(uri))
    return (tick.result for tick in replay(engine, source, tick_hz=engine.plan.config.tick_hz))


def energy(stand: Stand) -> Section:
    """Energy per answer, back to back, of the whole package or board, less what it takes when idle."""
    with meters.energy() as idle:
        time.sleep(ENERGY_S)
    figures: dict[str, dict[str, Any]] = {}
    if not idle.joules:
        return Section("energy per answer", figures={"all": idle.as_json(1)})
    for name, contender in _pair(stand).items():
        answers, begun_s = 0, time.monotonic()
        with meters.energy() as used:
            while time.monotonic() - begun_s < ENERGY_S:
                contender()
                answers += 1
        above = {k: max(0.0, joules - idle.joules.get(k, 0.0)) for k, joules in used.joules.items()}
        figures[name] = used.as_json(answers)
        figures[f"{name}, above idle"] = meters.Energy(above).as_json(answers)
    return Section("energy per answer", figures=figures)
