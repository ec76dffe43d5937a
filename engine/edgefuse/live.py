"""Live: a table of what each answer is made from, drawn over itself on a terminal while a run goes on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

from edgefuse.types import NS_PER_S, Result, State, Trust

REDRAWS_A_SECOND = 10
_COLOUR: dict[State, str] = {"fresh": "\033[32m", "held": "\033[33m", "imputed": "\033[35m", "absent": "\033[31m"}
_RESET, _CLEAR_LINE, _UP = "\033[0m", "\033[K", "\033[{}A"


class LiveTable:
    """Draws the newest result through `write`, which takes text for a terminal; no faster than one can read."""

    def __init__(
        self,
        write: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        size: Callable[[], tuple[int, int]] = shutil.get_terminal_size,
    ) -> None:
        self._write, self._clock, self._size = write, clock, size
        self._drawn_s = -1.0
        self._first_ns: int | None = None
        self._height = 0
        self._pending: Result | None = None
        self._length_s: float | None = None
        self._began_s = clock()

    def expect(self, length_s: float | None) -> None:
        """So long is what will be shown, where that is known: then it also says how far it is, and how long still."""
        self._length_s, self._began_s = length_s, self._clock()

    def show(self, result: Result) -> None:
        """A new result; it is drawn now, or replaced by a later one."""
        self._first_ns = result.t_ns if self._first_ns is None else self._first_ns
        self._pending = result
        if self._clock() - self._drawn_s >= 1.0 / REDRAWS_A_SECOND:
            self._draw()

    def above(self, line: str) -> None:
        """A line that stays, above the table."""
        self._erase()
        self._write(f"{line}\n")
        self._draw()

    def close(self) -> None:
        """Draw what has not been drawn, and leave it standing."""
        self._draw()
        self._height = 0

    def _draw(self) -> None:
        if self._pending is None or self._first_ns is None:
            return
        columns, rows = self._size()
        at_s = (self._pending.t_ns - self._first_ns) / NS_PER_S
        lines = [*table(self._pending, at_s, columns), *self._progress(at_s, columns)][: max(1, rows - 1)]
        self._erase()
        self._write("".join(f"{line}{_CLEAR_LINE}\n" for line in lines))
        self._height, self._drawn_s = len(lines), self._clock()

    def _progress(self, at_s: float, columns: int) -> list[str]:
        """How far, how fast, how long still."""
        if not self._length_s or at_s <= 0.0:
            return []
        times = at_s / max(self._clock() - self._began_s, 1e-9)
        left_s = round(max(0.0, self._length_s - at_s) / times)
        share = min(1.0, at_s / self._length_s)
        told = f"{at_s:.1f} of {self._length_s:.1f} s ({share:.0%}), {times:.1f} times as fast as it happened"
        return [f"  {told}, {left_s // 60}:{left_s % 60:02d} left"[:columns]]

    def _erase(self) -> None:
        if self._height:
            self._write(_UP.format(self._height) + "\033[J")
        self._height = 0


def table(result: Result, at_s: float, columns: int = 80) -> list[str]:
    """The result as lines of so many columns at most: what it is and why, then a row a stream."""
    expected = f", expected {result.expected.metric} {result.expected.value:.1%}" if result.expected else ""
    answer = ", ".join(f"{name} {label}" for name, label in result.labels.items())
    why = f" ({result.why})" if result.why else ""
    head = f"{at_s:8.2f} s  {result.mode}{why}  {answer}{expected}"
    names = f"  {'stream':<16}{'state':<9}{'age ms':>9}  {'rung':<6}{'health':<8}reason"
    rows = (_row(name, trust, columns) for name, trust in result.streams.items())
    return [head[:columns], names[:columns], *rows]


def _row(name: str, trust: Trust, columns: int) -> str:
    age = "-" if trust.age_ms is None else f"{trust.age_ms:.0f}"
    row = f"  {name:<16}{trust.state:<9}{age:>9}  {trust.rung or '-':<6}{trust.health:<8}{trust.reason or ''}"
    return row[:columns].replace(f" {trust.state} ", f" {_COLOUR[trust.state]}{trust.state}{_RESET} ", 1)
