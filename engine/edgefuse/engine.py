"""The engine: a clock that asks at every tick which embeddings it may still trust, and answers from those, always."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgefuse import bundle as bundles
from edgefuse.bundle import Bundle
from edgefuse.config import RunConfig, load_config
from edgefuse.datasheet import read_datasheet
from edgefuse.encode import Encoder
from edgefuse.errors import BundleError, UsageError
from edgefuse.fallback import Substitutes, descend, mode_of, select
from edgefuse.fuse import fusion_of
from edgefuse.head import Head
from edgefuse.health import StreamHealth, close_derived, inspect, judge_all
from edgefuse.plan import Plan, StreamPlan, make_plan
from edgefuse.session import pool
from edgefuse.stopwatch import Stopwatch
from edgefuse.streams import Stream, copied
from edgefuse.types import F32, U8, Judged, Reason, Result, Sample, Trust


class Engine:
    """A bundle, ready to answer. `push` samples as they come; `step` at every tick; or `answer` from samples in hand.

    `push` may be called from any thread. `step`, `answer` and `reset` belong to one thread at a time.
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
        views = zip(self.plan.streams, self._fusion.embeddings, strict=True)
        self._encoders = [Encoder(bundle, plan, view) for plan, view in views]
        self._head = Head(bundle, self._fusion.fused)
        self.reset()

    def reset(self) -> None:
        """Forget every sample and verdict, as if nothing had been pushed yet."""
        config = self.plan.config
        self._streams = {name: Stream(name, config.future_tolerance_ms) for name in self.plan.names}
        accounts = [stream.account for stream in self._streams.values()]
        pairs = zip(self.plan.streams, accounts, strict=True)
        self._healths = [StreamHealth(plan, account, config.recover_samples) for plan, account in pairs]
        self._last_t_ns: int | None = None

    def push(self, stream: str, stamp_ns: int, payload: Any, *, copy: bool = True) -> None:
        """Hand over one reading: stamp_ns on the engine clock, payload as its modality kind states it.

        Never raises for anything a sensor may send. With copy=False the payload must not be written to afterwards.
        UsageError: the bundle has no such stream.
        """
        self._expect("push", stream)
        self._streams[stream].push(stamp_ns, copied(payload) if copy else payload)

    def step(self, t_ns: int, *, in_domain: bool | None = None) -> Result:
        """Answer at event time t_ns from what has been pushed so far. Ticks never go back in time (UsageError)."""
        if self._last_t_ns is not None and t_ns < self._last_t_ns:
            raise UsageError(f"step: t_ns {t_ns} is before the last tick, {self._last_t_ns}; reset() first")
        self._last_t_ns = t_ns
        watch = Stopwatch()
        arrivals = [stream.due(t_ns) for stream in self._streams.values()]
        judged = judge_all(self._healths, arrivals, self.plan.streams, t_ns)
        watch.lap("health")
        result = self._answer(t_ns, judged, watch, in_domain)
        self._settle()
        return result

    def answer(self, samples: Mapping[str, Any], *, t_ns: int = 0, in_domain: bool | None = None) -> Result:
        """Answer from samples in hand, stream name -> payload, all of one moment; what is missing counts as absent.

        Each payload is checked by itself. Nothing that was pushed is looked at or changed.
        UsageError: the bundle has no such stream.
        """
        for stream in samples:
            self._expect("answer", stream)
        watch = Stopwatch()
        judged = [_judge_now(plan, samples, t_ns) for plan in self.plan.streams]
        judged = close_derived(judged, self.plan.streams)
        watch.lap("health")
        return self._answer(t_ns, judged, watch, in_domain)

    def accounts(self) -> dict[str, dict[str, object]]:
        """Stream -> what became of its samples: received = used + skipped + waiting + the sum of dropped."""
        for stream, health in zip(self._streams.values(), self._healths, strict=True):
            stream.account.waiting = stream.waiting() + health.pending
        return {name: stream.account.as_json() for name, stream in self._streams.items()}

    def _expect(self, verb: str, stream: str) -> None:
        if stream not in self._streams:
            raise UsageError(f"{verb}: no stream {stream!r} in the bundle; it has {', '.join(self._streams)}")

    def _answer(self, t_ns: int, judged: Sequence[Judged], watch: Stopwatch, in_domain: bool | None) -> Result:
        judged = self._encode(judged, watch)
        trusts = self._fall_back(judged, watch)
        outputs, reason = self._fuse(trusts, watch)
        if reason is not None:
            trusts = self._fall_back([own.lost(reason) if own.sample is not None else own for own in judged], watch)
        return self._result(t_ns, outputs, trusts, in_domain, watch)

    def _encode(self, judged: Sequence[Judged], watch: Stopwatch) -> list[Judged]:
        verdicts, asked = list(judged), set()
        for i in self._fusion.wanted(lambda: self._stand(verdicts)):
            asked.add(i)
            verdicts[i] = self._encode_one(verdicts[i], self._encoders[i], watch)
        known = [own if i in asked else own.set_aside() for i, own in enumerate(verdicts)]
        return close_derived(known, self.plan.streams)

    def _encode_one(self, verdict: Judged, encoder: Encoder, watch: Stopwatch) -> Judged:
        if verdict.sample is None:
            return verdict
        if not encoder.holds(verdict.sample):
            encoder.preprocess(verdict.sample)
            watch.lap("preprocess")
            try:
                encoder.run(verdict.sample)
            except BundleError:
                return verdict.lost("graph_failed")
            watch.lap("encode")
        return verdict if encoder.finite else verdict.lost("non_finite")

    def _fall_back(self, judged: Sequence[Judged], watch: Stopwatch) -> list[Trust]:
        trusts = [descend(verdict, plan) for verdict, plan in zip(judged, self.plan.streams, strict=True)]
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

    def _settle(self) -> None:
        for health, encoder in zip(self._healths, self._encoders, strict=True):
            if health.trusted is not None and encoder.holds(health.trusted):
                health.encoded()

    def _result(
        self,
        t_ns: int,
        outputs: dict[str, F32],
        trusts: Sequence[Trust],
        in_domain: bool | None,
        watch: Stopwatch,
    ) -> Result:
        standing = frozenset(
            plan.name for plan, trust in zip(self.plan.streams, trusts, strict=True) if trust.available
        )
        manifest, mode = self.bundle.manifest, mode_of(trusts)
        return Result(
            t_ns=t_ns,
            mode=mode,
            outputs=outputs,
            labels=self._head.labels(outputs, blind=mode == "blind"),
            matches=self._head.matches(outputs, blind=mode == "blind"),
            streams=dict(zip(self.plan.names, trusts, strict=True)),
            expected=None if in_domain is False else self._expected.get(standing),
            in_domain=in_domain,
            timing_ms=watch.total(),
            bundle=(manifest.name, manifest.bundle_version),
        )


def _judge_now(plan: StreamPlan, samples: Mapping[str, Any], t_ns: int) -> Judged:
    """The verdict on a payload in hand, by itself."""
    if plan.name not in samples:
        return Judged("stale", "no_data", None, None, False)
    sample = Sample(plan.name, t_ns, samples[plan.name])
    whole = Judged("ok", None, 0.0, sample, True)
    reason = inspect(plan, sample.payload)
    return whole.lost(reason) if reason else whole


def load(path: str | os.PathLike[str], config: str | os.PathLike[str] | RunConfig | None = None) -> Engine:
    """Read, check and build an engine from a bundle, with a configuration file or object where one is wanted.

    Raises BundleError or ConfigError, naming the file and the field.
    """
    if config is None or isinstance(config, RunConfig):
        return Engine(bundles.read(path), config)
    return Engine(bundles.read(path), load_config(config), config_place=os.fspath(config))
