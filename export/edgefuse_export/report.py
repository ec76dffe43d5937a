"""What the export gate found: stages with their checks, worst errors and failures, ready for JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class StageReport:
    """One stage: how many checks ran, the worst figure against its bound (None where it has none), what failed."""

    stage: str
    bound: float | None = None
    checks: int = 0
    worst: float | None = None
    failures: list[str] = field(default_factory=list)

    def check(self, failure: str | None) -> None:
        """Count a check that has no figure."""
        self.checks += 1
        if failure is not None:
            self.failures.append(failure)

    def measure(self, error: float, what: str) -> None:
        """Count a check of an error against the bound; `what` was measured."""
        assert self.bound is not None
        if self.worst is None or not error <= self.worst:
            self.worst = error
        self.check(None if error <= self.bound else f"{what}: max abs error {error:.2e} exceeds {self.bound:.0e}")

    @property
    def passed(self) -> bool:
        return self.checks > 0 and not self.failures

    def as_json(self) -> dict[str, object]:
        finite = self.worst if self.worst is not None and self.worst < float("inf") else None
        return {
            "stage": self.stage,
            "passed": self.passed,
            "checks": self.checks,
            "worst": finite,
            "bound": self.bound,
            "failures": self.failures,
        }


@dataclass(frozen=True, slots=True)
class GateReport:
    """Every stage of the gate, in order; `size_bytes` and `sha256` are the candidate bundle's."""

    stages: tuple[StageReport, ...]
    size_bytes: int
    sha256: str

    @property
    def passed(self) -> bool:
        return all(stage.passed for stage in self.stages)

    @property
    def failures(self) -> list[str]:
        """Every failure as `stage: what`."""
        return [f"{stage.stage}: {failure}" for stage in self.stages for failure in stage.failures]

    def as_json(self) -> dict[str, object]:
        return {
            "passed": self.passed,
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
            "stages": [stage.as_json() for stage in self.stages],
        }


def describe(report: GateReport) -> str:
    """The report as lines for a person."""
    return "\n".join([*_lines(report.stages), f"{report.size_bytes / 1e6:.2f} MB, sha256 {report.sha256}"])


def _lines(stages: Iterable[StageReport]) -> Iterable[str]:
    for stage in stages:
        worst = "" if stage.worst is None else f", worst {stage.worst:.1e} of {stage.bound:.0e}"
        yield f"{'passed' if stage.passed else 'FAILED'}  {stage.stage:<10}{stage.checks:>6} checks{worst}"
        yield from (f"        {failure}" for failure in stage.failures)
