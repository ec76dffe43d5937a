"""Limits: what a campaign found held against what its file demands, one check for each fault and stream."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgefuse.campaign import ANY, Limits, by_name, due
from edgefuse.errors import ConfigError
from edgefuse.faults import KINDS
from edgefuse.findings import TrialOutcome
from edgefuse.outcome import Outcome

NEEDS_TRUTH = ("min_retention", "min_accuracy", "min_mra", "min_ra")
MOST_TOLD = 5  # causes of false alarms, the most frequent first


@dataclass(frozen=True, slots=True)
class Check:
    """One figure held against its limit.

    fault, stream  what it is of; `all` where it is of more than one
    figure         what was measured: a number, None where it never came to be
    bound          what it must not pass
    """

    limit: str
    fault: str
    stream: str
    figure: float | None
    bound: float
    kept: bool
    detail: str = ""

    def line(self) -> str:
        """The check as one line for a person."""
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.limit}: {self.where}: {self.told}, limit {number(self.bound)}{detail}"

    @property
    def air(self) -> float:
        """How far the figure is from its bound; below 0 where it is broken."""
        if self.figure is None or not self.kept:
            return -math.inf
        return abs(self.figure - self.bound)

    @property
    def where(self) -> str:
        return self.fault if self.stream == "all" else f"{self.fault} on {self.stream}"

    @property
    def told(self) -> str:
        """The figure in words."""
        if self.figure is None:
            return "never" if self.limit.startswith("max_") else "not known"
        return number(self.figure)

    def as_json(self) -> dict[str, object]:
        names = ("limit", "fault", "stream", "figure", "bound", "kept", "detail")
        return {name: getattr(self, name) for name in names}


def checks_of(outcome: Outcome) -> list[Check]:
    """Every check of a campaign: answers first, then the limits in the order of `Limits`."""
    limits = outcome.campaign.limits
    found = [Check("left out", "all", "all", outcome.left_out, 0, False, "stopped")] if outcome.left_out else []
    found += [check for trial in outcome.replays for check in _answers(trial)]
    for limit, figure in _COUNTS.items():
        found += _by_row(outcome, limit, figure, by_name(getattr(limits, limit)))
    found += _totals(outcome, limits)
    found += _retention(outcome, by_name(limits.min_retention))
    found += _accuracy(outcome, by_name(limits.min_accuracy))
    found += _robustness(outcome, limits)
    return found


def by_limit(checks: Sequence[Check]) -> dict[str, list[Check]]:
    """The checks of each limit, those that are broken first, then those with the least air."""
    groups: dict[str, list[Check]] = {}
    for check in checks:
        groups.setdefault(check.limit, []).append(check)
    return {limit: sorted(group, key=lambda check: check.air) for limit, group in groups.items()}


def need_truth(limits: Limits, place: str) -> None:
    """Refuse limits that only a source with the truth can tell."""
    for name in NEEDS_TRUTH:
        if getattr(limits, name) is not None:
            raise ConfigError("the source does not know the right answers", place=f"{place}: limits.{name}")


# limit -> the figure of a row that it bounds
_COUNTS: Mapping[str, str] = {
    "max_detection_ticks": "detection_ticks",
    "max_detection_samples": "detection_samples",
    "max_recovery_ticks": "recovery_ticks",
    "max_recovery_samples": "recovery_samples",
}


def _answers(trial: TrialOutcome) -> Iterator[Check]:
    """An answer at every tick, with finite outputs, and no exception."""
    error = trial.error or ""
    kept = trial.answers == trial.ticks and not error
    yield Check("answers", trial.name, "all", trial.answers, trial.ticks, kept, error)
    yield Check("broken outputs", trial.name, "all", trial.broken_outputs, 0, trial.broken_outputs == 0)


def _by_row(outcome: Outcome, limit: str, figure: str, bounds: Mapping[str, int]) -> Iterator[Check]:
    for row in outcome.rows:
        bound = _bound(bounds, row.kind)
        if bound is not None and row.changed and _demanded(limit, bounds, row.kind):
            missing = len(row.changed) - (row.detected if "detection" in limit else row.recovered)
            worst = None if missing else row.worst(figure)
            detail = f"{missing} of {len(row.changed)} never" if missing else ""
            yield Check(limit, row.kind, row.stream, worst, bound, worst is not None and worst <= bound, detail)


def _bound(bounds: Mapping[str, float], kind: str) -> float | None:
    """The fault's own bound, or its family's, or that of any."""
    return next((bounds[name] for name in (kind, KINDS[kind].family, ANY) if name in bounds), None)


def _demanded(limit: str, bounds: Mapping[str, int], kind: str) -> bool:
    """Is the fault meant? What need not be noticed is only where it is named itself."""
    return "detection" not in limit or due(kind) or kind in bounds


def _totals(outcome: Outcome, limits: Limits) -> Iterator[Check]:
    alarms, missed = outcome.false_alarms, [fault.fault for fault in outcome.faults if fault.undetected]
    counts = (
        ("max_false_alarms", alarms.total(), [f"{s}: {r} {ticks}" for (s, r), ticks in alarms.most_common(MOST_TOLD)]),
        ("max_undetected", len(missed), [f"{fault.kind} on {fault.stream}" for fault in missed]),
    )
    for limit, total, causes in counts:
        if (bound := getattr(limits, limit)) is not None:
            yield Check(limit, "all", "all", total, bound, total <= bound, ", ".join(dict.fromkeys(causes)))


def _retention(outcome: Outcome, bounds: Mapping[str, float]) -> Iterator[Check]:
    for stream, left in outcome.retention.items():
        if (bound := bounds.get(stream, bounds.get(ANY))) is not None:
            yield Check("min_retention", "off", stream, left, bound, _at_least(left, bound))


def _accuracy(outcome: Outcome, bounds: Mapping[str, float]) -> Iterator[Check]:
    for row in outcome.rows:
        if (bound := _bound(bounds, row.kind)) is not None:
            for severity, (share, _) in row.shares.items():
                fault = row.kind if severity is None else f"{row.kind} {severity}"
                yield Check("min_accuracy", fault, row.stream, share.value, bound, _at_least(share.value, bound))


def _robustness(outcome: Outcome, limits: Limits) -> Iterator[Check]:
    if (bound := limits.min_mra) is not None:
        yield Check("min_mra", "all", "all", outcome.mra, bound, _at_least(outcome.mra, bound))
    if (bound := limits.min_ra) is not None:
        for row in outcome.corruptions:
            yield Check("min_ra", row.kind, row.stream, row.ra, bound, _at_least(row.ra, bound))


def _at_least(value: float | None, bound: float) -> bool:
    return value is not None and value >= bound


def number(value: float) -> str:
    """A count as it is, a share with three digits."""
    return f"{value:.3f}" if isinstance(value, float) else str(value)
