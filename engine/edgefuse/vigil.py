"""Vigil: who watches the watchman. Ticks that fall silent are a fault, and changes of mode are told to who listens."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from edgefuse.types import NS_PER_MS, Mode, Result

Listener = Callable[[Mode | None, Result], None]

LOST_TICKS = 10  # times the longest of the recent gaps between ticks, after which nobody has been watching
RECENT = 64  # gaps
LEAST_NS = 500 * NS_PER_MS  # of silence, whatever the rhythm: ticks may come in bursts


class Vigil:
    """The rhythm of the ticks, and the newest answer.

    max_gap_ms  the longest silence between two ticks; LOST_TICKS of the longest recent gap where it is not said
    """

    def __init__(self, max_gap_ms: float | None) -> None:
        self._max_gap_ms = max_gap_ms
        self._gaps_ns: deque[int] = deque(maxlen=RECENT)
        self._last: Result | None = None
        self.last_ns: int | None = None  # event time of the newest tick

    def tick(self, t_ns: int) -> None:
        """A tick has come; ticks never go back."""
        if self.last_ns is not None and t_ns > self.last_ns:
            self._gaps_ns.append(t_ns - self.last_ns)
        self.last_ns = t_ns

    def silent(self, t_ns: int) -> bool:
        """Have the ticks been silent for too long at t_ns?"""
        return self.last_ns is not None and self._too_long(t_ns - self.last_ns)

    def current(self, t_ns: int) -> Result | None:
        """The newest answer, while it may be relied on."""
        last = self._last
        return None if last is None or self._too_long(t_ns - last.t_ns) else last

    def _too_long(self, gap_ns: int) -> bool:
        if self._max_gap_ms is not None:
            return gap_ns > self._max_gap_ms * NS_PER_MS
        return bool(self._gaps_ns) and gap_ns > max(LOST_TICKS * max(self._gaps_ns), LEAST_NS)

    def answered(self, result: Result, listeners: list[Listener]) -> None:
        """Keep an answer, and tell the listeners where its mode is another than that of the one before."""
        before, self._last = self._last, result
        if before is not None and before.mode == result.mode:
            return
        for listener in tuple(listeners):
            _call(listener, before.mode if before else None, result)


def _call(listener: Listener, before: Mode | None, result: Result) -> None:
    try:
        listener(before, result)
    except Exception:
        logging.getLogger("edgefuse").exception("a listener to changes of mode failed")
