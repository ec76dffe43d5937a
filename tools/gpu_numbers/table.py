"""The figures as text for a person: a table a section, a line a figure with its goal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .figures import CLOCKS, MEASURED

NAME, CELL = 46, 28


def describe_facts(facts: Mapping[str, Any]) -> str:
    """What was measured on."""
    words = (f"{name.replace('_', ' ')}: {'not told' if value is None else value}" for name, value in facts.items())
    return "\n".join(words)


def describe(section: Mapping[str, Any]) -> str:
    """A section as its JSON says it."""
    return "\n".join(["", section["title"], *_lines(section)])


def _lines(section: Mapping[str, Any]) -> Iterator[str]:
    if section["failed"] is not None:
        yield f"  WRONG: {section['failed']}"
        return
    yield f"  {section['how']}"
    yield f"  {'':<{NAME}}" + "".join(f"{f'by {clock}, us':>{CELL}}" for clock in CLOCKS)
    for row in section["rows"]:
        yield _row(row)
    for row in section["rows"]:
        yield from (f"  {row['name']}: {name} {value:,.10g}" for name, value in row["counts"].items())
    yield from map(_figure, section["figures"])


def _row(row: Mapping[str, Any]) -> str:
    if row["status"] != MEASURED:
        return f"  {row['name']:<{NAME}}  {_status(row)}"
    spreads = (row[f"by_{clock}_us"] for clock in CLOCKS)
    return f"  {row['name']:<{NAME}}" + "".join(f"{'-' if s is None else _spread(s):>{CELL}}" for s in spreads)


def _figure(own: Mapping[str, Any]) -> str:
    told = f"{_spread(own)} {own['unit']}".rstrip() if own["status"] == MEASURED else _status(own)
    met = {True: ", met", False: ", NOT met", None: ""}[own["met"]]
    goal = "" if own["goal"] is None else f"; goal: {own['goal']}{met}"
    return f"  {own['name']}: {told}{goal}"


def _status(own: Mapping[str, Any]) -> str:
    return f"{own['status']}: {own['why']}"


def _spread(own: Mapping[str, Any]) -> str:
    return f"{own['median']:.5g} ({own['p10']:.4g}..{own['p90']:.4g})"
