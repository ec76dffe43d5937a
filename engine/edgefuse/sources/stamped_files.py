"""The seam for recordings of single files with stamps: played in order, one file in memory at a time."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgefuse.errors import SourceError
from edgefuse.sources.base import Source
from edgefuse.sources.kitti_files import what_failed
from edgefuse.types import NS_PER_S, Array, Sample

LAST_NS = 2**63 - 1
_SECONDS = re.compile(r"(\d{1,10})(?:\.(\d{0,9})\d*)?")
_NANOSECONDS = re.compile(r"\d{1,19}")


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One file to play; the order of the fields is the order of play."""

    stamp_ns: int
    topic: str
    path: Path


class StampedFiles(Source):
    """A recording that keeps no time of arrival: that is the stamp. Subclass it, give `play` its entries, and `read`.

    A file that cannot be read is a `Problem` that names it; SourceError where there is nothing to play, or none of it
    can be read.
    """

    def play(self, entries: Sequence[Entry], place: str) -> None:
        """Say what there is; `place` is what error messages call it."""
        self._place = place
        self._entries = sorted(entries)
        if not self._entries:
            raise self._nothing_usable()

    @abstractmethod
    def read(self, entry: Entry) -> Array:
        """Its payload; OSError or ValueError where it is none."""

    @property
    def length_s(self) -> float:
        return (self._entries[-1].stamp_ns - self._entries[0].stamp_ns) / NS_PER_S

    def samples(self) -> Iterator[Sample]:
        """Every file of the wanted topics that can be read, by stamp."""
        wanted = [entry for entry in self._entries if self.wants(entry.topic)]
        usable = not wanted
        for entry in wanted:
            try:
                payload = self.read(entry)
            except (OSError, ValueError) as error:
                self.report(str(entry.path), what_failed(error))
                continue
            usable = True
            yield Sample(entry.topic, entry.stamp_ns, payload)
        if not usable:
            raise self._nothing_usable()

    def _nothing_usable(self) -> SourceError:
        first = f"; first: {self.problems[0].place}: {self.problems[0].what}" if self.problems else ""
        return SourceError(f"nothing usable in it, {len(self.problems)} problems{first}", place=self._place)


def from_seconds(text: str) -> int | None:
    """`1305031790.645155` in nanoseconds, without rounding down to a float's digits; None where it is no such time."""
    match = _SECONDS.fullmatch(text.strip())
    if match is None:
        return None
    stamp_ns = int(match[1]) * NS_PER_S + int((match[2] or "").ljust(9, "0"))
    return stamp_ns if stamp_ns <= LAST_NS else None


def from_nanoseconds(text: str) -> int | None:
    """A whole number of nanoseconds; None where it is none."""
    return int(text) if _NANOSECONDS.fullmatch(text.strip()) and int(text) <= LAST_NS else None


def inside(folder: Path, name: str) -> Path | None:
    """The path of a file that a list names, relative to the folder; None where it would lead out of it."""
    path = Path(name)
    return None if path.is_absolute() or ".." in path.parts or "\0" in name else folder / path
