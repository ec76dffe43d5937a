"""The page of a campaign: what happened in words, limits, detection and recovery, accuracy, modes over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from edgefuse.campaign import NOT_DUE, due
from edgefuse.faults import KINDS
from edgefuse.inject_figures import accuracy_svg, modes_svg
from edgefuse.inject_text import share, words
from edgefuse.limits import Check, by_limit, number
from edgefuse.outcome import Outcome, Row
from edgefuse.page import (
    BAD,
    GOOD,
    Block,
    Cell,
    Figure,
    Heading,
    Paragraph,
    Table,
    Text,
    check_writable,
    write_page,
)
from edgefuse.scores import MODES

_HOW = (
    "A tick (t) is one answer, a sample (s) what the stream would have sent undisturbed. Detection is counted from the "
    "first tick that could see the fault, recovery from the first tick after it; the worst of all faults in a row "
    "counts. What is in brackets need not be noticed."
)


def page_writer(out: Path) -> Callable[[Outcome, Sequence[Check]], None]:
    """What writes the page to `out`; fails now, not after the work, where it could be neither drawn nor written."""
    import matplotlib  # noqa: F401

    check_writable(out)

    def write(outcome: Outcome, checks: Sequence[Check]) -> None:
        write_page(out, f"Faults put into {outcome.source}", blocks_of(outcome, checks))

    return write


def blocks_of(outcome: Outcome, checks: Sequence[Check]) -> list[Block]:
    """Everything on the page, in the order in which it is read. Needs Matplotlib."""
    return [
        Paragraph(" ".join(words(outcome, checks))),
        Heading("Limits"),
        _limits(checks),
        *_broken(checks),
        Heading("Detection and recovery"),
        Paragraph(_HOW),
        _latencies(outcome),
        *_accuracies(outcome),
        *_retention(outcome),
        Heading("Modes over time"),
        _modes(outcome),
        Heading("Every fault"),
        _legend(outcome),
    ]


def _limits(checks: Sequence[Check]) -> Table:
    rows: list[tuple[Text, ...]] = []
    for name, group in by_limit(checks).items():
        missed = sum(not check.kept for check in group)
        verdict = Cell(f"{missed} broken", BAD) if missed else Cell("kept", GOOD)
        closest = group[0]
        figures = (Cell(text, number=True) for text in (closest.told, number(closest.bound)))
        rows.append((name, verdict, Cell(str(len(group)), number=True), closest.where, *figures))
    columns = ("limit", "verdict", "checks", "closest to it", "figure", "bound")
    return Table("What the campaign demands, and an answer at every tick.", columns, tuple(rows))


def _broken(checks: Sequence[Check]) -> list[Block]:
    rows = [
        (check.limit, check.where, Cell(check.told, BAD, True), Cell(number(check.bound), number=True), check.detail)
        for check in checks
        if not check.kept
    ]
    columns = ("limit", "of", "figure", "bound", "why")
    return [Table("Every check that is broken.", columns, tuple(rows))] if rows else []


def _latencies(outcome: Outcome) -> Table:
    columns = ("fault", "stream", "noticed", "after t", "s", "as", "back", "after t", "s")
    return Table("By fault and stream.", columns, tuple(_latency(row) for row in outcome.rows))


def _latency(row: Row) -> tuple[Text, ...]:
    return (
        row.kind,
        row.stream,
        _of(row.detected, len(row.changed), due(row.kind)),
        *_worst(row, "detection"),
        ", ".join(row.reasons),
        _of(row.recovered, len(row.changed), True),
        *_worst(row, "recovery"),
    )


def _of(count: int, total: int, wanted: bool) -> Cell:
    if not total:
        return Cell("no harm")
    told = f"{count} of {total}" if total > 1 else ("no", "yes")[count]
    if not wanted:
        return Cell(f"({told})")
    return Cell(told, GOOD if count == total else BAD)


def _worst(row: Row, what: str) -> list[Cell]:
    values = [row.worst(f"{what}_{unit}") for unit in ("ticks", "samples")]
    return [Cell("" if value is None else str(value), number=True) for value in values]


def _accuracies(outcome: Outcome) -> list[Block]:
    """One drawing a stream, and the table behind them."""
    if outcome.clean_share.value is None:
        return []
    figures: list[Block] = []
    for stream in outcome.streams:
        if rows := [row for row in outcome.rows if row.stream == stream]:
            caption = f"{stream}: answers that are right while a fault lasts; the line is the same stretch without it."
            svg = accuracy_svg(rows)
            figures.append(Figure(caption, f"{caption} The figures are in the table below.", svg))
    return [Heading("Accuracy by fault and severity"), *figures, _accuracy_table(outcome)]


def _accuracy_table(outcome: Outcome) -> Table:
    columns = ("fault", "stream", "severity: right", "clean", "left (RA)")
    rows = [
        (
            row.kind,
            row.stream,
            ", ".join(f"{severity}: {share(own.value)}" if severity else share(own.value) for severity, own in levels),
            Cell(share(row.clean_accuracy), number=True),
            Cell(share(row.ra), number=True),
        )
        for row in outcome.rows
        for levels in ([(severity, own) for severity, (own, _) in row.shares.items()],)
    ]
    return Table("Right answers, and what is left of the clean accuracy, a mean over severities.", columns, tuple(rows))


def _retention(outcome: Outcome) -> list[Block]:
    if all(kept is None for kept in outcome.retention.values()):
        return []
    rows = tuple((stream, Cell(share(kept), number=True)) for stream, kept in outcome.retention.items())
    caption = "What is left of the clean accuracy with the stream off from the first sample to the last."
    return [Heading("Without a stream"), Table(caption, ("stream", "left"), rows)]


def _modes(outcome: Outcome) -> Figure:
    shares = outcome.mode_shares()
    caption = "Share of the answers by mode, over all replays with faults."
    told = ", ".join(f"{mode} {max(shares[mode], default=0.0):.0%}" for mode in MODES)
    return Figure(caption, f"{caption} At most: {told}.", modes_svg(outcome, shares))


def _legend(outcome: Outcome) -> Table:
    kinds = dict.fromkeys(row.kind for row in outcome.rows)
    rows = tuple((kind, KINDS[kind].family, KINDS[kind].what, _wanted(kind)) for kind in kinds)
    return Table("What the faults do, and what is due.", ("fault", "family", "what it does", "to be noticed"), rows)


def _wanted(kind: str) -> str:
    if due(kind):
        return "yes"
    return f"no: {NOT_DUE[kind]}" if kind in NOT_DUE else "no: it is graded, to be survived"
