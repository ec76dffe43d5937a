"""Health: is a stream alive, is its content sane, does it still move? Quick to leave, slow to come back."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgefuse.plan import StreamPlan
from edgefuse.types import LEVEL, NS_PER_MS, Account, Array, Arrival, Judged, Reason, Sample

_DIGEST_ITEMS = 1 << 14


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether a stream is let in: `fault` is why not, `good` how many good samples have come since.

    One bad sample closes the gate; `recover_samples` good ones in a row open it. A reason of level `warn` concerns its
    sample only and leaves the gate alone.
    """

    fault: Reason | None = None
    good: int = 0

    def after(self, reason: Reason | None, recover_samples: int) -> Gate:
        if reason is not None:
            return self if LEVEL[reason] == "warn" else Gate(reason)
        if self.fault is None or self.good + 1 >= recover_samples:
            return Gate()
        return replace(self, good=self.good + 1)


class StreamHealth:
    """What is known of one stream: its gate, its newest trusted sample, and how long its content has not changed."""

    def __init__(self, plan: StreamPlan, account: Account, recover_samples: int) -> None:
        self.account = account
        self.gate = Gate()
        self.trusted: Sample | None = None
        self.pending = False  # the trusted sample has not been encoded yet
        self._plan = plan
        self._recover_samples = recover_samples
        self._digest: int | None = None
        self._same = 0
        self._note: Reason | None = None

    def watch(self, arrivals: Sequence[Arrival]) -> None:
        """Look at every sample that came since the last tick, in order of arrival."""
        self._note = None
        for arrival in arrivals:
            reason = arrival.reason or inspect(self._plan, arrival.sample.payload) or self._stuck(arrival.sample)
            self.gate = self.gate.after(reason, self._recover_samples)
            if reason is not None:
                self.account.drop(reason)
                self._note = reason
            elif self.gate.fault is None:
                self._trust(arrival.sample)
            else:
                self.account.skipped += 1

    def judge(self, t_ns: int) -> Judged:
        """The verdict at t_ns, after `watch`."""
        if self.trusted is None:
            reason: Reason = self.gate.fault or self._note or "no_data"
            return Judged(LEVEL[reason], reason, None, None, False)
        age_ns = t_ns - self.trusted.stamp_ns
        if age_ns > self._plan.max_age_ns and self.gate.fault is None:
            self.gate = Gate("too_old")
        reason_now = self.gate.fault or ("late" if age_ns > self._plan.fresh_ns else self._note)
        health = LEVEL[reason_now] if reason_now else "ok"
        usable = self.trusted if age_ns <= self._plan.max_age_ns else None
        fresh = self.gate.fault is None and age_ns <= self._plan.fresh_ns
        return Judged(health, reason_now, age_ns / NS_PER_MS, usable, fresh)

    def encoded(self) -> None:
        """The trusted sample has been encoded: it counts as used from now on."""
        self.account.used += self.pending
        self.pending = False

    def _trust(self, sample: Sample) -> None:
        self.account.skipped += self.pending
        self.trusted, self.pending = sample, True

    def _stuck(self, sample: Sample) -> Reason | None:
        limit = self._plan.checks.stuck_samples
        if limit == 0:
            return None
        digest = _digest(sample.payload)
        self._same = self._same + 1 if digest == self._digest else 1
        self._digest = digest
        return "stuck" if self._same >= limit else None


def inspect(plan: StreamPlan, payload: Array) -> Reason | None:
    """What is wrong with one payload by itself: its contract first, then its content."""
    return plan.modality.refusal(payload, plan.tensor_shape, plan.checks)


def judge_all(
    healths: Sequence[StreamHealth], arrivals: Sequence[Sequence[Arrival]], plans: Sequence[StreamPlan], t_ns: int
) -> list[Judged]:
    """Look at what arrived and give the verdicts of all streams; a derived stream is lost with its parent."""
    for health, arrived in zip(healths, arrivals, strict=True):
        health.watch(arrived)
    return close_derived([health.judge(t_ns) for health in healths], plans)


def close_derived(judged: list[Judged], plans: Sequence[StreamPlan]) -> list[Judged]:
    """Take away every derived stream whose parent is not sound: what was computed from it is not sound either."""
    return [
        own.lost("parent_lost") if plan.parent is not None and judged[plan.parent].health in ("error", "stale") else own
        for own, plan in zip(judged, plans, strict=True)
    ]


def _digest(payload: Array) -> int:
    step = max(1, payload.size // _DIGEST_ITEMS)
    return zlib.crc32(np.ascontiguousarray(payload.reshape(-1)[::step]).data, payload.size)
