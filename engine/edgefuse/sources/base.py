"""The seam for sources: one class with one method, `samples`, in order of arrival on the engine clock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from edgefuse.types import Sample


class Problem(Struct, frozen=True):
    """Something a source could not read and skipped, so often: `what` is wrong at `place` (a file, a topic)."""

    place: str
    what: str
    count: int = 1


class Source(ABC):
    """A stream of stamped samples. Subclass it, give `samples`, and the engine can run on it.

    domain    the world the samples come from, such as "site" or "kitti"; compared with the bundle's
    topics    topic name -> modality kind, as far as the source knows before it is read
    problems  what was skipped so far; grows while `samples` is consumed, never silently
    live      samples come when they come, on the engine clock of `edgefuse.sources.clock.now_ns`; else as recorded
    """

    domain: str = "unknown"
    live: bool = False

    def __init__(self) -> None:
        self.topics: dict[str, str] = {}
        self.problems: list[Problem] = []
        self._reported_at: dict[tuple[str, str], int] = {}  # where in `problems`, which only grows
        self._wanted: frozenset[str] | None = None

    @abstractmethod
    def samples(self) -> Iterator[Sample]:
        """Yield every sample, `arrived_ns` never decreasing; `Sample.stream` holds the topic name."""

    @property
    def length_s(self) -> float | None:
        """Of a recording, from its first to its last arrival, where that can be told before it is played."""
        return None

    def want(self, topics: Iterable[str]) -> None:
        """Say that samples of these topics alone will be looked at; a source may then leave others unread."""
        self._wanted = frozenset(topics)

    def wants(self, topic: str) -> bool:
        """Will samples of this topic be looked at?"""
        return self._wanted is None or topic in self._wanted

    def report(self, place: str, what: str, count: int = 1) -> None:
        """Note that something was skipped, so many times; one problem however often it comes."""
        at = self._reported_at.setdefault((place, what), len(self.problems))
        if at == len(self.problems):
            self.problems.append(Problem(place, what, count))
        else:
            self.problems[at] = replace(self.problems[at], count=self.problems[at].count + count)

    def close(self) -> None:  # noqa: B027 (most sources wait for nothing)
        """End what `samples` waits for: a live source's iterator then stops. From any thread."""

    def truth(self, t_ns: int) -> Mapping[str, str] | None:
        """The right answer at t_ns by output name, where the source knows it."""
        return None
