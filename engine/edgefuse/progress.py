"""Progress of a long task on one line of a terminal: how far, how fast, how long still. Elsewhere it says nothing."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TextIO

EVERY_S = 0.2


class Progress:
    """Use it in a `with` block, which leaves a clean line behind however it ends; `step` once for each thing done."""

    def __init__(self, total: int, unit: str, out: TextIO | None = None) -> None:
        self._total, self._unit = total, unit
        self._out = out or sys.stderr
        self._shown = self._out.isatty()
        self._done = 0
        self._start_s = self._last_s = time.monotonic()

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        now_s = time.monotonic()
        if self._shown and (now_s - self._last_s >= EVERY_S or self._done == self._total):
            self._last_s = now_s
            self._write(self._line(now_s - self._start_s))

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._shown:
            self._write("")

    def _line(self, spent_s: float) -> str:
        rate = self._done / max(spent_s, 1e-9)
        left_s = round((self._total - self._done) / rate)
        return f"{self._done} of {self._total} {self._unit}, {rate:.1f}/s, {left_s // 60}:{left_s % 60:02d} left"

    def _write(self, text: str) -> None:
        self._out.write(f"\r\x1b[K{text}")
        self._out.flush()
