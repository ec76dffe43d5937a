"""Worker: one stream's encoder in a thread of its own, with a mailbox of one sample: the newest wins, nobody waits."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from edgefuse.deadline import Times
from edgefuse.encode import Encoder
from edgefuse.plan import StreamPlan
from edgefuse.types import F32, NS_PER_MS, Reason, Sample

SHELF_BYTES = 8 << 20  # of finished embeddings that no tick has looked at yet


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """A finished embedding, float32 [size], and why it is not usable, if it is not."""

    sample: Sample
    problem: Reason | None
    values: F32


class Worker:
    """Encodes what is handed over, one at a time; what is handed over while it works replaces what waited before."""

    def __init__(self, encoder: Encoder, plan: StreamPlan) -> None:
        self.times = Times()
        self._encoder, self._plan = encoder, plan
        self._most = max(2, min(64, SHELF_BYTES // encoder.embedding.nbytes))
        self._changed = threading.Condition()
        self._pushed: Sample | None = None
        self._asked: Sample | None = None  # by a tick, which may be waiting for it: a push never replaces it
        self._since_ns: int | None = None
        self._shelf: dict[int, Embedded] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=f"edgefuse {plan.name}", daemon=True)
        self._thread.start()

    def push(self, sample: Sample) -> None:
        """Encode this when there is time, unless a newer one comes first."""
        with self._changed:
            self._pushed = sample
            self._changed.notify_all()

    def ask(self, sample: Sample) -> None:
        """Encode this next."""
        with self._changed:
            self._asked = sample
            self._changed.notify_all()

    def wait(self, number: int, until_ns: int | None) -> bool:
        """Is the embedding of that sample there by then (time.perf_counter_ns; None: however long it takes)?"""
        left_s = None if until_ns is None else max(0.0, (until_ns - time.perf_counter_ns()) / 1e9)
        with self._changed:
            self._changed.wait_for(lambda: number in self._shelf or self._closed, left_s)
            return number in self._shelf

    def settle(self) -> None:
        """Wait until everything that was handed over is encoded."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not (self._pushed or self._asked or self._since_ns))

    def take(self, trusted: Mapping[int, int], newest: int) -> Embedded | None:
        """The embedding of the newest trusted sample up to number `newest`; older ones are forgotten."""
        with self._changed:
            fitting = [number for number in self._shelf if number in trusted and number <= newest]
            if not fitting:
                return None
            best = max(fitting)
            self._shelf = {number: e for number, e in self._shelf.items() if number >= best}
            return self._shelf[best]

    def cost_ms(self) -> float:
        """What encoding a sample takes, to be on the safe side; a sample that is still at work counts too."""
        since_ns = self._since_ns
        running = 0.0 if since_ns is None else (time.perf_counter_ns() - since_ns) / NS_PER_MS
        return running + max(self.times.p99_ms, running)

    @property
    def idle(self) -> bool:
        return self._since_ns is None

    def forget(self) -> None:
        """Drop what waits and what is finished."""
        with self._changed:
            self._pushed = self._asked = None
        self.settle()
        self._shelf.clear()

    def close(self) -> None:
        """End the thread after the sample at hand."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _work(self) -> None:
        while (sample := self._next()) is not None:
            done = self._encoded(sample)
            with self._changed:
                self._since_ns = None
                if done is not None:
                    self._shelf[sample.number] = done
                while len(self._shelf) > self._most:
                    self._shelf.pop(next(iter(self._shelf)))
                self._changed.notify_all()

    def _next(self) -> Sample | None:
        with self._changed:
            self._changed.wait_for(lambda: self._pushed or self._asked or self._closed)
            if self._closed:
                return None
            sample = self._asked or self._pushed
            if sample is self._asked:
                self._asked = None
            else:
                self._pushed = None
            self._since_ns = time.perf_counter_ns()
            return sample

    def _encoded(self, sample: Sample) -> Embedded | None:
        """The embedding; None of a payload that the health stage will refuse for its content."""
        start_ns = time.perf_counter_ns()
        try:
            if self._plan.modality.refusal(sample.payload, self._plan.tensor_shape, self._plan.checks):
                return None
            self._encoder.preprocess(sample)
            self._encoder.run(sample)
            problem = self._encoder.problem
        except Exception:
            # Nobody would learn of it otherwise: a thread that has died leaves its stream silent for ever.
            logging.getLogger("edgefuse").exception("stream %r: the encoder failed", self._plan.name)
            problem = "graph_failed"
        self.times.note((time.perf_counter_ns() - start_ns) / NS_PER_MS)
        return Embedded(sample, problem, self._encoder.embedding.copy())
