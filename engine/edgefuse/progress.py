"""Progress of a long task on one line of a terminal: how far, how fast, how long still. Elsewhere it says nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from types import TracebackType
from typing import TextIO, TypeVar

EVERY_S = 0.2
T = TypeVar("T")


class Progress:
    """Use it in a `with` block, which leaves a clean line behind however it ends; `step` once for each thing done.

    Ctrl-C ends the block and no more than that where anything is done by then: `stopped` says so afterwards, and what
    is done can be told. Where nothing is, it goes on as a KeyboardInterrupt.

    total  of the things, or seconds, to be done; None where nobody knows
    done   of them, so far
    """

    def __init__(self, total: float | None, unit: str, out: TextIO | None = None) -> None:
        self.stopped = False
        self._total, self._unit = total, unit
        self._out = out or sys.stderr
        self._shown = self._out.isatty()
        self.done = 0.0
        self._start_s = self._last_s = time.monotonic()

    def step(self) -> None:
        """One more is done."""
        self.reach(self.done + 1)

    def reach(self, done: float) -> None:
        """So much is done."""
        self.done = done
        now_s = time.monotonic()
        if self._shown and (now_s - self._last_s >= EVERY_S or self.done == self._total):
            self._last_s = now_s
            self._write(self._line(now_s - self._start_s))

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        if self._shown:
            self._write("")
        self.stopped = kind is KeyboardInterrupt and self.done > 0
        return self.stopped

    def _line(self, spent_s: float) -> str:
        rate = self.done / max(spent_s, 1e-9)
        if self._total is None:
            return f"{self.done:.0f} {self._unit}, {rate:.1f}/s"
        left_s = round(max(0.0, self._total - self.done) / max(rate, 1e-9))
        told = f"{self.done:.0f} of {self._total:.0f} {self._unit}"
        return f"{told}, {rate:.1f}/s, {left_s // 60}:{left_s % 60:02d} left"

    def _write(self, text: str) -> None:
        self._out.write(f"\r\x1b[K{text}")
        self._out.flush()


def until_stopped(things: Iterable[T]) -> tuple[list[T], bool]:
    """All of the things, or those that were there when Ctrl-C came, and whether it did; where none is, it goes on."""
    there: list[T] = []
    try:
        there.extend(things)
    except KeyboardInterrupt:
        if not there:
            raise
        return there, True
    return there, False
