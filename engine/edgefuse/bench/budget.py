"""Budget: what a bench must show for a build to pass: ratios and shares within declared ranges, never times."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta

from edgefuse.config import load_as
from edgefuse.schema import Finite, Strict


class Limit(Strict):
    """One figure of one scenario, and the range that it must lie in.

    ratio    `a / b` of the scenario's contenders; of: p50 or p99
    stage    a stage of the scenario, whose share of the whole is meant
    figure   a row of the scenario's figures; of: its column
    """

    scenario: str
    ratio: str | None = None
    stage: str | None = None
    figure: str | None = None
    of: str = "p50"
    at_least: Finite | None = None
    at_most: Finite | None = None

    def __post_init__(self) -> None:
        if sum(part is not None for part in (self.ratio, self.stage, self.figure)) != 1:
            raise ValueError("one of ratio, stage and figure names what is limited")
        if self.at_least is None and self.at_most is None:
            raise ValueError("at_least or at_most says where it must lie")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"at_least {self.at_least:g} is above at_most {self.at_most:g}")

    @property
    def name(self) -> str:
        what = self.ratio or self.figure
        return f"{self.scenario}: share of {self.stage}" if what is None else f"{self.scenario}: {what}, {self.of}"

    def value(self, scenarios: Mapping[str, Any]) -> float | None:
        """The figure in a report's scenarios; None where it is not there."""
        parts: Mapping[str, Any] = scenarios.get(self.scenario, {})
        if self.stage is not None:
            found = parts.get("stages", {}).get(self.stage, {}).get("share")
        else:
            table = "ratios" if self.ratio is not None else "figures"
            found = parts.get(table, {}).get(self.ratio or self.figure, {}).get(self.of)
        return float(found) if isinstance(found, int | float) else None


class Budget(Strict):
    """Limits, all of which must hold."""

    limits: Annotated[tuple[Limit, ...], Meta(min_length=1)]


@dataclass(frozen=True, slots=True)
class Check:
    """A limit and what was found; kept only where the figure is there and in its range."""

    limit: Limit
    value: float | None

    @property
    def kept(self) -> bool:
        limit, value = self.limit, self.value
        if value is None:
            return False
        return (limit.at_least is None or value >= limit.at_least) and (limit.at_most is None or value <= limit.at_most)

    def as_json(self) -> dict[str, Any]:
        return {"limit": self.limit.name, "value": self.value, "kept": self.kept}


def load_budget(path: str | os.PathLike[str]) -> Budget:
    """Read a YAML budget; a ConfigError names the file and the key that is wrong."""
    return load_as(Budget, path)


def checked(budget: Budget, scenarios: Mapping[str, Any]) -> list[Check]:
    """Every limit against a report's scenarios, JSON-ready as they are."""
    return [Check(limit, limit.value(scenarios)) for limit in budget.limits]


def describe(checks: Sequence[Check]) -> Iterator[str]:
    """A line for each limit."""
    for check in checks:
        limit = check.limit
        spans = [f"at least {limit.at_least:g}"] if limit.at_least is not None else []
        spans += [f"at most {limit.at_most:g}"] if limit.at_most is not None else []
        found = "is not in the report" if check.value is None else f"is {check.value:g}"
        yield f"{'kept  ' if check.kept else 'BROKEN'}  {limit.name} {found}, {' and '.join(spans)}"
