"""The seam for sinks: what takes results, and if it likes the samples that they were made from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import TracebackType

from edgefuse.types import Result, Sample


class Sink(ABC):
    """Use it in a `with` block; what it was given is whole at its end, or kept as far as it went and said to be so.

    Every method raises a SinkError that names the place where something cannot be stored or sent.
    """

    @abstractmethod
    def __enter__(self) -> Sink:
        """Open it."""

    @abstractmethod
    def write(self, result: Result, truth: Mapping[str, str] | None = None) -> None:
        """Take a result, and the right answer by output where it is known."""

    def sample(self, stream: str, sample: Sample) -> None:  # noqa: B027 (most sinks take no samples)
        """Take a sample of one of the engine's streams."""

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it; with an exception, what is there so far is kept."""
