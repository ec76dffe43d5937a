"""The gate of one stream, a state machine: quick to leave, slow to come back, no way to stay out for ever."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from edgefuse.types import LEVEL, Reason


class Gate(Struct, frozen=True):
    """Whether a stream is let in: `fault` is why not, `good` how many good samples have come since.

    One fault closes the gate: a bad sample, silence beyond the greatest age, or a monitor that did not look.
    `recover_samples` good samples in a row open it. A reason of level `ok` or `warn` concerns its sample only and
    leaves the gate alone.
    """

    fault: Reason | None = None
    good: int = 0

    def after(self, reason: Reason | None, recover_samples: int) -> Gate:
        """The gate after a good sample (None) or an event with a reason."""
        if reason is not None:
            return Gate(reason) if LEVEL[reason] in ("error", "stale") else self
        if self.fault is None or self.good + 1 >= recover_samples:
            return Gate()
        return replace(self, good=self.good + 1)
