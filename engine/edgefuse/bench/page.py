"""The page of a bench: what decides the numbers, then each scenario with its distributions, ratios and stages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgefuse.bench.report import Report
from edgefuse.bench.section import Section
from edgefuse.bench.text import COLUMNS, cell, columns_of
from edgefuse.bench.timing import Timing
from edgefuse.drawing import INK, WIDTH_IN, drawn
from edgefuse.page import Block, Cell, Figure, Heading, Paragraph, Table, Text, check_writable, write_page

COLOURS = ("#2f7fc1", "#d9822b", "#3a9d5d", "#a4508b", "#b8402a", "#6a67ce")
MOST_DRAWN = 6  # contenders in one figure
POINTS = 400


def page_writer(out: Path) -> Callable[[Report], None]:
    """What writes the page to `out`; fails now, not after the work, where it could be neither drawn nor written."""
    import matplotlib  # noqa: F401

    check_writable(out)
    return lambda report: write_page(out, f"Bench of {report.circumstances['bundle']}", list(blocks_of(report)))


def blocks_of(report: Report) -> Iterator[Block]:
    """Everything on the page, in the order in which it is read. Needs Matplotlib."""
    yield Paragraph(_words(report))
    yield from (Paragraph(f"Doubt: {warning}.") for warning in report.warnings)
    for section in report.sections.values():
        yield from _section(section)
    yield Heading("What decides the numbers")
    yield _circumstances(report.circumstances)


def _words(report: Report) -> str:
    fresh = report.sections.get("fresh")
    about = report.circumstances
    on = f"{about.get('cpu', about['machine'])}, {about['cores']} cores, {about['threads']} threads"
    if fresh is None:
        return f"Measured on {on}."
    named = ((ratio, name.partition(" / ")[2]) for name, ratio in fresh.ratios.items() if ratio)
    ratios = [f"{ratio['p50']:.2f} times as long as {rival}" for ratio, rival in named]
    return f"With all streams fresh an answer took {', '.join(ratios)} (medians of one interleaved run, on {on})."


def _section(section: Section) -> Iterator[Block]:
    document = section.as_json()
    yield Heading(section.title)
    if section.timings:
        shown = list(section.timings.values())[:MOST_DRAWN]
        of = f"; the first {MOST_DRAWN} of {len(section.timings)}" if len(section.timings) > MOST_DRAWN else ""
        caption = f"How many answers took longer: each curve ends at its slowest; both axes logarithmic{of}."
        yield Figure(
            caption, f"distributions of {', '.join(t.name for t in shown)}", drawn(partial(_tails, shown=shown))
        )
        yield _grid("Milliseconds", COLUMNS, document["timings"])
    if "ratios" in document:
        yield _grid("Ratios of this run, with the spread by tenths", ("p50", "low", "high", "p99"), document["ratios"])
    for part, caption in (("stages", "Where the time goes"), ("figures", "Figures")):
        if part in document:
            yield _grid(caption, columns_of(document[part]), document[part])
    yield from (Paragraph(f"{name} was left out: {why}.") for name, why in section.left_out.items())


def _tails(pyplot: Any, shown: Sequence[Timing]) -> Any:
    """Complementary distribution functions."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    figure, axis = pyplot.subplots(figsize=(WIDTH_IN, 2.8))
    for timing, colour in zip(shown, COLOURS, strict=False):
        ordered = np.sort(timing.ms)
        kept = np.unique(np.geomspace(1, ordered.size, POINTS).astype(int)) - 1  # finer towards the slowest
        axis.plot(ordered[::-1][kept], (kept + 1) / ordered.size, color=colour, label=timing.name, linewidth=1.4)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("milliseconds")
    axis.set_ylabel("share that took longer")
    axis.grid(visible=True, color=INK, alpha=0.15)
    axis.legend(fontsize=7, frameon=False)
    return figure


def _grid(caption: str, columns: Sequence[str], rows: Mapping[str, Mapping[str, Any]]) -> Table:
    shown = [column for column in columns if column in columns_of(rows)]
    body: list[tuple[Text, ...]] = [
        (name, *(Cell(cell(row.get(column)), number=True) for column in shown)) for name, row in rows.items()
    ]
    return Table(caption, ("", *(column.removesuffix("_ms") for column in shown)), tuple(body))


def _circumstances(about: Mapping[str, Any]) -> Table:
    return Table("As read before and after the run", ("", ""), tuple((key, str(value)) for key, value in about.items()))
