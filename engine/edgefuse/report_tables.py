"""The tables of a report: streams and their outages, modes, truths, latencies, reasons, and what each stream made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from edgefuse.page import Cell, Table, Text
from edgefuse.report_curves import MOST_VALUES, NAMES, PERCENTILES
from edgefuse.report_run import MOST_FAILURES, Result, Run, clock, lasted, outages, reason_row, right, runs_of, told
from edgefuse.report_text import mean_expected, mode_counts, ms, share
from edgefuse.types import F64

MOST_ROWS = 40  # of a table that may be endless
STATES = ("fresh", "held", "imputed", "absent")
_LEAST = {"p90": 10, "p99": 100}  # answers below which a percentile is no more than the slowest of them

Row = tuple[Text, ...]


def streams(run: Run) -> Table:
    """Shares of the states, and how often each stream was taken out."""
    found, whole = outages(run), len(run.results)
    rows: list[Row] = []
    for stream in run.streams:
        states = Counter(one["state"] for one in run.lane(stream))
        own = [one.lasts_s for one in found if one.stream == stream]
        figures = (*(share(states[state], whole) for state in STATES), f"{len(own)}", lasted(own[0]) if own else "")
        rows.append((stream, *map(_figure, figures)))
    columns = ("stream", *STATES, "taken out", "longest")
    return Table("Answers by each stream's state.", columns, tuple(rows))


def failures(run: Run) -> Iterator[Table]:
    """Every time a stream was taken out, the longest first."""
    found = outages(run)
    rows: list[Row] = []
    for number, one in enumerate(found[:MOST_FAILURES], start=1):
        end = " (to the end)" if one.end == len(run.results) else ""
        figures = (clock(run, one.from_s), lasted(one.lasts_s), f"{one.end - one.begin:,}")
        rows.append((_figure(f"{number}"), one.stream, ", ".join(one.reasons) + end, *map(_figure, figures)))
    more = f", the longest {MOST_FAILURES} of {len(found):,}" if len(found) > MOST_FAILURES else ""
    if rows:
        columns = ("", "stream", "reasons", "from", "for", "answers")
        yield Table(f"When a stream was taken out, or was yet to deliver{more}.", columns, tuple(rows))


def modes(run: Run) -> Table:
    """By mode: how many, for how long, how many right, and what was expected."""
    rows: list[Row] = []
    for mode, count in mode_counts(run).items():
        own = [i for i, result in enumerate(run.results) if result["mode"] == mode]
        known = [hit for i in own if (hit := _all_right(run.results[i])) is not None]
        value = mean_expected([run.results[i] for i in own])
        figures = (
            f"{count:,}",
            share(count, len(run.results)),
            lasted(float(run.lasts_s[own].sum())),
            share(sum(known), len(known)) if known else "",
            "" if value is None else f"{value:.3f}",
        )
        rows.append((mode, *map(_figure, figures)))
    columns = ("mode", "answers", "share", "time", "right", "expected")
    return Table("Answers by mode.", columns, tuple(rows))


def truths(run: Run, output: str) -> Iterator[Table]:
    """By what was true: how often it was found, and what it was taken for."""
    pairs = Counter((r["truth"][output], r["labels"][output]) for r in run.results if right(r, output) is not None)
    wholes: Counter[str] = Counter()
    for (truth, _), count in pairs.items():
        wholes[truth] += count
    rows: list[Row] = []
    for truth, whole in wholes.most_common(MOST_ROWS):
        wrong = Counter({given: n for (true, given), n in pairs.items() if true == truth and given != true})
        taken = ", ".join(f"{given} ({n:,})" for given, n in wrong.most_common(3))
        rows.append((truth, _figure(f"{whole:,}"), _figure(share(pairs[truth, truth], whole)), taken))
    if rows:
        yield Table(f"{output}: by the truth.", ("truth", "answers", "right", "most often taken for"), tuple(rows))


def latencies(stages: dict[str, F64]) -> Table:
    """Percentiles of each stage, those that so many answers support."""
    rows: list[Row] = []
    for stage, took in stages.items():
        ends = dict(zip(NAMES, np.percentile(took, PERCENTILES), strict=True))
        figures = ("" if took.size < _LEAST.get(name, 1) else ms(float(end)) for name, end in ends.items())
        rows.append((stage, _figure(f"{took.size:,}"), *map(_figure, figures)))
    return Table("Milliseconds, where an answer had the stage.", ("stage", "answers", *NAMES), tuple(rows))


def reasons(run: Run) -> Iterator[Table]:
    """Every reason of every stream: how often, for how long, and what it says."""
    rows: list[Row] = []
    for row in told(run):
        health, says = reason_row(row.reason)
        figures = (f"{row.answers:,}", f"{row.stretches:,}", lasted(row.total_s), lasted(row.longest_s))
        rows.append((row.stream, row.reason, *map(_figure, figures), health, says.replace("`", "")))
    if rows:
        columns = ("stream", "reason", "answers", "times", "in all", "longest", "level", "what it says")
        yield Table("Every reason that a stream gave.", columns, tuple(rows))


def abstentions(run: Run) -> Iterator[Table]:
    """What made answers abstain."""
    spans: dict[str, list[tuple[int, float]]] = {}
    for begin, end, why in runs_of([result.get("why") for result in run.results]):
        if why:
            spans.setdefault(why, []).append((end - begin, run.span_s(begin, end)))
    ordered = sorted(spans.items(), key=lambda item: -sum(lasts_s for _, lasts_s in item[1]))
    rows: list[Row] = []
    for why, parts in ordered[:MOST_ROWS]:
        figures = (f"{sum(n for n, _ in parts):,}", f"{len(parts):,}", lasted(sum(lasts_s for _, lasts_s in parts)))
        rows.append((why, *map(_figure, figures)))
    if rows:
        more = f", the {MOST_ROWS} longest of {len(ordered):,}" if len(ordered) > MOST_ROWS else ""
        yield Table(f"What made answers abstain{more}.", ("why", "answers", "times", "in all"), tuple(rows))


def attributions(run: Run) -> Iterator[Table]:
    """What each stream made of the outputs, on average over the answers that say it (exact Shapley values)."""
    parts: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for result in run.results:
        for output, by_stream in result.get("attribution", {}).items():
            for stream, phi in by_stream.items():
                for name, own in _parts(result, output, phi):
                    parts.setdefault((name, stream), []).append((own, float(np.mean(np.abs(phi)))))
    rows: list[Row] = []
    for (name, stream), pairs in sorted(parts.items(), key=lambda item: item[0][0]):
        mean, size = np.mean(pairs, axis=0).tolist()
        rows.append((name, stream, _figure(f"{mean:+.3f}"), _figure(f"{size:.3f}"), _figure(f"{len(pairs):,}")))
    if rows:
        columns = ("output", "stream", "mean part", "mean size", "answers")
        yield Table("Means over the answers.", columns, tuple(rows))


def _parts(result: Result, output: str, phi: list[float]) -> Iterator[tuple[str, float]]:
    """The part of the label that was given; of an output without labels, of each of its first values."""
    if output not in result["labels"]:
        yield from ((f"{output} {k}" if len(phi) > 1 else output, own) for k, own in enumerate(phi[:MOST_VALUES]))
        return
    values = result.get("probabilities", {}).get(output) or result.get("outputs", {}).get(output)
    if values and len(values) == len(phi):
        yield output, phi[int(np.argmax(values))]


def read(run: Run, source: str) -> Table:
    """What the page was made from."""
    results = run.results
    rows = (
        ("file", source),
        ("bundle", run.bundle),
        ("answers", f"{len(results):,}"),
        ("first answer", f"t_ns {results[0]['t_ns']}"),
        ("last answer", f"t_ns {results[-1]['t_ns']}"),
    )
    return Table("Times are on the engine's clock.", ("", ""), rows)


def _all_right(result: Result) -> bool | None:
    """Were all outputs right whose truth is known? None where none is."""
    known = [hit for output in result["labels"] if (hit := right(result, output)) is not None]
    return all(known) if known else None


def _figure(text: str) -> Cell:
    return Cell(text, number=True)
