"""The report of a bench as text for a person: a table for each scenario, then circumstances and doubts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgefuse.bench.report import Report
from edgefuse.bench.section import Section
from edgefuse.bench.timing import PERCENTILES

COLUMNS = (*(f"p{q:g}_ms" for q in PERCENTILES), "max_ms", "jitter_ms")
TOLD = ("cpu", "board", "cores", "threads", "kernels", "governor", "power_mode", "turbo", "cpu_quota")
NAME = 44


def describe(report: Report) -> str:
    """What was measured on, and why it may be doubted."""
    about = report.circumstances
    lines = [f"bundle {about['bundle']} {about['bundle_version']} ({about['sha256'][:12]})"]
    lines += [", ".join(f"{key} {about[key]}" for key in TOLD if key in about)]
    return "\n".join([*lines, *(f"doubt: {warning}" for warning in report.warnings)])


def describe_section(section: Section) -> str:
    """Timings, ratios, stages, figures, what was left out."""
    return "\n".join([section.title, *_lines(section), ""])


def _lines(section: Section) -> Iterator[str]:
    document = section.as_json()
    if "timings" in document:
        yield from grid("", COLUMNS, document["timings"])
        few = {name: t["too_few"] for name, t in document["timings"].items() if t["too_few"]}
        yield from (f"  {' '.join(gone)} of {names}: too few answers" for gone, names in _together(few))
    for name, ratio in document.get("ratios", {}).items():
        if ratio:
            p99 = f", p99 {ratio['p99']:.2f}" if "p99" in ratio else ""
            yield f"  {name}: {ratio['p50']:.2f} (by tenths {ratio['low']:.2f} to {ratio['high']:.2f}){p99}"
    for part in ("stages", "figures"):
        if part in document:
            yield ""
            yield from grid(part, columns_of(document[part]), document[part])
    yield from (f"  {name}: left out, {why}" for name, why in document.get("left_out", {}).items())


def _together(few: Mapping[str, Sequence[str]]) -> Iterator[tuple[Sequence[str], str]]:
    """Names that lack the same percentiles in one line."""
    for gone in dict.fromkeys(tuple(g) for g in few.values()):
        names = [name for name, g in few.items() if tuple(g) == gone]
        yield gone, "all" if len(names) == len(few) and len(names) > 1 else ", ".join(names)


def grid(corner: str, columns: Sequence[str], rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Rows of numbers under their names; `-` where a row has none."""
    shown = [column for column in columns if column in columns_of(rows)]
    width = min(NAME, max(len(name) for name in (corner, *rows)) + 2)
    yield f"  {corner:<{width}}" + "".join(f"{column.removesuffix('_ms'):>{_wide(column)}}" for column in shown)
    for name, row in rows.items():
        yield f"  {name:<{width}}" + "".join(f"{cell(row.get(column)):>{_wide(column)}}" for column in shown)


def columns_of(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Every column that some row has, in the order in which they come."""
    return list(dict.fromkeys(key for row in rows.values() for key in row))


def cell(value: object) -> str:
    """A value as short as it may be said."""
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"
    return "-" if value is None else str(value)


def _wide(column: str) -> int:
    return max(10, len(column) + 2)
