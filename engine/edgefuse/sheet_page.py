"""The page of a bundle: how good it is with each subset of its streams, at which ages, and what each is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgefuse.bundle import Bundle
from edgefuse.datasheet import Datasheet, SubsetFigure, read_datasheet
from edgefuse.drawing import INK, WIDTH_IN, drawn
from edgefuse.errors import UsageError
from edgefuse.page import Block, Cell, Figure, Heading, Paragraph, Table, Text, check_writable, write_page
from edgefuse.shapley import MAX_PLAYERS, shapley

COLOURS = ("#2f7fc1", "#d9822b", "#3a9d5d", "#a4508b", "#7b838c", "#b8402a", "#6a67ce", "#8a7a2f")

MOST_LABELLED, LABELS_HIGH = 15, 24  # subsets; how many labels stand on one another over the height of the figure


def write_sheet(out: Path, bundle: Bundle) -> None:
    """Write the page of a bundle; UsageError where it has no datasheet. Needs Matplotlib."""
    sheet = read_datasheet(bundle)
    if sheet is None:
        raise UsageError(f"inspect: {bundle.path} has no datasheet to draw")
    check_writable(out)
    write_page(out, f"{bundle.manifest.name} {bundle.manifest.bundle_version}: what is lost", blocks_of(bundle, sheet))


def blocks_of(bundle: Bundle, sheet: Datasheet) -> list[Block]:
    """Everything on the page, in the order in which it is read."""
    names = bundle.manifest.stream_names
    blocks: list[Block] = [Paragraph(_words(sheet, names))]
    if sheet.subset_trained is False:
        blocks.append(
            Paragraph("The model was not trained to answer from subsets: figures without a stream show that.")
        )
    blocks += [
        Heading("With each subset of the streams"),
        Figure(_caption(sheet), f"{sheet.metric} of every subset", drawn(partial(_lattice, sheet=sheet, names=names))),
        _subsets(sheet),
    ]
    if worth := worths(sheet, names, _chance(bundle, sheet)):
        blocks += [Heading("What each stream is worth"), _worth(worth, sheet)]
    if sheet.ages:
        figure = drawn(partial(_ages, sheet=sheet, names=names))
        blocks += [Heading("When a sample grows old"), Figure(_AGES, f"{sheet.metric} by age", figure)]
    return blocks + ([Heading("What stands in"), _rungs(sheet)] if sheet.rungs else [])


_AGES = "One stream's sample older than the others', with 95 % intervals; dotted: without that stream."


def worths(sheet: Datasheet, names: Sequence[str], chance: float | None) -> dict[str, float]:
    """Stream -> its Shapley value in the metric over all subsets, against guessing.

    Empty where some subsets are unmeasured, or nobody knows what guessing gets.
    """
    known = {frozenset(f.streams): f.value for f in sheet.subsets}
    if chance is None or len(names) > MAX_PLAYERS or len(known) < (1 << len(names)) - 1:
        return {}
    values = [
        known[frozenset(n for i, n in enumerate(names) if mask >> i & 1)] if mask else chance
        for mask in range(1 << len(names))
    ]
    return dict(zip(names, shapley(np.array(values)).tolist(), strict=True))


def _chance(bundle: Bundle, sheet: Datasheet) -> float | None:
    """What guessing evenly among the classes gets; None of an output without classes."""
    outputs = {o.name: o for o in bundle.manifest.head.outputs}
    output = outputs.get(sheet.output or "", bundle.manifest.head.outputs[0])
    return 1.0 / len(output.labels) if output.labels else None


def _words(sheet: Datasheet, names: Sequence[str]) -> str:
    known = {frozenset(f.streams): f for f in sheet.subsets}
    whole = known.get(frozenset(names))
    if whole is None:
        return f"{sheet.metric} of {len(sheet.subsets)} subsets, measured on {sheet.split}."
    lost = {n: known.get(frozenset(names) - {n}) for n in names}
    worst = max((n for n, f in lost.items() if f), key=lambda n: abs(whole.value - _value(lost[n])), default=None)
    told = "" if worst is None else f" The loss of {worst} alone costs most: {_value(lost[worst]):.3f} without it."
    figure = f"{whole.value:.3f} ({whole.low:.3f} to {whole.high:.3f}, n = {whole.n})"
    return f"With all streams the {sheet.metric} is {figure}, measured on {sheet.split}.{told}"


def _value(figure: SubsetFigure | None) -> float:
    return float("nan") if figure is None else figure.value


def _caption(sheet: Datasheet) -> str:
    return f"{sheet.metric} by how many streams are present, with 95 % intervals; a line leads to each with one more"


def _subsets(sheet: Datasheet) -> Table:
    rows = tuple(_subset_row(f) for f in sheet.subsets)
    columns = ("streams", sheet.metric, "95 %", "n", "calibration error", "T", "ms")
    return Table(f"Latencies on {sheet.latency_of or 'no machine'}", columns, rows)


def _subset_row(f: SubsetFigure) -> tuple[Text, ...]:
    numbers = (
        f"{f.value:.3f}",
        f"{f.low:.3f} to {f.high:.3f}",
        f"{f.n}" if f.recordings is None else f"{f.n} of {f.recordings} recordings",
        "" if f.ece is None else f"{f.ece:.3f}",
        f"{f.temperature:.2f}",
        "" if f.latency_ms is None else f"{f.latency_ms:.2f}",
    )
    return (", ".join(f.streams), *(Cell(text, number=True) for text in numbers))


def _worth(worth: Mapping[str, float], sheet: Datasheet) -> Table:
    caption = f"Part of the {sheet.metric} that each stream makes, on average over all orders (exact Shapley values)"
    return Table(caption, ("stream", "worth"), tuple((n, Cell(f"{w:+.3f}", number=True)) for n, w in worth.items()))


def _rungs(sheet: Datasheet) -> Table:
    values: dict[str, list[float]] = {}
    for figure in sheet.rungs:
        values.setdefault(figure.rung, []).append(figure.value)
    rows = tuple((rung, Cell(f"{np.mean(known):.3f}", number=True)) for rung, known in values.items())
    return Table(f"Mean {sheet.metric} over the subsets in which a stream is absent", ("rung", sheet.metric), rows)


def _lattice(pyplot: Any, sheet: Datasheet, names: Sequence[str]) -> Any:
    figure, axes = pyplot.subplots(figsize=(WIDTH_IN, 4.2))
    at = {frozenset(f.streams): f for f in sheet.subsets}
    place = {s: len(s) + 0.5 * (k + 1) / (sum(len(t) == len(s) for t in at) + 1) - 0.25 for k, s in _ranked(at)}
    for some, f in at.items():
        for more in (some | {n} for n in names if n not in some):
            if more in at:
                axes.plot(
                    [place[some], place[more]], [f.value, at[more].value], color=INK, alpha=0.15, lw=0.7, zorder=1
                )
        axes.errorbar(place[some], f.value, [[f.value - f.low], [f.high - f.value]], fmt="o", ms=4, color=COLOURS[0])
    if len(at) <= MOST_LABELLED:
        for some, height in _apart(at).items():
            label = "+".join(n[:3] for n in at[some].streams)
            axes.annotate(label, (len(some) + 0.24, height), fontsize=6, va="center")
    axes.set_xticks(range(1, len(names) + 1))
    axes.set_xlim(0.6, len(names) + 1.1)
    axes.set_xlabel("streams present")
    axes.set_ylabel(sheet.metric)
    return figure


def _apart(at: Mapping[frozenset[str], SubsetFigure]) -> dict[frozenset[str], float]:
    """Heights of labels beside the points of each size, moved up where they would lie on one another."""
    values = [figure.value for figure in at.values()]
    least, last = (max(values) - min(values)) / LABELS_HIGH, dict.fromkeys(map(len, at), -math.inf)
    heights: dict[frozenset[str], float] = {}
    for _, some in _ranked(at):
        last[len(some)] = heights[some] = max(at[some].value, last[len(some)] + least)
    return heights


def _ranked(at: Mapping[frozenset[str], SubsetFigure]) -> list[tuple[int, frozenset[str]]]:
    """Each subset with its rank by value among those of its size."""
    sizes: dict[int, list[frozenset[str]]] = {}
    for some in sorted(at, key=lambda s: (at[s].value, sorted(s))):
        sizes.setdefault(len(some), []).append(some)
    return [(k, some) for column in sizes.values() for k, some in enumerate(column)]


def _ages(pyplot: Any, sheet: Datasheet, names: Sequence[str]) -> Any:
    figure, axes = pyplot.subplots(figsize=(WIDTH_IN, 3.2))
    known = {frozenset(f.streams): f.value for f in sheet.subsets}
    for name, colour in zip(names, COLOURS * 2, strict=False):
        curve = sheet.age_curve(name)
        ages = [f.age_ms for f in curve]
        axes.plot(ages, [f.value for f in curve], "o-", ms=3, color=colour, label=name)
        axes.fill_between(ages, [f.low for f in curve], [f.high for f in curve], color=colour, alpha=0.12, lw=0)
        if curve and (without := known.get(frozenset(names) - {name})) is not None:
            axes.axhline(without, color=colour, ls=":", lw=1)
    axes.set_xlabel("age in ms")
    axes.set_ylabel(sheet.metric)
    axes.legend(frameon=False)
    return figure
