"""Races: scenarios in which contenders answer in turn, in one process, round by round."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgefuse.bench.contenders import Maker, Preparing, bare_encoder, one_graph, one_graph_bound, ready
from edgefuse.bench.meters import NOT_AVAILABLE
from edgefuse.bench.moments import Feed, Moment, moments
from edgefuse.bench.profile import Profile
from edgefuse.bench.section import Section, compared
from edgefuse.bench.stages import Watched, table
from edgefuse.bench.timing import Contender, Timing, interleave
from edgefuse.bundle import Bundle
from edgefuse.engine import Engine
from edgefuse.model import Model
from edgefuse.operators import subsets
from edgefuse.plan import StreamPlan
from edgefuse.reference import PRESENT
from edgefuse.schema import changed
from edgefuse.shapley import MAX_PLAYERS
from edgefuse.types import Array

ENGINE, BOUND, GRAPH = "engine", "one graph, bound", "one graph"
ALL_SUBSETS = 4  # streams, at most, of which every subset is raced
CALM_S = 0.005  # longer than OpenMP's idle threads spin by default
ADDED = "what the engine adds"
EXPLAINED = "engine, explained"  # with what each stream made of every answer

# What others would use instead, by name; made only where they are asked for, as they need heavy packages.
Peers = Callable[[Bundle], Mapping[str, Maker | str]]


@dataclass(frozen=True)
class Stand:
    """What every scenario works with."""

    engine: Engine
    profile: Profile
    played: Sequence[Moment]
    peers: Peers | None = None

    @staticmethod
    def of(engine: Engine, profile: Profile, peers: Peers | None = None) -> Stand:
        return Stand(engine, profile, moments(engine.bundle, profile.seed), peers)

    @property
    def names(self) -> tuple[str, ...]:
        return self.engine.plan.names

    def another(self, **changes: Any) -> Engine:
        """A second engine, which differs in this."""
        return Engine(self.engine.bundle, changed(self.engine.plan.config, **changes))

    def feed(self, names: Sequence[str] | None = None) -> Feed:
        """These streams (all) played to an engine of its own, as sharing one means the other's samples too."""
        feed = Feed(self.another(), self.played)
        feed.settle(names)
        return feed

    def rivals(self, makers: Mapping[str, Maker], present: Sequence[str] | None = None) -> dict[str, Contender]:
        """Contenders that have been found to answer as the engine does, from these streams, all where not said."""
        return ready(self.engine, self.played, makers, present)

    def race(
        self, contenders: Mapping[str, Callable[[], object]], rounds: int | None = None, **more: Any
    ) -> Sequence[Timing]:
        """Interleaved, for as many rounds as the profile says."""
        return interleave(contenders, rounds or self.profile.rounds, self.profile.warmup, **more)


def fresh(stand: Stand) -> Section:
    """All streams new at every answer: pushed, copied, checked, encoded; where the time goes, and against one graph."""
    own, made = Watched(stand.feed()), {} if stand.peers is None else stand.peers(stand.engine.bundle)
    left_out = {name: make for name, make in made.items() if isinstance(make, str)}
    peers = {name: make for name, make in made.items() if not isinstance(make, str)}
    rivals = stand.rivals({GRAPH: one_graph, BOUND: one_graph_bound, **peers})
    pause = calm if peers else None  # their idle threads spin, into whoever comes next
    timings = stand.race({ENGINE: own, **rivals}, least_s=stand.profile.least_s, pause=pause)
    return compared("all streams fresh", timings, stages=table(own.rows(timings[0].ms.size)), left_out=left_out)


def calm() -> None:
    """Wait, without letting go of the core, until the threads of the contender before have gone to sleep."""
    until_s = time.perf_counter() + CALM_S
    while time.perf_counter() < until_s:
        pass


def in_hand(stand: Stand) -> Section:
    """Samples in hand, without streams and their history: `answer`, and with an attribution of each answer."""
    moment = stand.played[0]
    contenders: dict[str, Contender] = {
        "engine, answer": lambda: stand.engine.answer(moment).outputs,
        **stand.rivals({BOUND: one_graph_bound}),
    }
    pairs = [("engine, answer", BOUND)]
    if len(stand.names) <= MAX_PLAYERS:
        explaining = stand.another(explain=True)
        contenders[EXPLAINED] = lambda: explaining.answer(moment).outputs
        pairs.append((EXPLAINED, "engine, answer"))
    return compared("samples in hand", stand.race(contenders), pairs)


def each_subset(stand: Stand) -> Section:
    """Some streams missing: the engine does less then; one graph is fed zeros and does as much as ever.

    The share of the encoders that are left out is measured in the same rounds, each encoder's bare session by itself.
    """
    timings: dict[str, Timing] = {}
    ratios: dict[str, Mapping[str, float]] = {}
    figures: dict[str, dict[str, float]] = {}
    bare = _bare_encoders(stand)
    for present in _asked_subsets(stand.engine.plan.streams):
        title, rival = "+".join(present), stand.rivals({BOUND: one_graph_bound}, present)[BOUND]
        own = Watched(stand.feed(present), present)
        raced: dict[str, Callable[[], object]] = {f"engine, {title}": own, f"one graph, {title}": rival, **bare}
        mine, graph, *encoders = stand.race(raced, stand.profile.subset_rounds)
        timings |= {mine.name: mine, graph.name: graph}
        ratios[f"{mine.name} / {graph.name}"] = mine.ratio_to(graph)
        figures[title] = {"left_out_share": _share([t for t in encoders if t.name not in present], graph)}
    return Section("some streams missing", timings, ratios, figures=figures)


def _asked_subsets(plans: Sequence[StreamPlan]) -> list[tuple[str, ...]]:
    """Every subset but the whole; of many streams each alone, each missing. None has a stream without its parent."""
    names = [plan.name for plan in plans]
    every = [*((n,) for n in names), *(tuple(n for n in names if n != gone) for gone in names)]
    if len(names) <= ALL_SUBSETS:
        every = [subset for subset in subsets(names) if len(subset) < len(names)]
    parents = {plan.name: names[plan.parent] for plan in plans if plan.parent is not None}
    return [subset for subset in every if all(parents.get(name, name) in subset for name in subset)]


def _bare_encoders(stand: Stand) -> dict[str, Callable[[], None]]:
    inputs = Preparing(stand.engine, stand.played)()
    return {p.name: bare_encoder(stand.engine.bundle, p, inputs[p.name]) for p in stand.engine.plan.streams}


def _share(parts: Sequence[Timing], whole: Timing) -> float:
    return round(sum(float(np.median(t.ms)) for t in parts) / float(np.median(whole.ms)), 4)


def one_new(stand: Stand) -> Section:
    """Only one stream is new since the last answer, against all of them: what was encoded before stays encoded."""
    contenders: dict[str, Callable[[], object]] = {"all new": Watched(stand.feed())}
    for name in stand.names:
        contenders[f"only {name} new"] = _OneNew(stand, name)
    contenders["nothing new"] = _OneNew(stand, None)
    timings = stand.race(contenders, max(stand.profile.subset_rounds, stand.profile.rounds // 4))
    return compared("one stream new since the last answer", timings, [(t.name, "all new") for t in timings[1:]])


class _OneNew:
    """Answers from a feed whose other streams are all held fresh by a moment that came just before."""

    def __init__(self, stand: Stand, name: str | None) -> None:
        self._feed, self._names = stand.feed(), [] if name is None else [name]
        self._played, self._i = stand.played, 0
        self._t_ns = self._feed.push()
        self._feed.engine.step(self._t_ns)

    def __call__(self) -> Mapping[str, Array]:
        """A hair later than the last one, so that nothing grows old however long it goes on."""
        self._i += 1
        self._t_ns += 1000
        for name in self._names:
            self._feed.engine.push(name, self._t_ns, self._played[self._i % len(self._played)][name])
        return self._feed.engine.step(self._t_ns).outputs


def overhead(stand: Stand) -> Section:
    """What the engine adds to bare bound calls of ONNX Runtime and of its kernels, in the same rounds."""
    if (provider := stand.engine.parts.provider) != "cpu":  # the bare calls are the host's
        return Section(ADDED, figures={"added": {"told": f"{NOT_AVAILABLE}: answers are computed by {provider}"}})
    prepare = Preparing(stand.engine, stand.played)
    model = Model.of(stand.engine.bundle, stand.engine.plan, "configuration")
    model.fusion.select[:] = PRESENT
    parts: dict[str, Callable[[], object]] = {
        "preprocess": prepare,
        **_bare_encoders(stand),
        "fuse": model.fusion.run,
        "head": model.head.run,
    }
    own = Watched(stand.feed())
    whole, *bare = stand.race({ENGINE: own, **parts})
    work = float(sum(np.median(t.ms) for t in bare))
    whole_ms = float(np.median(whole.ms))
    figures = {
        "engine": {"p50_ms": round(whole_ms, 5)},
        "bare calls together": {"p50_ms": round(work, 5)},
        "added": {"us": round(1e3 * (whole_ms - work), 2), "percent": round(100.0 * (whole_ms - work) / whole_ms, 2)},
    }
    return compared(ADDED, [whole, *bare], (), figures=figures)


def gaps(stand: Stand) -> Section:
    """Idle before an answer: caches cold, clocks down, threads asleep."""
    contenders: dict[str, Contender] = {ENGINE: Watched(stand.feed()), **stand.rivals({BOUND: one_graph_bound})}
    timings: list[Timing] = []
    for gap_s, rounds in zip(
        (0.0, *stand.profile.gaps_s), (stand.profile.subset_rounds, *stand.profile.gap_rounds), strict=True
    ):
        found = interleave(contenders, rounds, 5, pause=functools.partial(time.sleep, gap_s) if gap_s else None)
        timings += [Timing(_gap_name(t.name, gap_s), t.ms) for t in found]
    pairs = [(_gap_name(name, s), _gap_name(name, 0.0)) for name in contenders for s in stand.profile.gaps_s]
    return compared("idle before an answer", timings, pairs)


def _gap_name(contender: str, gap_s: float) -> str:
    return f"{contender}, after {gap_s:g} s idle" if gap_s else f"{contender}, back to back"
