"""The measures of fault injection, as pure functions over what was seen at each tick."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edgefuse.types import NS_PER_S

MODES = ("full", "degraded", "abstain", "blind")
OUT = ("error", "stale")  # health of a stream that is taken out


@dataclass(frozen=True, slots=True)
class Seen:
    """What the engine said of one stream at one tick."""

    state: str
    health: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Record:
    """One tick: right is None where the truth is not known."""

    t_ns: int
    mode: str
    streams: Mapping[str, Seen]
    right: bool | None = None
    finite: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """Where something happened: how many ticks after it could, at which time, and the reason that was given."""

    ticks: int
    t_ns: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """So many right of so many judged."""

    right: int = 0
    judged: int = 0

    def __add__(self, other: Share) -> Share:
        return Share(self.right + other.right, self.judged + other.judged)

    @property
    def value(self) -> float | None:
        return self.right / self.judged if self.judged else None


@dataclass(frozen=True, slots=True)
class Excuse:
    """A stream that need not be sound from one time up to another, because a fault reaches it."""

    stream: str
    from_ns: int
    to_ns: int


def ticks_due(first_ns: int, last_ns: int, tick_hz: float, wait_ns: int = 0) -> int:
    """How many ticks a replay must answer: from the first arrival on, one a period, up to the first not before the last
    arrival."""
    count = 0
    while first_ns + round(count * NS_PER_S / tick_hz) + wait_ns < last_ns:
        count += 1
    return count + 1


def detection(
    records: Sequence[Record], clean: Sequence[Record], stream: str, first_ns: int, until_ns: int
) -> Found | None:
    """The first tick where the stream is not ok in a way that it is not in the clean run.

    Counted from the first tick at or after first_ns, when the first faulty sample arrived or the first lost one was
    due: 0 is at once. Looked for before until_ns.
    """
    start = _first_from(records, first_ns)
    for i in range(start, min(len(records), len(clean))):
        now, then = records[i].streams[stream], clean[i].streams[stream]
        if records[i].t_ns >= until_ns:
            return None
        if now.health != "ok" and (now.health, now.reason) != (then.health, then.reason):
            return Found(i - start, records[i].t_ns, now.reason)
    return None


def recovery(
    records: Sequence[Record], clean: Sequence[Record], stream: str, last_ns: int, until_ns: int
) -> Found | None:
    """The first tick from which the stream is again, and up to until_ns stays, fresh and ok or as in the clean run.

    Counted from the first tick after last_ns, when the last faulty sample arrived or the last lost one was due. None:
    it never is, or nothing was recorded after the fault.
    """
    start = _first_from(records, last_ns + 1)
    end = min(_first_from(records, until_ns), len(clean))
    back = end
    while back > start and _sound(records[back - 1].streams[stream], clean[back - 1].streams[stream]):
        back -= 1
    return Found(back - start, records[back].t_ns) if back < end else None


def false_alarms(
    records: Sequence[Record], clean: Sequence[Record], streams: Iterable[str], excuses: Sequence[Excuse]
) -> Counter[tuple[str, str]]:
    """(stream, reason) -> ticks where a stream is taken out that no fault reaches, and is not in the clean run."""
    found: Counter[tuple[str, str]] = Counter()
    for stream in streams:
        own = [excuse for excuse in excuses if excuse.stream == stream]
        for now, then in zip(records, clean, strict=False):
            seen = now.streams[stream]
            if seen.health in OUT and then.streams[stream].health not in OUT and not _excused(own, now.t_ns):
                found[stream, str(seen.reason)] += 1
    return found


def clean_alarms(clean: Sequence[Record], streams: Iterable[str], start_s: float = 1.0) -> Counter[tuple[str, str]]:
    """(stream, reason) -> ticks of a run without faults, after its first second, where a stream is taken out."""
    found: Counter[tuple[str, str]] = Counter()
    begin = clean[0].t_ns + round(start_s * NS_PER_S) if clean else 0
    for stream in streams:
        seen = (record.streams[stream] for record in clean if record.t_ns >= begin)
        found.update((stream, str(now.reason)) for now in seen if now.health in OUT)
    return found


def accuracy(records: Sequence[Record], from_ns: float = 0, to_ns: float = float("inf")) -> Share:
    """How many answers in [from_ns, to_ns) are right, of those whose truth is known."""
    known = [record.right for record in _between(records, from_ns, to_ns) if record.right is not None]
    return Share(sum(known), len(known))


def retained(share: Share, clean: Share) -> float | None:
    """What is left of the clean accuracy: 1 is all of it."""
    return share.value / clean.value if share.value is not None and clean.value else None


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of those that are known."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def samples_between(arrivals_ns: Sequence[int], from_ns: int, to_ns: int) -> int:
    """How many samples of an undisturbed stream arrive in [from_ns, to_ns]."""
    return bisect_right(arrivals_ns, to_ns) - bisect_left(arrivals_ns, from_ns)


def modes_in(records: Sequence[Record], from_ns: float, to_ns: float) -> dict[str, float]:
    """Share of the ticks in [from_ns, to_ns) by mode; of no ticks, nothing."""
    modes = Counter(record.mode for record in _between(records, from_ns, to_ns))
    return {mode: modes[mode] / modes.total() for mode in MODES if modes.total()}


def _between(records: Sequence[Record], from_ns: float, to_ns: float) -> Sequence[Record]:
    return records[_first_from(records, from_ns) : _first_from(records, to_ns)]


def _first_from(records: Sequence[Record], t_ns: float) -> int:
    return bisect_left(records, t_ns, key=lambda record: record.t_ns)


def _sound(now: Seen, then: Seen) -> bool:
    return (now.state, now.health) in (("fresh", "ok"), (then.state, then.health))


def _excused(excuses: Sequence[Excuse], t_ns: int) -> bool:
    return any(excuse.from_ns <= t_ns < excuse.to_ns for excuse in excuses)
