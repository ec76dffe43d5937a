"""What happened in a run: modes over time, faults with their reasons, and how often the answer was right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from edgefuse.types import NS_PER_S, Result


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of ticks with the same mode and the same streams in use, in seconds after the first tick."""

    from_s: float
    to_s: float
    mode: str
    used: tuple[str, ...]
    faults: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        return asdict(self)


@dataclass(slots=True)
class Tally:
    """How many answers, how many of them right, and what the datasheet had said to expect of them."""

    ticks: int = 0
    judged: int = 0
    right: int = 0
    expected: list[float] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        return {
            "ticks": self.ticks,
            "accuracy": self.right / self.judged if self.judged else None,
            "expected": sum(self.expected) / len(self.expected) if self.expected else None,
        }


class Summary:
    """Feed it every result; it keeps spans, tallies and counts, never the results themselves."""

    def __init__(self) -> None:
        self.ticks = 0
        self.in_domain: bool | None = None
        self.spans: list[Span] = []
        self.modes: dict[str, Tally] = {}
        self.reasons: Counter[str] = Counter()
        self._first_ns = 0

    def add(self, result: Result, truth: Mapping[str, str] | None) -> Span | None:
        """Take in one result; gives the new span when this tick begins one."""
        if self.ticks == 0:
            self._first_ns, self.in_domain = result.t_ns, result.in_domain
        self.ticks += 1
        faults = tuple(f"{n}: {t.reason}" for n, t in result.streams.items() if t.health != "ok")
        self.reasons.update(faults)
        self._tally(result, truth)
        at_s = self._seconds(result)
        return self._extend(Span(at_s, at_s, result.mode, result.used, faults))

    def as_json(self) -> dict[str, object]:
        return {
            "ticks": self.ticks,
            "in_domain": self.in_domain,
            "modes": {mode: tally.as_json() for mode, tally in self.modes.items()},
            "reasons": dict(sorted(self.reasons.items())),
            "spans": [span.as_json() for span in self.spans],
        }

    def _seconds(self, result: Result) -> float:
        return round((result.t_ns - self._first_ns) / NS_PER_S, 3)

    def _tally(self, result: Result, truth: Mapping[str, str] | None) -> None:
        tally = self.modes.setdefault(result.mode, Tally())
        tally.ticks += 1
        if truth is not None:
            named = [result.labels[name] == label for name, label in truth.items() if name in result.labels]
            tally.judged += bool(named)
            tally.right += bool(named) and all(named)
        if result.expected is not None:
            tally.expected.append(result.expected.value)

    def _extend(self, span: Span) -> Span | None:
        last = self.spans[-1] if self.spans else None
        if last is not None and (last.mode, last.used, last.faults) == (span.mode, span.used, span.faults):
            self.spans[-1] = Span(last.from_s, span.to_s, last.mode, last.used, last.faults)
            return None
        self.spans.append(span)
        return span


def describe(summary: Summary) -> str:
    """The summary as a few lines for a person."""
    lines = [f"{summary.ticks} answers for {summary.ticks} ticks"]
    for mode, tally in summary.modes.items():
        share = f"{tally.right / tally.judged:.1%} right" if tally.judged else ""
        expected = f"datasheet expected {sum(tally.expected) / len(tally.expected):.1%}" if tally.expected else ""
        lines.append(f"  {mode:<9} {tally.ticks:5d} ticks  {'; '.join(part for part in (share, expected) if part)}")
    if summary.in_domain is False:
        lines.append(
            "  The model was not trained on this world: its outputs mean nothing here, only their path is shown."
        )
    lines += [f"  {count:5d} ticks  {reason}" for reason, count in sorted(summary.reasons.items())]
    return "\n".join(lines)
