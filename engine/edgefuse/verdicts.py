"""Verdicts: what one says of another stream, what rests on an older sample, and what is judged without a history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgefuse.errors import DeviceError
from edgefuse.health import inspect
from edgefuse.plan import StreamPlan
from edgefuse.types import LEVEL, NS_PER_MS, Judged, Reason, Sample


def rest_on(verdict: Judged, sample: Sample | None, t_ns: int, plan: StreamPlan, reason: Reason | None) -> Judged:
    """The verdict as it is if the answer must be made from an older trusted sample, and why it must."""
    if sample is None or t_ns - sample.stamp_ns > plan.max_age_ns:
        told = verdict.reason or reason or "late"
        return Judged(LEVEL[told], told, verdict.age_ms, None, False)
    age_ns = max(0, t_ns - sample.stamp_ns)
    fresh = verdict.fresh and age_ns <= plan.fresh_ns
    noted = verdict.reason if verdict.health in ("error", "stale") else reason or verdict.reason
    told_now = noted or (None if fresh or not verdict.fresh else "late")
    health = LEVEL[told_now] if told_now else verdict.health
    return Judged(health, told_now, age_ns / NS_PER_MS, sample, fresh, verdict.trusted)


def judge_in_hand(plans: Sequence[StreamPlan], samples: Mapping[str, Any], t_ns: int, number: int) -> list[Judged]:
    """The verdicts on payloads in hand, stream name -> payload, each by itself; all get the same number."""
    return close_derived([_judge_now(plan, samples, t_ns, number) for plan in plans], plans)


def _judge_now(plan: StreamPlan, samples: Mapping[str, Any], t_ns: int, number: int) -> Judged:
    if plan.name not in samples:
        return Judged("stale", "no_data", None, None, False)
    sample = Sample(plan.name, t_ns, samples[plan.name], number=number)
    whole = Judged("ok", None, 0.0, sample, True, {number: t_ns})
    try:
        reason, _ = inspect(plan, sample.payload)
    except DeviceError:  # the payload was on one that is lost
        reason = "device_lost"
    return whole.lost(reason) if reason else whole


def close_derived(judged: list[Judged], plans: Sequence[StreamPlan]) -> list[Judged]:
    """Take away every derived stream whose parent is not sound: what was computed from it is not sound either."""
    closed = list(judged)
    while orphans := [own.index for own in plans if _orphaned(closed, own)]:  # a generation at a time
        for i in orphans:
            closed[i] = closed[i].lost("parent_lost")
    return closed


def _orphaned(judged: Sequence[Judged], own: StreamPlan) -> bool:
    if own.parent is None or judged[own.index].reason == "parent_lost":
        return False
    parent = judged[own.parent]
    return parent.health in ("error", "stale") or (parent.sample is None and parent.reason != "not_asked")
