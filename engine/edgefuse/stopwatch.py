"""Stopwatch: where the time of one tick went, stage by stage, on the monotonic clock."""

from __future__ import annotations

import time

from edgefuse.types import NS_PER_MS


class Stopwatch:
    """Laps add up by stage and by part; what lies between the last lap and `total` is counted in the total alone."""

    def __init__(self) -> None:
        self.start_ns = self._last_ns = time.perf_counter_ns()
        self._stages_ns: dict[str, int] = {}

    def lap(self, stage: str, part: str | None = None) -> None:
        """Book the time since the last lap to a stage, and also to a part of it, as `stage.part`."""
        now_ns = time.perf_counter_ns()
        for name in (stage,) if part is None else (stage, f"{stage}.{part}"):
            self._stages_ns[name] = self._stages_ns.get(name, 0) + now_ns - self._last_ns
        self._last_ns = now_ns

    def elapsed_ms(self) -> float:
        """Milliseconds since it was started."""
        return (time.perf_counter_ns() - self.start_ns) / NS_PER_MS

    def total(self) -> dict[str, float]:
        """Stage -> milliseconds, and the whole as `total`."""
        whole_ns = time.perf_counter_ns() - self.start_ns
        return {stage: ns / NS_PER_MS for stage, ns in (*self._stages_ns.items(), ("total", whole_ns))}
