"""Stopwatch: where the time of one tick went, stage by stage, on the monotonic clock."""

from __future__ import annotations

import time

from edgefuse.types import NS_PER_MS


class Stopwatch:
    """Laps add up by stage and by part; what lies between the last lap and `total` is counted in the total alone."""

    def __init__(self) -> None:
        self.start_ns = self._last_ns = time.perf_counter_ns()
        self._laps: list[tuple[str, str | None, int]] = []

    def lap(self, stage: str, part: str | None = None) -> None:
        """Book the time since the last lap to a stage, and also to a part of it, as `stage.part`."""
        now_ns = time.perf_counter_ns()
        self._laps.append((stage, part, now_ns - self._last_ns))
        self._last_ns = now_ns

    def elapsed_ms(self) -> float:
        """Milliseconds since it was started."""
        return (time.perf_counter_ns() - self.start_ns) / NS_PER_MS

    def total(self) -> dict[str, float]:
        """Stage -> milliseconds, and the whole as `total`."""
        whole_ns = time.perf_counter_ns() - self.start_ns
        told: dict[str, float] = {}
        for stage, part, ns in self._laps:
            for name in (stage,) if part is None else (stage, f"{stage}.{part}"):
                told[name] = told.get(name, 0.0) + ns / NS_PER_MS
        told["total"] = whole_ns / NS_PER_MS
        return told
