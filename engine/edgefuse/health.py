"""Health: is a stream alive, at its pace, is its content sane, does it still move? Quick to leave, slow to return."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from edgefuse import kernels
from edgefuse.errors import DeviceError
from edgefuse.gate import Gate
from edgefuse.pace import Pace
from edgefuse.plan import StreamPlan
from edgefuse.types import LEVEL, NS_PER_MS, NS_PER_S, Account, Array, Arrival, Judged, Reason, Sample

_REMEMBERED = 256  # numbers of trusted samples: four times what may wait between two ticks
_KEPT = 2  # trusted samples not after the tick: the newest, and the one before in case the newest turns out to be bad
_LATCH_NS = 10 * NS_PER_S  # so long a contradiction counts that nobody could check again


class StreamHealth:
    """What is known of one stream: gate, pace, trusted samples, and how long its content has not changed."""

    def __init__(self, plan: StreamPlan, account: Account, recover_samples: int) -> None:
        self.account = account
        self.gate = Gate()
        self.pace = Pace(plan.period_ns)
        self.latest: Sample | None = None  # that passed every check, whether the stream is let in or not
        self._plan = plan
        self._recover_samples = recover_samples
        self._watcher = plan.modality.watcher()
        self._history: deque[Sample] = deque()
        self._copied = False  # the newest of them repeats the one before
        self._stamps_ns: dict[int, int] = {}  # of trusted samples by number, the oldest first
        self._trusted = 0  # so many so far
        self._answered: set[int] = set()  # numbers among them that an answer has been made from
        self._digest: int | None = None
        self._same = 0
        self._contradicted_ns: int | None = None
        self._note: Reason | None = None

    @property
    def trusted(self) -> Sample | None:
        """The newest sample that passed every check while the gate was open."""
        return self._history[-1] if self._history else None

    def unwatched(self) -> None:
        """Nobody looked for too long: what was trusted then proves nothing now."""
        self.gate = self.gate.after("unwatched", self._recover_samples)

    def watch(self, arrivals: Sequence[Arrival]) -> None:
        """Look at every sample that came since the last tick, in order of arrival."""
        self._note = None
        for arrival in arrivals:
            reason = arrival.reason or self._content(arrival.sample)
            if reason is not None or self._contradicted_ns is None:
                self.gate = self.gate.after(reason, self._recover_samples)
            if reason == "stuck" and self._copied:
                self._withdraw("stuck")  # what was held would seem younger than it is
            if reason is not None:
                self.account.drop(reason)
                self._note = reason
                continue
            self.latest = arrival.sample
            if self.gate.fault is None:
                self._trust(arrival.sample)
            else:
                self.account.drop("recovering")

    def judge(self, t_ns: int) -> Judged:
        """The verdict at t_ns, after `watch`."""
        while len(self._history) > _KEPT and self._history[_KEPT].stamp_ns <= t_ns:
            self._history.popleft()
        if self._contradicted_ns is not None and t_ns - self._contradicted_ns > _LATCH_NS:
            self._contradicted_ns = None
        chosen = self._plan.choice.pick(self._history, t_ns)
        if chosen is None:
            reason: Reason = self.gate.fault or self._note or "no_data"
            return Judged(LEVEL[reason], reason, None, None, False)
        age_ns = max(0, t_ns - chosen.stamp_ns)
        if age_ns > self._plan.max_age_ns and self.gate.fault is None:
            self.gate = self.gate.after("too_old", self._recover_samples)
        reason_now = self.gate.fault or self._unease(age_ns, t_ns)
        health = LEVEL[reason_now] if reason_now else "ok"
        usable = chosen if age_ns <= self._plan.max_age_ns else None
        fresh = self.gate.fault is None and age_ns <= self._plan.fresh_ns
        return Judged(health, reason_now, age_ns / NS_PER_MS, usable, fresh, self._stamps_ns)

    def used(self, sample: Sample) -> None:
        """An answer has been made from this sample."""
        if sample.number in self._stamps_ns and sample.number not in self._answered:
            self._answered.add(sample.number)
            self.account.used += 1

    def compared(self, t_ns: int, *, agrees: bool) -> None:
        """Another stream speaks for the latest sample, or against it: then that one is not to be believed, nor held.

        After a contradiction no sample counts as good until one has agreed, or until nobody could compare for long.
        """
        self._contradicted_ns = None if agrees else t_ns
        if not agrees:
            self.gate = self.gate.after("disagrees", self._recover_samples)
            if self._history and self._history[-1] is self.latest:
                self._withdraw("disagrees")

    def failed(self, number: int, reason: Reason) -> None:
        """The embedding of a trusted sample turned out to be unusable."""
        self.gate = self.gate.after(reason, self._recover_samples)
        if self._history and self._history[-1].number == number:
            self._withdraw(reason)

    def count(self, waiting: int) -> Account:
        """The account as it stands, with so many samples that no tick has judged yet.

        Trusted samples that no answer was made from are waiting while they may still be chosen, and superseded after.
        """
        pending = sum(sample.number not in self._answered for sample in self._history)
        self.account.waiting = waiting + pending
        self.account.dropped["superseded"] = self._trusted - self.account.used - pending
        return self.account

    def _content(self, sample: Sample) -> Reason | None:
        """What is wrong with a sample whose stamp is good; the sensor is at least alive."""
        self.pace.see(sample.stamp_ns)
        try:
            reason, seen = inspect(self._plan, sample.payload)
            return (
                reason
                or self._stuck(sample)
                or self._watcher.look(sample.payload, seen, sample.stamp_ns, self._plan.checks)
            )
        except DeviceError:  # the payload was on one that is lost
            return "device_lost"

    def _unease(self, age_ns: int, t_ns: int) -> Reason | None:
        """What is not as it should be with a stream that is let in, the worst first."""
        if self.pace.silent(t_ns, self._plan.silent_periods):
            return "silent"
        if age_ns > self._plan.fresh_ns:
            return "late"
        return "low_rate" if self.pace.slow(self._plan.min_rate) else self._note

    def _trust(self, sample: Sample) -> None:
        self._trusted += 1
        copy = self._same > 1
        if copy and self._copied and self._history:
            self._history.pop()  # of a run of copies the first and the last are kept
        self._history.append(sample)
        self._copied = copy
        self._stamps_ns[sample.number] = sample.stamp_ns
        if len(self._stamps_ns) > _REMEMBERED:
            oldest = next(iter(self._stamps_ns))
            self._stamps_ns.pop(oldest)
            self._answered.discard(oldest)
        self._watcher.trust(sample.payload, sample.stamp_ns)

    def _withdraw(self, reason: Reason) -> None:
        """Trust the newest trusted sample no longer; an answer that was made from it remains."""
        number = self._history.pop().number
        self._stamps_ns.pop(number, None)
        self._copied = False
        if number not in self._answered:
            self._trusted -= 1
            self.account.drop(reason)

    def _stuck(self, sample: Sample) -> Reason | None:
        limit = self._plan.checks.stuck_samples
        if limit == 0:
            return None
        digest = kernels.digest(sample.payload)
        self._same = self._same + 1 if digest == self._digest else 1
        self._digest = digest
        return "stuck" if self._same >= limit else None


def inspect(plan: StreamPlan, payload: Array) -> tuple[Reason | None, Any]:
    """What is wrong with one payload by itself, its contract first, then its content; and what was seen of it."""
    return plan.modality.inspected(payload, plan.tensor_shape, plan.checks)
