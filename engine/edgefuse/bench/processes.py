"""Processes: scenarios in which every contender has a process of its own: starts, memory, idling, own rates."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

import edgefuse
from edgefuse.bench.contenders import Preparing
from edgefuse.bench.races import Stand
from edgefuse.bench.section import Section, compared
from edgefuse.bench.timing import Timing
from edgefuse.errors import UsageError
from edgefuse.schema import document_of

SCRIPT = Path(__file__).with_name("child.py")
TITLES = {"engine": "engine", "graph": "one graph, defaults", "sessions": "bare sessions"}
SETTLE_S = 2.0  # before what is counted, in which streams prove themselves
QUEUE = 10  # moments that wait in line where nobody says otherwise, as in ROS
OVERLOAD = 2.0


class Child:
    """A contender's process. UsageError with its last words where it dies."""

    def __init__(self, which: str, bundle: str, given: Path) -> None:
        paths = [str(Path(edgefuse.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        self.which, begun_ns = which, time.perf_counter_ns()
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the process)
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT), which, bundle, str(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)},
        )
        self._read()
        self.started_ms = (time.perf_counter_ns() - begun_ns) / 1e6

    def ask(self, job: str, **options: Any) -> dict[str, Any]:
        """Do a job and wait for what became of it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"job": job, **options}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """End it, unless it has ended."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        self._process.wait(timeout=60)
        self._errors.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait(timeout=60)
            self._errors.seek(0)
            last = (self._errors.read().strip().splitlines() or ["no word"])[-1]
            self.close()
            raise UsageError(f"bench: the process of {TITLES[self.which]!r} ended: {last}")
        document: dict[str, Any] = json.loads(line)
        return document


@contextmanager
def children(stand: Stand, which: Sequence[str]) -> Iterator[dict[str, Child]]:
    """A process for each, started one after the other, ended together."""
    with ExitStack() as stack:
        given = stack.enter_context(_given(stand))
        started = {}
        for name in which:
            started[name] = Child(name, str(stand.engine.bundle.path), given)
            stack.callback(started[name].close)
        yield started


@contextmanager
def _given(stand: Stand) -> Iterator[Path]:
    """A folder of the engine's configuration, of raw samples, and of preprocessed inputs."""
    with tempfile.TemporaryDirectory(prefix="edgefuse-bench-") as folder:
        given = Path(folder)
        (given / "config.json").write_text(json.dumps(document_of(stand.engine.plan.config)))
        raw = {f"{k}/{name}": own for k, moment in enumerate(stand.played[:2]) for name, own in moment.items()}
        # Without allow_pickle, which NumPy before 2.1 would take for one more array.
        np.savez(given / "moments.npz", **raw)  # type: ignore[arg-type]
        np.savez(given / "tensors.npz", **Preparing(stand.engine, stand.played)())  # type: ignore[arg-type]
        yield given


def starts(stand: Stand) -> Section:
    """From nothing to the first answer: a new process each time, Python, imports, loading and all."""
    names, times = ("engine", "graph"), dict[str, list[float]]()
    for k in range(stand.profile.starts + 1):
        for name in names if k % 2 else reversed(names):
            with children(stand, [name]) as started:
                if k > 0:  # the first reads the files from the disk
                    times.setdefault(name, []).append(started[name].started_ms)
    timings = [Timing(TITLES[name], np.array(times[name])) for name in names]
    return compared("cold start to the first answer", timings)


def weights(stand: Stand) -> Section:
    """Memory after the first answers, and what more answers add."""
    rows: dict[str, dict[str, Any]] = {}
    with children(stand, ["engine", "sessions", "graph"]) as started:
        for name, child in started.items():
            child.ask("memory", answers=100)
            told = child.ask("memory", answers=stand.profile.rounds)
            rows[TITLES[name]] = {key: round(value, 2) for key, value in told.items()}
    bare = rows[TITLES["sessions"]]["resident_mib"]
    rows["engine / bare sessions"] = {"ratio": round(rows[TITLES["engine"]]["resident_mib"] / bare, 4)}
    return Section("memory", figures=rows)


def idling(stand: Stand) -> Section:
    """The share of a processor that answers at a steady rhythm take, asleep between them."""
    hz, seconds, names = stand.profile.idle_hz, stand.profile.idle_s, ("engine", "graph")
    told: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with children(stand, names) as started:
        for k in range(4):
            for name in names if k % 2 else reversed(names):
                told[name].append(started[name].ask("paced", hz=hz, seconds=seconds / 2))
    timings = [Timing(TITLES[name], np.array([ms for t in told[name] for ms in t["ms"]])) for name in names]
    figures = {TITLES[name]: {"cpu_percent": _cpu_percent(told[name])} for name in names}
    figures["engine / one graph, defaults"] = {"ratio": _ratio(figures, "cpu_percent")}
    return compared(f"{hz:g} answers a second", timings, figures=figures)


def own_rates(stand: Stand) -> Section:
    """Sensors at their own rates: processor time against one graph at the fastest rate, and ages against waiting.

    Engine and graph answer as often as the fastest stream delivers; `on arrival` answers at every sample. `full set` is
    the glue of message filters: it waits until every stream has brought something new, and answers from that.
    """
    plans = stand.engine.plan.streams
    rates = {plan.name: stand.profile.rate_hz(plan.name, plan.modality.kind) for plan in plans}
    fastest = max(rates, key=lambda name: rates[name])
    runs = {"engine": ("engine", fastest), "engine, on arrival": ("engine", "each"), "one graph": ("graph", fastest)}
    runs["one graph, full set"] = ("graph", "all")
    turns = max(1, round(stand.profile.rates_s / stand.profile.slice_s))
    told: dict[str, list[dict[str, Any]]] = {name: [] for name in runs}
    to_s = SETTLE_S + stand.profile.rates_s / turns
    with children(stand, ["engine", "graph"]) as started:
        for _ in range(turns):
            for name, (which, wait) in runs.items():
                job = {"arrivals": arrivals(rates, to_s), "from_s": SETTLE_S, "to_s": to_s, "wait": wait}
                told[name].append(started[which].ask("at_own_rates", **job))
    return _rates_section(rates, told)


def _rates_section(rates: Mapping[str, float], told: Mapping[str, Sequence[Mapping[str, Any]]]) -> Section:
    ages = [
        Timing(f"{name}: arrival to answer", np.array([a for t in told[name] for a in t["age_ms"]])) for name in told
    ]
    figures: dict[str, dict[str, Any]] = {name: {"cpu_percent": _cpu_percent(told[name])} for name in told}
    figures["engine / one graph"] = {"ratio": _ratio(figures, "cpu_percent", "one graph")}
    pairs = [(age.name, ages[-1].name) for age in ages[:-1]]
    title = "sensors at their own rates: " + ", ".join(f"{name} {hz:g} Hz" for name, hz in rates.items())
    return compared(title, ages, pairs, figures=figures)


def arrivals(rates_hz: Mapping[str, float], to_s: float) -> list[tuple[float, str]]:
    """When each stream's samples come, until to_s: evenly, none starting with another."""
    phases = {name: (k + 0.5) / len(rates_hz) for k, name in enumerate(rates_hz)}
    times = [((k + phases[name]) / hz, name) for name, hz in rates_hz.items() for k in range(int(to_s * hz) + 1)]
    return sorted((at_s, name) for at_s, name in times if at_s < to_s)


def overload(stand: Stand) -> Section:
    """Moments come twice as fast as each contender can answer: how old is what its answers are made from?"""
    rows = []
    with children(stand, ["engine", "graph"]) as started:
        for name, queue in (("engine", 0), ("graph", QUEUE)):
            told = started[name].ask("paced", hz=200.0, seconds=1.0)
            hz = OVERLOAD * 1e3 / float(np.median(told["ms"]))
            told = started[name].ask("overloaded", hz=hz, seconds=stand.profile.idle_s, queue=queue)
            line = ", the newest" if queue == 0 else f", a queue of {queue}"
            rows.append(Timing(f"{TITLES[name]}{line}: age of what is answered", np.array(told["age_ms"])))
    return compared(f"{OVERLOAD:g} times as many moments as can be answered", rows)


def _cpu_percent(told: Sequence[Mapping[str, Any]]) -> float:
    return round(100.0 * float(sum(t["cpu_s"] for t in told) / sum(t["wall_s"] for t in told)), 3)


def _ratio(figures: Mapping[str, Mapping[str, Any]], key: str, other: str = TITLES["graph"]) -> float:
    return round(float(figures["engine"][key] / figures[other][key]), 4)
