"""Compare: two reports of a bench: what keeps them from being compared, else ratios with intervals."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Struct, field

from edgefuse.bundle import strict_json
from edgefuse.errors import BundleError, UsageError
from edgefuse.schema import NotNegative, validate

# What must be the same for numbers to differ by the software alone; and what may differ, but is said.
SAME = (
    *("cpu", "board", "machine", "cores", "pinned_to", "cpu_quota", "governor", "power_mode", "turbo"),
    *("threads", "sha256"),
)
SAID = ("kernels", "kernel", "python", "versions", "thread_pool", "providers", "profile")
RESAMPLES = 2000


class _Timing(Struct):
    tenths_ms: Annotated[list[NotNegative], Meta(min_length=1)]


class _Scenario(Struct):
    timings: dict[str, _Timing] = field(default_factory=dict)


class _Report(Struct):
    """As much of a report as is read here."""

    version: Literal[1] = field(name="schema")
    circumstances: dict[str, Any]
    scenarios: dict[str, _Scenario]


@dataclass(frozen=True, slots=True)
class Row:
    """One contender of one scenario: the second report's median over the first's, with a 95 % interval."""

    scenario: str
    contender: str
    ratio: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        if self.low > 1.0:
            return "slower"
        return "faster" if self.high < 1.0 else "no difference shown"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Why two reports cannot be compared; else the rows, and what differs all the same."""

    refused: tuple[str, ...]
    differs: tuple[str, ...]
    rows: tuple[Row, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def read_report(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A report as `edgefuse bench --json` prints it: the last line of the file. UsageError naming what is wrong."""
    place = os.fspath(path)
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError as error:
        raise UsageError(f"{place}: cannot be read: {error.strerror or error}") from error
    try:
        document: dict[str, Any] = strict_json(lines[-1] if lines else b"", place)
        validate(_Report, document)
    except (BundleError, ValueError) as error:
        raise UsageError(f"{place}: its last line is no report of `edgefuse bench --json`") from error
    return document


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> Comparison:
    """The second report against the first."""
    before, after = first["circumstances"], second["circumstances"]
    refused = tuple(_differences(before, after, SAME))
    rows = () if refused else tuple(_rows(first["scenarios"], second["scenarios"]))
    if not refused and not rows:
        refused = ("they have no scenario in common",)
    return Comparison(refused, tuple(_differences(before, after, SAID)), rows)


def _differences(before: Mapping[str, Any], after: Mapping[str, Any], keys: Sequence[str]) -> Iterator[str]:
    for key in keys:
        if before.get(key) != after.get(key):
            yield f"{key}: {before.get(key, 'not told')} and {after.get(key, 'not told')}"


def _rows(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Row]:
    for name, scenario in first.items():
        others = second.get(name, {}).get("timings", {})
        for contender, timing in scenario.get("timings", {}).items():
            if contender in others and min(*timing["tenths_ms"], *others[contender]["tenths_ms"]) > 0.0:
                yield _row(name, contender, timing, others[contender])


def _row(scenario: str, contender: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Row:
    """The interval: ratios of medians over resampled tenths of both runs (bootstrap, Efron and Tibshirani 1993)."""
    rng = np.random.default_rng(0)
    a, b = (np.array(timing["tenths_ms"], float) for timing in (first, second))
    drawn = [np.median(x[rng.integers(x.size, size=(RESAMPLES, x.size))], axis=1) for x in (a, b)]
    low, high = np.quantile(drawn[1] / drawn[0], [0.025, 0.975])
    ratio = float(np.median(b) / np.median(a))
    return Row(scenario, contender, round(ratio, 4), round(float(low), 4), round(float(high), 4))


def describe(found: Comparison) -> str:
    """For a terminal."""
    if found.refused:
        return "\n".join(["not comparable:", *(f"  {line}" for line in found.refused)])
    lines = [f"differs: {line}" for line in found.differs]
    lines += [f"  {'second / first':<16}{'95 %':<18}contender"]
    for row in found.rows:
        span = f"[{row.low:.3f}, {row.high:.3f}]"
        lines.append(f"  {row.ratio:<16.3f}{span:<18}{row.scenario}: {row.contender}: {row.verdict}")
    return "\n".join(lines)
