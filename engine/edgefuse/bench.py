"""Bench: the engine against the same model as one graph in ONNX Runtime, interleaved in one run, results verified.

Every contender gets the same raw payloads and answers the same question, preprocessing included. Ratios come from one
run; absolute times are printed with them because people ask, and mean little on another machine.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgefuse import kernels
from edgefuse.bundle import Bundle
from edgefuse.engine import Engine
from edgefuse.errors import UsageError
from edgefuse.session import Session, pool
from edgefuse.shapley import MAX_PLAYERS
from edgefuse.types import Array
from edgefuse.verify import TOLERANCE, golden_samples

BLOCKS = 10  # a ratio is given for the whole run and for each tenth of it: the spread

EXPLAINED = "engine, explained"  # with what each stream made of every answer

Contender = Callable[[], dict[str, Array]]


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations of one contender in one scenario: float64 [rounds], milliseconds, in order."""

    name: str
    ms: Array

    def as_json(self) -> dict[str, float]:
        return {f"p{q}_ms": round(float(np.percentile(self.ms, q)), 4) for q in (50, 90, 99)}

    def ratio_to(self, other: Timing) -> dict[str, float]:
        """Median over median, and the lowest and highest of the same ratio within each tenth of the run."""
        pairs = zip(np.array_split(self.ms, BLOCKS), np.array_split(other.ms, BLOCKS), strict=True)
        blocks = [float(np.median(a) / np.median(b)) for a, b in pairs]
        p50, p99 = (float(np.percentile(self.ms, q) / np.percentile(other.ms, q)) for q in (50, 99))
        return {"p50": round(p50, 3), "low": round(min(blocks), 3), "high": round(max(blocks), 3), "p99": round(p99, 3)}


def bench(engine: Engine, *, rounds: int = 2000, warmup: int = 50) -> dict[str, object]:
    """Time the scenarios `all present` and `first half absent`; JSON-ready figures with their circumstances."""
    samples = _moment(engine.bundle)
    names = engine.plan.names
    scenarios = {"all present": names, f"without {', '.join(names[: len(names) // 2])}": names[len(names) // 2 :]}
    results = {}
    for title, present in scenarios.items():
        contenders = _contenders(engine, {name: samples[name] for name in present})
        _verify(contenders, title)
        timings = interleave(contenders, rounds, warmup)
        own, *peers = timings
        results[title] = {
            "timings": {t.name: t.as_json() for t in timings},
            "ratio": {
                **{f"engine / {t.name}": own.ratio_to(t) for t in peers if t.name != EXPLAINED},
                **{f"{t.name} / engine": t.ratio_to(own) for t in peers if t.name == EXPLAINED},
            },
        }
    return {"circumstances": _circumstances(engine, rounds), "scenarios": results}


def _moment(bundle: Bundle) -> dict[str, Array]:
    for golden in bundle.manifest.golden:
        if set(golden.samples) == set(bundle.manifest.stream_names):
            return golden_samples(bundle, golden)
    raise UsageError(f"bench: {bundle.path} holds no golden moment with every stream")


def _contenders(engine: Engine, samples: dict[str, Array]) -> dict[str, Contender]:
    graph = Session(engine.bundle[engine.bundle.manifest.graph], engine.bundle.place(engine.bundle.manifest.graph))
    feeds = {p.name: np.zeros((1, *p.tensor_shape), dtype=p.tensor_dtype) for p in engine.plan.streams}
    feeds["present"] = np.array([[name in samples for name in engine.plan.names]])
    plans = [plan for plan in engine.plan.streams if plan.name in samples]

    def prepare() -> None:
        for plan in plans:
            plan.modality.preprocess(samples[plan.name], plan.params, feeds[plan.name][0])

    def one_graph() -> dict[str, Array]:
        prepare()
        return {name: value[0] for name, value in graph.compute(feeds).items()}

    outputs = {o.name: np.zeros((1, len(o.prior)), dtype=np.float32) for o in engine.bundle.manifest.head.outputs}
    graph.bind(feeds, outputs)

    def one_graph_bound() -> dict[str, Array]:
        prepare()
        graph.run()
        return {name: value[0] for name, value in outputs.items()}

    def answer() -> dict[str, Array]:
        return dict(engine.answer(samples).outputs)

    contenders = {"engine": answer, "one graph": one_graph, "one graph, bound": one_graph_bound}
    if len(engine.plan.names) > MAX_PLAYERS:
        return contenders
    explaining = Engine(engine.bundle, engine.plan.config.model_copy(update={"explain": True}))
    return {**contenders, EXPLAINED: lambda: dict(explaining.answer(samples).outputs)}


def _verify(contenders: dict[str, Contender], title: str) -> None:
    answers = {name: contender() for name, contender in contenders.items()}
    for name, answer in answers.items():
        for output, values in answers["engine"].items():
            if not np.allclose(answer[output], values, atol=TOLERANCE, rtol=0.0):
                raise UsageError(f"bench: {title}: {name} answers {output} differently from the engine")


def interleave(contenders: dict[str, Contender], rounds: int, warmup: int, *, warm: bool = False) -> Sequence[Timing]:
    """Time every contender once a round, the first of each round rotating, after `warmup` rounds that are not kept.

    warm: run each once more right before it is timed, so that it finds its own data in the caches.
    """
    names = list(contenders)
    ns = np.zeros((len(names), rounds))
    for i in range(-warmup, rounds):
        for k in range(len(names)):
            which = (k + i) % len(names)  # nobody is always the one that runs after the same neighbour
            if warm:
                contenders[names[which]]()
            start = time.perf_counter_ns()
            contenders[names[which]]()
            if i >= 0:
                ns[which, i] = time.perf_counter_ns() - start
    return [Timing(name, row / 1e6) for name, row in zip(names, ns, strict=True)]


def _circumstances(engine: Engine, rounds: int) -> dict[str, Any]:
    backend = kernels.backend()
    return {
        "bundle": engine.bundle.manifest.name,
        "sha256": engine.bundle.sha256,
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": pool().threads,
        "kernels": f"{backend.name} ({backend.isa})",
        "rounds": rounds,
        "load_before": round(os.getloadavg()[0], 2),
    }


def describe(figures: dict[str, Any]) -> str:
    """The figures as a table for a person."""
    lines = [", ".join(f"{key} {value}" for key, value in figures["circumstances"].items() if key != "sha256")]
    for title, scenario in figures["scenarios"].items():
        lines += ["", title, f"  {'':<20}{'p50 ms':>9}{'p90 ms':>9}{'p99 ms':>9}"]
        lines += [
            f"  {name:<20}{t['p50_ms']:9.3f}{t['p90_ms']:9.3f}{t['p99_ms']:9.3f}"
            for name, t in scenario["timings"].items()
        ]
        lines += [
            f"  {name}: p50 {r['p50']:.2f} (by tenths {r['low']:.2f} to {r['high']:.2f}), p99 {r['p99']:.2f}"
            for name, r in scenario["ratio"].items()
        ]
    return "\n".join(lines)
