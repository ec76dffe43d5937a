"""Vigil: who watches the watchman. Ticks that fall silent are a fault, and changes of mode are told to who listens."""

from __future__ import annotations

import logging
from collections.abc import Callable

from edgefuse.pace import Pace
from edgefuse.types import NS_PER_MS, Mode, Result

Listener = Callable[[Mode | None, Result], None]

LOST_TICKS = 10  # periods of the ticks' own after which nobody has been watching


class Vigil:
    """The pace of the ticks, and the newest answer.

    max_gap_ms  the longest silence between two ticks; LOST_TICKS of their learned periods where it is not said
    """

    def __init__(self, max_gap_ms: float | None) -> None:
        self._max_gap_ms = max_gap_ms
        self._pace = Pace()
        self._last: Result | None = None

    @property
    def last_ns(self) -> int | None:
        """Event time of the newest tick."""
        return self._pace.last_ns

    def tick(self, t_ns: int) -> None:
        """A tick has come; ticks never go back."""
        if t_ns != self.last_ns:
            self._pace.see(t_ns)

    def silent(self, t_ns: int) -> bool:
        """Have the ticks been silent for too long at t_ns?"""
        if self._max_gap_ms is not None and self.last_ns is not None:
            return t_ns - self.last_ns > self._max_gap_ms * NS_PER_MS
        return self._pace.silent(t_ns, LOST_TICKS)

    def current(self, t_ns: int) -> Result | None:
        """The newest answer, while it may be relied on."""
        return None if self.silent(t_ns) else self._last

    def answered(self, result: Result, listeners: list[Listener]) -> None:
        """Keep an answer, and tell the listeners where its mode is another than that of the one before."""
        before, self._last = self._last, result
        if before is not None and before.mode == result.mode:
            return
        for listener in listeners:
            _call(listener, before.mode if before else None, result)


def _call(listener: Listener, before: Mode | None, result: Result) -> None:
    try:
        listener(before, result)
    except Exception:
        logging.getLogger("edgefuse").exception("a listener to changes of mode failed")
