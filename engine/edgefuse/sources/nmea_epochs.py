"""Epochs of NMEA 0183: sentences of one time of day, put together into one fix, and onto a day."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from edgefuse.sources.nmea_sentences import DAY_NS, Sentence, fix_of
from edgefuse.types import F64

QUIET_S = 0.05  # without a byte, and what the epoch before was made from is there: it is whole
LAST_S = 0.25  # and so long, whatever may be lacking
MOST_GAP_NS = 7 * DAY_NS  # a longer one within one log is a receiver that did not know its date


@dataclass(frozen=True, slots=True)
class Epoch:
    """What a receiver said of one time.

    time_ns   UTC since midnight
    dated_ns  an instant nearby, since 1970, of a sentence with a date; None where none came
    fix       float64 [7]; None where no sentence held a place
    """

    time_ns: int
    dated_ns: int | None
    fix: F64 | None


class Epochs:
    """Takes sentences in the order in which they come and gives each epoch when it is whole.

    Of several talkers' sentences of one kind the best counts; a ZDA only dates, at whatever moment it is sent.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._time_ns = -1
        self._held: dict[str, Sentence] = {}
        self._dated_ns: int | None = None
        self._usual: frozenset[str] = frozenset()

    def take(self, sentence: Sentence) -> Epoch | None:
        """The epoch before, where this sentence begins another."""
        try:
            time_ns, instant_ns = sentence.time_ns, sentence.instant_ns
        except ValueError as error:
            self._report(f"{sentence.kind} that cannot be read: {error}")
            return None
        if time_ns is None:
            self._report(f"{sentence.kind} without a time: the receiver does not know it yet")
            return None
        ended = None
        if sentence.kind != "ZDA":
            ended = self.ended() if time_ns != self._time_ns else None
            self._time_ns = time_ns
            self._hold(sentence)
        self._dated_ns = self._dated_ns if instant_ns is None else instant_ns
        return ended

    def quiet(self, quiet_s: float) -> Epoch | None:
        """The epoch that is open, where it is not worth while to wait for more of it."""
        awaited = self._usual - self._held.keys()
        return self.ended() if "GGA" in self._held and quiet_s >= (LAST_S if awaited else QUIET_S) else None

    def ended(self) -> Epoch | None:
        """The epoch that is open; None where there is none."""
        held, dated_ns = self._held, self._dated_ns
        if not held:
            return None
        self._held, self._dated_ns, self._usual = {}, None, frozenset(held)
        return Epoch(self._time_ns, dated_ns, self._fix(held))

    def _hold(self, sentence: Sentence) -> None:
        known = self._held.get(sentence.kind)
        if known is not None and known.talker == sentence.talker:
            self._report(f"{sentence.kind} twice in one epoch: the first is taken")
        elif known is None or sentence.worth > known.worth:
            self._held[sentence.kind] = sentence

    def _fix(self, held: dict[str, Sentence]) -> F64 | None:
        rmc = held.get("RMC")
        if "GGA" not in held:
            self._report("an epoch without a GGA: it has no place")
            return None
        try:
            return fix_of(held["GGA"], held.get("GST"), void=rmc is not None and rmc.fields[1] == "V")
        except ValueError as error:
            self._report(f"a fix that cannot be read: {error}")
            return None


def near(time_ns: int, reference_ns: int) -> int:
    """The instant (ns since 1970) with this time of day that is nearest to the reference."""
    return time_ns + DAY_NS * ((reference_ns - time_ns + DAY_NS // 2) // DAY_NS)


def stamps_of(epochs: Sequence[Epoch], first_day_ns: int | None = None) -> list[int] | None:
    """When each epoch was (ns since 1970): by its date where it has one, else nearest to its neighbour.

    first_day_ns  midnight before the first epoch: then no date in the sentences counts
    None where nothing tells the day.
    """
    dated = [epoch.dated_ns for epoch in epochs]
    if first_day_ns is not None:
        dated = [first_day_ns + DAY_NS // 2, *[None] * (len(epochs) - 1)]
    start = next((i for i, own in enumerate(dated) if own is not None), None)
    if start is None:
        return None
    stamps = [0] * len(epochs)

    def walk(indices: Iterable[int], known_ns: int | None) -> None:
        for i in indices:
            own_ns = known_ns if dated[i] is None else dated[i]
            assert own_ns is not None
            stamps[i] = known_ns = near(epochs[i].time_ns, own_ns)

    walk(range(start, len(epochs)), dated[start])
    walk(range(start - 1, -1, -1), stamps[start])
    return stamps


def longest_stretch(stamps: Sequence[int]) -> tuple[int, int]:
    """Where the longest part without a leap of the date begins and ends, as indices [begin, end)."""
    leaps = [i for i in range(1, len(stamps)) if abs(stamps[i] - stamps[i - 1]) > MOST_GAP_NS]
    parts = list(zip([0, *leaps], [*leaps, len(stamps)], strict=True))
    return max(parts, key=lambda part: part[1] - part[0])
