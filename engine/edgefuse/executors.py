"""Executors: who encodes, and when: inside the tick, beside it against a deadline, or on arrival; one meaning."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

import numpy as np
from msgspec.structs import replace

from edgefuse.aside import Aside
from edgefuse.bundle import Bundle
from edgefuse.deadline import Times, Worth, fitting
from edgefuse.encode import Encoder
from edgefuse.plan import Plan, StreamPlan
from edgefuse.stopwatch import Stopwatch
from edgefuse.types import F32, NS_PER_MS, Judged, Reason, Sample
from edgefuse.verdicts import rest_on
from edgefuse.worker import Embedded, Worker

WORTH_SHARING = 1 << 18  # bytes of a payload; a smaller one is done before a second thread wakes


class Executor:
    """Brings embeddings into the buffers that the fusion reads.

    For each answer the engine calls `begin`, `embed` for every stream that the fusion wants, and `finish`.
    `embed` gives the verdict back, resting on the sample whose embedding lies in the buffer now.
    """

    def begin(self, verdicts: Sequence[Judged], watch: Stopwatch, *, ahead: bool, patient: bool) -> None:
        """An answer begins. ahead: every stream will be wanted; patient: wait for each encoder, however long."""

    def embed(self, i: int, verdict: Judged, t_ns: int, watch: Stopwatch) -> Judged:
        """Bring the embedding of stream i's sample, or of the newest trusted one there is, into its buffer."""
        raise NotImplementedError

    def found(self) -> dict[int, Reason]:
        """What only the answer has shown to be wrong with embeddings, by stream: a device is not waited for before."""
        return {}

    def finish(self) -> None:
        """The answer is made."""

    def pushed(self, i: int, sample: Sample) -> None:
        """A sample of stream i has arrived; from any thread."""

    def settle(self) -> None:
        """Wait until everything that was handed over is encoded."""

    def forget(self) -> None:
        """Keep nothing of earlier samples."""

    def close(self) -> None:
        """End what runs beside the ticks."""


class Inline(Executor):
    """Encodes in the thread of the tick, once a sample; large payloads are preprocessed side by side before that."""

    def __init__(self, bundle: Bundle, plans: Sequence[StreamPlan], views: Sequence[F32]) -> None:
        self.encoders = [Encoder(bundle, plan, view) for plan, view in zip(plans, views, strict=True)]
        self._names = [plan.name for plan in plans]
        self._aside = Aside()

    def begin(self, verdicts: Sequence[Judged], watch: Stopwatch, *, ahead: bool, patient: bool) -> None:
        if not ahead or not self._aside.useful:
            return
        pairs = zip(self.encoders, (verdict.sample for verdict in verdicts), strict=True)
        new = [(encoder, sample) for encoder, sample in pairs if sample is not None and not encoder.ready(sample)]
        new.sort(key=lambda pair: pair[1].payload.nbytes, reverse=True)
        if len(new) > 1 and new[1][1].payload.nbytes >= WORTH_SHARING:
            self._aside.share(partial(encoder.preprocess, sample) for encoder, sample in new)
            watch.lap("preprocess")

    def close(self) -> None:
        self._aside.close()

    def embed(self, i: int, verdict: Judged, t_ns: int, watch: Stopwatch) -> Judged:
        encoder, sample, name = self.encoders[i], verdict.sample, self._names[i]
        if sample is None:
            return verdict
        if not encoder.holds(sample):
            if not encoder.ready(sample):
                encoder.preprocess(sample)
                watch.lap("preprocess", name)
            encoder.run(sample)
            watch.lap("encode", name)
        return verdict if encoder.problem is None else verdict.lost(encoder.problem, sample.number)


class _Threaded(Executor):
    """A worker a stream; a tick copies what they have finished into the fusion's buffers."""

    late: Reason | None = None  # what is said of a stream whose newest trusted sample has no embedding yet
    _patient = False

    def __init__(self, bundle: Bundle, plans: Sequence[StreamPlan], views: Sequence[F32]) -> None:
        self._plans, self._views = plans, views
        pairs = zip(plans, views, strict=True)
        encoders = [Encoder(bundle, plan, np.zeros_like(view)) for plan, view in pairs]
        self.workers = [Worker(encoder, plan) for encoder, plan in zip(encoders, plans, strict=True)]
        self._held: list[Embedded | None] = [None] * len(plans)

    def embed(self, i: int, verdict: Judged, t_ns: int, watch: Stopwatch) -> Judged:
        if verdict.sample is None:
            return verdict
        self._await(i, verdict.sample)
        held = self._fetched(i, verdict.trusted, verdict.sample.number)
        watch.lap("encode", self._plans[i].name)
        if held is None:
            return rest_on(verdict, None, t_ns, self._plans[i], self.late)
        if held.problem is not None:
            return verdict.lost(held.problem, held.sample.number)
        if held.sample.number == verdict.sample.number:
            return verdict
        # The stamp as the health stage knows it: a worker may have seen that of the sensor's own clock.
        older = replace(held.sample, stamp_ns=verdict.trusted[held.sample.number])
        return rest_on(verdict, older, t_ns, self._plans[i], self.late)

    def settle(self) -> None:
        for worker in self.workers:
            worker.settle()

    def forget(self) -> None:
        for worker in self.workers:
            worker.forget()
        self._held = [None] * len(self._held)

    def close(self) -> None:
        for worker in self.workers:
            worker.close()

    def _await(self, i: int, sample: Sample) -> None:
        """Wait for the embedding of this sample, as far as this executor waits at all."""
        raise NotImplementedError

    def _holds(self, i: int, sample: Sample) -> bool:
        held = self._held[i]
        return held is not None and held.sample.number == sample.number

    def _fetched(self, i: int, trusted: Mapping[int, int], newest: int) -> Embedded | None:
        """What lies in the buffer of stream i, after looking for something newer; None where it is not trusted."""
        found = self.workers[i].take(trusted, newest)
        if found is not None and not self._holds(i, found.sample):
            self._views[i][:] = found.values
            self._held[i] = found
        if found is not None and self._patient:
            self.workers[i].drop(found.sample.number)  # of a sample in hand, which nobody will ask for again
        held = self._held[i]
        return held if held is not None and held.sample.number in trusted else None


class Eager(_Threaded):
    """Encodes on arrival; a tick takes what is finished and waits for nothing."""

    def begin(self, verdicts: Sequence[Judged], watch: Stopwatch, *, ahead: bool, patient: bool) -> None:
        self._patient = patient

    def pushed(self, i: int, sample: Sample) -> None:
        self.workers[i].push(sample)

    def _await(self, i: int, sample: Sample) -> None:
        # Mostly its push has brought it to the worker; another one, which was not trusted, may have taken its place.
        if not self._holds(i, sample):
            self.workers[i].ask(sample)
        if self._patient:
            self.workers[i].wait(sample.number, None)


class Timed(_Threaded):
    """Encodes beside the tick, which starts what fits into its deadline and then answers from what is finished.

    What was left out, or is not ready by then, serves the next tick.
    """

    late = "deadline"

    def __init__(
        self, bundle: Bundle, plans: Sequence[StreamPlan], views: Sequence[F32], deadline_ms: float, worth: Worth
    ) -> None:
        super().__init__(bundle, plans, views)
        self._deadline_ms, self._worth = deadline_ms, worth
        self._rest = Times()  # what an answer takes after its last encoder
        self._rest_since_ns = 0
        self._until_ns: int | None = None
        self._left_out: dict[int, Sample] = {}

    def begin(self, verdicts: Sequence[Judged], watch: Stopwatch, *, ahead: bool, patient: bool) -> None:
        self._patient = patient
        # One slow moment after the encoders must not leave nothing for them.
        left_ms = math.inf if patient else self._deadline_ms - min(self._rest.p99_ms, self._deadline_ms / 2.0)
        self._until_ns = None if patient else watch.start_ns + round(left_ms * NS_PER_MS)
        known = {i: verdict.sample for i, verdict in enumerate(verdicts) if verdict.sample is not None}
        new = {i: sample for i, sample in known.items() if not self._holds(i, sample)}
        costs = [worker.cost_ms() for worker in self.workers]
        chosen = fitting(list(new), costs, left_ms - watch.elapsed_ms(), known.keys() - new.keys(), self._worth)
        self._left_out = {i: sample for i, sample in new.items() if i not in chosen}
        for i in chosen if ahead else ():
            self.workers[i].ask(new[i])

    def embed(self, i: int, verdict: Judged, t_ns: int, watch: Stopwatch) -> Judged:
        embedded = super().embed(i, verdict, t_ns, watch)
        self._rest_since_ns = time.perf_counter_ns()
        return embedded

    def finish(self) -> None:
        self._rest.note((time.perf_counter_ns() - self._rest_since_ns) / NS_PER_MS)
        for i, sample in self._left_out.items():
            if self.workers[i].idle:
                self.workers[i].ask(sample)

    def _await(self, i: int, sample: Sample) -> None:
        if i in self._left_out or self._holds(i, sample):
            return
        self.workers[i].ask(sample)
        self.workers[i].wait(sample.number, self._until_ns)


def executor_of(
    bundle: Bundle, plan: Plan, views: Sequence[F32], worth: Callable[[Collection[str]], float | None]
) -> Executor:
    """The executor that the configuration asks for, writing into `views`, one flat float32 buffer a stream.

    worth: what the datasheet expects of a subset of stream names, more being better, for a deadline to choose by.
    """
    config, names = plan.config, plan.names

    if config.executor == "workers":
        return Eager(bundle, plan.streams, views)
    if config.deadline_ms is not None:
        return Timed(
            bundle, plan.streams, views, config.deadline_ms, lambda streams: worth([names[i] for i in streams])
        )
    return Inline(bundle, plan.streams, views)
