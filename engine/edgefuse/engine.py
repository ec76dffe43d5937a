"""The engine: a clock that asks at every tick which embeddings it may still trust, and answers from those, always."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgefuse import bundle as bundles
from edgefuse.bundle import Bundle
from edgefuse.config import RunConfig, load_config
from edgefuse.datasheet import read_datasheet
from edgefuse.errors import BundleError, UsageError
from edgefuse.executors import executor_of
from edgefuse.fallback import Substitutes, descend_all, select
from edgefuse.front import Front
from edgefuse.fuse import fusion_of
from edgefuse.head import Head
from edgefuse.modes import judged_mode, mode_of
from edgefuse.plan import Plan, make_plan
from edgefuse.session import pool
from edgefuse.stopwatch import Stopwatch
from edgefuse.streams import copied, new_number
from edgefuse.types import F32, U8, Judged, Reason, Result, Trust
from edgefuse.verdicts import close_derived, judge_in_hand
from edgefuse.vigil import Listener, Vigil


class Engine:
    """A bundle, ready to answer. `push` samples as they come; `step` at every tick; or `answer` from samples in hand.

    `push` and `current` may be called from any thread. `step`, `answer` and `reset` belong to one thread at a time. An
    engine that encodes beside its ticks has threads: `close` it, or use it in a `with` block.
    """

    def __init__(self, bundle: Bundle, config: RunConfig | None = None, *, config_place: str = "configuration") -> None:
        """Build the stages. A BundleError or ConfigError names what does not fit."""
        self.bundle = bundle
        self.plan: Plan = make_plan(bundle, config or RunConfig(), config_place)
        self.pool = pool(self.plan.config.threads, shared=self.plan.config.shared_pool)
        self.datasheet = read_datasheet(bundle)
        self._expected = self.datasheet.expected() if self.datasheet else {}
        self._fusion = fusion_of(bundle, self.plan.config.fusion_weights == "float16", config_place)
        self._substitutes = Substitutes.of(bundle)
        self._executor = executor_of(bundle, self.plan, self._fusion.embeddings, self._expected)
        self._ended = weakref.finalize(self, self._executor.close)
        self._head = Head(bundle, self._fusion.fused)
        self._listeners: list[Listener] = []
        self.reset()

    def reset(self) -> None:
        """Forget every sample and verdict, as if nothing had been pushed yet."""
        self._executor.forget()
        self._front = Front(self.plan)
        self._vigil = Vigil(self.plan.config.max_tick_gap_ms)

    def close(self) -> None:
        """End the threads that encode beside the ticks, where there are any: no new sample is encoded by them."""
        self._ended()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def push(
        self, stream: str, stamp_ns: int, payload: Any, *, copy: bool = True, arrival_ns: int | None = None
    ) -> None:
        """Hand over one reading: stamp_ns on the engine clock, payload as its modality kind states it.

        Never raises for anything a sensor may send, and never waits. With copy=False the payload must not be written to
        afterwards. For a stream with a `clock` of its own, stamp_ns is on that clock, and arrival_ns says when it came
        on the engine's (now, on the monotonic clock, where it is left out). UsageError: the bundle has no such stream.
        """
        self._expect("push", stream)
        sample = self._front.push(stream, stamp_ns, copied(payload) if copy else payload, arrival_ns)
        self._executor.pushed(self.plan.names.index(stream), sample)

    def settle(self) -> None:
        """Wait until every sample that was pushed is encoded, where that happens on arrival: for tests and replays."""
        self._executor.settle()

    def step(self, t_ns: int, *, in_domain: bool | None = None) -> Result:
        """Answer at event time t_ns from what has been pushed so far. Ticks never go back in time (UsageError)."""
        watch = Stopwatch()
        self._tick(t_ns)
        judged = self._front.judge(t_ns)
        watch.lap("health")
        result = self._answer(t_ns, judged, watch, in_domain, pushed=True)
        self._vigil.answered(result, self._listeners)
        return result

    def answer(self, samples: Mapping[str, Any], *, t_ns: int = 0, in_domain: bool | None = None) -> Result:
        """Answer from samples in hand, stream name -> payload, all of one moment; what is missing counts as absent.

        Each payload is checked by itself. Nothing that was pushed is looked at or changed.
        UsageError: the bundle has no such stream.
        """
        for stream in samples:
            self._expect("answer", stream)
        watch = Stopwatch()
        judged = judge_in_hand(self.plan.streams, samples, t_ns, new_number())
        watch.lap("health")
        return self._answer(t_ns, judged, watch, in_domain, pushed=False)

    def current(self, t_ns: int) -> Result:
        """The last answer of `step`, while it may be relied on; blind, `unwatched`, once the ticks have fallen silent.

        For whoever acts on answers at a rhythm of its own: an engine that is no longer stepped must not be believed.
        """
        if (last := self._vigil.current(t_ns)) is not None:
            return last
        trusts = {name: Trust("absent", "error", "unwatched") for name in self.plan.names}
        return self._result(t_ns, self._head.prior(), trusts, None, Stopwatch())

    def on_mode_change(self, listener: Listener) -> None:
        """Call listener(mode before, result) whenever `step` answers in another mode than it did before.

        It is called in the thread of `step`, before that returns. What it raises is logged: the answer is not lost.
        """
        self._listeners.append(listener)

    def accounts(self) -> dict[str, dict[str, object]]:
        """Stream -> what became of its samples: received = used + waiting + the sum of dropped."""
        return self._front.accounts()

    def _expect(self, verb: str, stream: str) -> None:
        if stream not in self.plan.names:
            raise UsageError(f"{verb}: no stream {stream!r} in the bundle; it has {', '.join(self.plan.names)}")

    def _tick(self, t_ns: int) -> None:
        """A tick; after a silence of the ticks themselves every stream must prove itself anew."""
        last_ns = self._vigil.last_ns
        if last_ns is not None and t_ns < last_ns:
            raise UsageError(f"step: t_ns {t_ns} is before the last tick, {last_ns}; reset() first")
        if self._vigil.silent(t_ns):
            self._front.unwatched()
        self._vigil.tick(t_ns)

    def _answer(
        self, t_ns: int, judged: Sequence[Judged], watch: Stopwatch, in_domain: bool | None, *, pushed: bool
    ) -> Result:
        judged = self._encode(t_ns, judged, watch, patient=not pushed)
        trusts = self._fall_back(judged, watch)
        outputs, reason = self._fuse(trusts, watch)
        if reason is not None:
            judged = [own.lost(reason) if own.sample is not None else own for own in judged]
            trusts = self._fall_back(judged, watch)
        if pushed:
            self._front.used(judged, trusts)
        self._executor.finish()
        return self._result(t_ns, outputs, dict(zip(self.plan.names, trusts, strict=True)), in_domain, watch)

    def _encode(self, t_ns: int, judged: Sequence[Judged], watch: Stopwatch, *, patient: bool) -> list[Judged]:
        verdicts, asked = list(judged), set()
        self._executor.begin(verdicts, watch, ahead=self._fusion.wants_all, patient=patient)
        for i in self._fusion.wanted(lambda: self._stand(verdicts)):
            asked.add(i)
            own = self._executor.embed(i, verdicts[i], t_ns, watch)
            if own.failed is not None and own.reason is not None and not patient:
                own = self._front.failed(i, own.failed, own.reason, t_ns)  # the sample before may still be held
                own = self._executor.embed(i, own, t_ns, watch)
            verdicts[i] = own
        known = [own if i in asked else own.set_aside() for i, own in enumerate(verdicts)]
        return close_derived(known, self.plan.streams)

    def _fall_back(self, judged: Sequence[Judged], watch: Stopwatch) -> list[Trust]:
        trusts = descend_all(judged, self.plan.streams)
        select(trusts, self._fusion.select)
        self._substitutes.fill(trusts, self._fusion.stand_ins)
        watch.lap("fallback")
        return trusts

    def _stand(self, judged: Sequence[Judged]) -> U8:
        """The mask as it would be if the answer were made from these verdicts."""
        self._fall_back(close_derived(list(judged), self.plan.streams), Stopwatch())
        return self._fusion.select

    def _fuse(self, trusts: Sequence[Trust], watch: Stopwatch) -> tuple[dict[str, F32], Reason | None]:
        """The outputs, and why they are the prior where sane streams together gave no answer."""
        if mode_of(trusts) == "blind":
            return self._head.prior(), None
        try:
            self._fusion.run()
            watch.lap("fuse")
            self._head.run()
            watch.lap("head")
        except BundleError:
            return self._head.prior(), "graph_failed"
        outputs = self._head.outputs()
        finite = all(np.isfinite(values).all() for values in outputs.values())
        return (outputs, None) if finite else (self._head.prior(), "non_finite")

    def _result(
        self,
        t_ns: int,
        outputs: dict[str, F32],
        streams: Mapping[str, Trust],
        in_domain: bool | None,
        watch: Stopwatch,
    ) -> Result:
        standing = frozenset(name for name, trust in streams.items() if trust.available)
        expected = None if in_domain is False else self._expected.get(standing)
        mode, why = judged_mode(streams, expected, self.plan.demands)
        manifest = self.bundle.manifest
        return Result(
            t_ns=t_ns,
            mode=mode,
            why=why,
            outputs=outputs,
            labels=self._head.labels(outputs, blind=mode == "blind"),
            matches=self._head.matches(outputs, blind=mode == "blind"),
            streams=streams,
            expected=expected,
            in_domain=in_domain,
            timing_ms=watch.total(),
            bundle=(manifest.name, manifest.bundle_version),
        )


def load(path: str | os.PathLike[str], config: str | os.PathLike[str] | RunConfig | None = None) -> Engine:
    """Read, check and build an engine from a bundle, with a configuration file or object where one is wanted.

    Raises BundleError or ConfigError, naming the file and the field.
    """
    if config is None or isinstance(config, RunConfig):
        return Engine(bundles.read(path), config)
    return Engine(bundles.read(path), load_config(config), config_place=os.fspath(config))
