"""Worker: one stream's encoder in a thread of its own, with a mailbox of one sample: the newest wins, nobody waits."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping

from msgspec import Struct

from edgefuse.deadline import Times
from edgefuse.encode import Encoder
from edgefuse.plan import StreamPlan
from edgefuse.types import F32, NS_PER_MS, Reason, Sample

SHELF_BYTES = 8 << 20  # of finished embeddings that no tick has looked at yet


class Embedded(Struct, frozen=True, eq=False):
    """A finished embedding, float32 [size], and why it is not usable, if it is not.

    It is not, too, where the payload is refused for its content; mostly the health stage has found that itself.
    """

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
        self._at_work: int | None = None
        self._shelf: dict[int, Embedded] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=f"edgefuse {plan.name}", daemon=True)
        self._thread.start()

    def push(self, sample: Sample) -> None:
        """Encode this when there is time, unless a newer one comes first."""
        with self._changed:
            if self._pushed is None or self._pushed.number < sample.number:
                self._pushed = sample
            self._changed.notify_all()

    def ask(self, sample: Sample) -> None:
        """Encode this next, unless it is done or being done."""
        with self._changed:
            if sample.number != self._at_work and sample.number not in self._shelf:
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
        """The embedding of the newest trusted sample up to number `newest`.

        The one before is kept too, in case this one is found to be bad; older ones are forgotten.
        """
        with self._changed:
            fitting = sorted(number for number in self._shelf if number in trusted and number <= newest)
            for number in fitting[:-2]:
                del self._shelf[number]
            return self._shelf[fitting[-1]] if fitting else None

    def cost_ms(self) -> float:
        """What encoding a sample takes, to be on the safe side; a sample that is still at work counts too."""
        since_ns = self._since_ns
        running = 0.0 if since_ns is None else (time.perf_counter_ns() - since_ns) / NS_PER_MS
        return running + max(self.times.p99_ms, running)

    @property
    def idle(self) -> bool:
        return self._since_ns is None

    def forget(self) -> None:
        """Drop what waits and what is finished. What is at work is nobody's: its number will not be trusted again."""
        with self._changed:
            self._pushed = self._asked = None
            self._shelf.clear()

    def drop(self, number: int) -> None:
        """Forget one embedding."""
        with self._changed:
            self._shelf.pop(number, None)

    def close(self) -> None:
        """End the thread after the sample at hand."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _work(self) -> None:
        while (sample := self._next()) is not None:
            done = self._encoded(sample)
            with self._changed:
                self._since_ns = self._at_work = None
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
            assert sample is not None
            if sample is self._pushed or (self._pushed is not None and self._pushed.number == sample.number):
                self._pushed = None
            if sample is self._asked:
                self._asked = None
            self._since_ns, self._at_work = time.perf_counter_ns(), sample.number
            return sample

    def _encoded(self, sample: Sample) -> Embedded:
        start_ns = time.perf_counter_ns()
        try:
            problem = self._plan.modality.refusal(sample.payload, self._plan.tensor_shape, self._plan.checks)
            if problem is None:
                self._encoder.preprocess(sample)
                self._encoder.run(sample)
                problem = self._encoder.problem
        except Exception:
            # Nobody would learn of it otherwise: a thread that has died leaves its stream silent for ever.
            logging.getLogger("edgefuse").exception("stream %r: the encoder failed", self._plan.name)
            problem = "graph_failed"
        self.times.note((time.perf_counter_ns() - start_ns) / NS_PER_MS)
        return Embedded(sample, problem, self._encoder.embedding.copy())
