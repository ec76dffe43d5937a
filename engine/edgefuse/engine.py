"""The engine: a clock that asks at every tick which embeddings it may still trust, and answers from those, always."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from edgefuse import bundle as bundles
from edgefuse.bundle import Bundle
from edgefuse.config import RunConfig, load_config
from edgefuse.datasheet import Expectations
from edgefuse.errors import DeviceError, UsageError
from edgefuse.executors import Executor
from edgefuse.front import Front
from edgefuse.model import Model, Outputs
from edgefuse.parts import Parts
from edgefuse.plan import Plan, make_plan
from edgefuse.pools import pool
from edgefuse.results import Results
from edgefuse.stopwatch import Stopwatch
from edgefuse.streams import new_number
from edgefuse.types import F64, Judged, Reason, Result, Trust
from edgefuse.verdicts import close_derived, judge_in_hand
from edgefuse.vigil import Listener, Vigil

_Made = tuple[Sequence[Judged], list[Trust], Outputs, Reason | None]  # the last: why sane streams gave no answer


class Engine:
    """A bundle, ready to answer. `push` samples as they come; `step` at every tick; or `answer` from samples in hand.

    `push` and `current` may be called from any thread; `step`, `answer`, `what_if` and `reset` belong to one thread at
    a time. An engine that encodes beside its ticks has threads: `close` it, or use it in a `with` block.

    parts  what computes the answers, and where: `parts.provider`, and `parts.refused`, who was asked for and does not
    """

    def __init__(self, bundle: Bundle, config: RunConfig | None = None, *, config_place: str = "configuration") -> None:
        """Build the stages. A BundleError or ConfigError names what does not fit."""
        self.bundle = bundle
        self.plan: Plan = make_plan(bundle, config or RunConfig(), config_place)
        self.pool = pool(self.plan.config.threads, shared=self.plan.config.shared_pool)
        self.datasheet = self.plan.datasheet
        expectations = Expectations(self.datasheet)
        self._results = Results(bundle, self.plan, expectations)
        self.parts = Parts(bundle, self.plan, expectations.worth, config_place)
        self._ended = weakref.finalize(self, self.parts.close)
        self._kinds = {own.name: own.modality.kind for own in self.plan.streams}
        self._listeners: list[Listener] = []
        self.reset()

    def reset(self) -> None:
        """Forget every sample and verdict, as if nothing had been pushed yet."""
        self._executor.forget()
        self._front = Front(self.plan)
        self._vigil = Vigil(self.plan.config.max_tick_gap_ms)
        self._last: _Answered | None = None

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
        taken = self.parts.received(self._kinds[stream], payload, copy=copy)
        sample = self._front.push(stream, stamp_ns, taken, arrival_ns)
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
        taken = {name: self.parts.received(self._kinds[name], own, copy=False) for name, own in samples.items()}
        judged = judge_in_hand(self.plan.streams, taken, t_ns, new_number())
        watch.lap("health")
        return self._answer(t_ns, judged, watch, in_domain, pushed=False)

    def what_if(self, *lost: str) -> Result:
        """The last answer as it would be were these streams lost too; nothing of the engine is changed by asking.

        UsageError: no answer has been made yet, or the bundle has no such stream.
        """
        for stream in lost:
            self._expect("what_if", stream)
        if self._last is None:
            raise UsageError("what_if: no answer has been made yet")
        watch, last = Stopwatch(), self._last
        gone = last.losses != self.parts.losses  # with the device, what that answer was made from
        why: Reason = "device_lost" if gone else "what_if"
        judged = [own.lost(why) if gone or self.plan.names[i] in lost else own for i, own in enumerate(last.judged)]
        trusts = self._model.fall_back(close_derived(judged, self.plan.streams), watch)
        outputs, reason = self.parts.asked(lambda: self._model.suppose(trusts)) or (self._model.prior, "device_lost")
        if reason is not None:
            trusts = self._model.fall_back([own.lost(reason) for own in judged], watch)
        explained = self._explained(trusts, outputs, watch)
        return self._results.of(self._model.head, last.t_ns, outputs, trusts, last.in_domain, watch, explained)

    def current(self, t_ns: int) -> Result:
        """The last answer of `step`, while it may be relied on; blind, `unwatched`, once the ticks have fallen silent.

        For whoever acts on answers at a rhythm of its own: an engine that is no longer stepped must not be believed.
        """
        if (last := self._vigil.current(t_ns)) is not None:
            return last
        trusts = [Trust("absent", "error", "unwatched") for _ in self.plan.names]
        return self._results.of(self._model.head, t_ns, self._model.prior, trusts, None, Stopwatch(), {})

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
        judged, trusts, outputs, reason = self._computed(t_ns, judged, watch, patient=not pushed)
        if reason is not None:
            judged = [own.lost(reason) if own.sample is not None else own for own in judged]
            trusts = self._model.fall_back(judged, watch)
        if pushed:
            self._front.used(judged, trusts)
        self._executor.finish()
        self._last = _Answered(t_ns, judged, in_domain, self.parts.losses)
        explained = self._explained(trusts, outputs, watch)
        return self._results.of(self._model.head, t_ns, outputs, trusts, in_domain, watch, explained)

    def _computed(self, t_ns: int, judged: Sequence[Judged], watch: Stopwatch, *, patient: bool) -> _Made:
        """What the model makes of these verdicts, wherever it runs; should a device be lost over it, elsewhere."""
        while True:
            judged = [own.lost("device_lost") if self.parts.unreachable(own) else own for own in judged]
            try:
                return self._made(t_ns, judged, watch, patient)
            except DeviceError as error:
                self.parts.go_on_without(error)

    def _made(self, t_ns: int, judged: Sequence[Judged], watch: Stopwatch, patient: bool) -> _Made:
        """Until no embedding that an answer was made from turns out to be unusable with that answer."""
        while True:
            judged = self._encode(t_ns, judged, watch, patient=patient)
            trusts = self._model.fall_back(judged, watch)
            outputs, reason = self._model.fuse(trusts, watch)
            if not (found := self._executor.found()):
                return judged, trusts, outputs, reason
            judged = [own.found(found.get(i)) for i, own in enumerate(judged)]

    def _explained(self, trusts: Sequence[Trust], outputs: Outputs, watch: Stopwatch) -> dict[str, dict[str, F64]]:
        if not self.plan.config.explain:
            return {}
        return self.parts.asked(lambda: self._model.explain(trusts, outputs, watch)) or {}

    @property
    def _model(self) -> Model:
        return self.parts.model

    @property
    def _executor(self) -> Executor:
        return self.parts.executor

    def _encode(self, t_ns: int, judged: Sequence[Judged], watch: Stopwatch, *, patient: bool) -> list[Judged]:
        verdicts, asked, executor = list(judged), set[int](), self._executor
        executor.begin(verdicts, watch, ahead=self._model.fusion.wants_all, patient=patient)
        for i in self._model.fusion.wanted(lambda: self._model.stand(verdicts)):
            asked.add(i)
            own = executor.embed(i, verdicts[i], t_ns, watch)
            if own.failed is not None and own.reason is not None and not patient:
                own = self._front.failed(i, own.failed, own.reason, t_ns)  # the sample before may still be held
                own = executor.embed(i, own, t_ns, watch)
            verdicts[i] = own
        known = [own if i in asked else own.set_aside() for i, own in enumerate(verdicts)]
        return close_derived(known, self.plan.streams)


class _Answered(Struct, frozen=True):
    """What the last answer was made from, to be asked about."""

    t_ns: int
    judged: Sequence[Judged]
    in_domain: bool | None
    losses: int


def load(path: str | os.PathLike[str], config: str | os.PathLike[str] | RunConfig | None = None) -> Engine:
    """Read, check and build an engine from a bundle, with a configuration file or object where one is wanted.

    The file must stay for whoever asks the engine's bundle for its contents later; ticks do not.
    Raises BundleError or ConfigError, naming the file and the field.
    """
    bundle = bundles.read(path)
    if config is None or isinstance(config, RunConfig):
        engine = Engine(bundle, config)
    else:
        engine = Engine(bundle, load_config(config), config_place=os.fspath(config))
    bundle.files.let_go()
    return engine
