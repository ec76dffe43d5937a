"""The seam for sources: one class with one method, `samples`, in order of arrival on the engine clock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edgefuse.types import Sample


@dataclass(frozen=True, slots=True)
class Problem:
    """Something a source could not read and skipped: `what` is wrong at `place` (a file, a topic)."""

    place: str
    what: str


class Source(ABC):
    """A stream of stamped samples. Subclass it, give `samples`, and the engine can run on it.

    domain    the world the samples come from, such as "site" or "kitti"; compared with the bundle's
    topics    topic name -> modality kind, as far as the source knows before it is read
    problems  what was skipped so far; grows while `samples` is consumed, never silently
    """

    domain: str = "unknown"

    def __init__(self) -> None:
        self.topics: dict[str, str] = {}
        self.problems: list[Problem] = []

    @abstractmethod
    def samples(self) -> Iterator[Sample]:
        """Yield every sample, `arrived_ns` never decreasing; `Sample.stream` holds the topic name."""

    def truth(self, t_ns: int) -> Mapping[str, str] | None:
        """The right answer at t_ns by output name, where the source knows it."""
        return None
