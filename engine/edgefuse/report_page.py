"""The page of a run: what happened in words, trust and mode over time, answers, ages, latency, and every reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edgefuse import report_tables as tables
from edgefuse.page import Block, Figure, Heading, Paragraph, check_writable, write_page
from edgefuse.report_curves import MOST_VALUES, ages_svg, expected_svg, latency_svg, series, stages_of, values_svg
from edgefuse.report_figures import STATE_COLOURS, answers_svg, labels_of, lanes_svg
from edgefuse.report_map import located, map_svg, track
from edgefuse.report_run import COLUMNS, Result, Run, lasted, right
from edgefuse.report_text import words

_LANES = (
    "Each stream by the state of what answers were made from, with the reasons where there is room, else the number of "
    "the failure in the table below; and the mode of each answer."
)
_EXPECTED = "What the datasheet measured for exactly the streams that were there, less what the age of held ones costs."
_AGES = "Age of the sample in use, or of the newest one known where none is in use, at each answer."
_MAP = "every place that the receiver told, north up, in the colour of what answers made of it."
_LATENCY = "Milliseconds by stage: half, 90% and 99% of the answers took no longer, and the slowest."
_FEW = "The table tells p90 where 10 answers or more had the stage, p99 where 100 had."
_PARTS = (
    "What each stream made of the outputs: its exact Shapley value, 0 where it was absent; the parts of all streams "
    "add up to the output less the model's prior. Mean part: of the label that was given, or of the value; mean size: "
    "over all of them, whatever their sign."
)
_OTHER_WORLD = "The samples come from another world than the model's: read nothing into these answers."


def write_report(out: Path, results: Sequence[Result], source: str) -> None:
    """Write the page of results, as `report.read_results` gives them, read from `source`. Needs Matplotlib."""
    run = Run(results)
    write_page(out, f"A run of {run.bundle}", list(blocks_of(run, source)))


def check_report(out: Path) -> None:
    """Fail now, not after the work, where a page could be neither drawn nor written."""
    import matplotlib  # noqa: F401

    check_writable(out)


def blocks_of(run: Run, source: str) -> Iterator[Block]:
    """Everything on the page, in the order in which it is read."""
    yield Paragraph(words(run))
    if len(run.results) > COLUMNS:
        yield Paragraph(_thinned(run))
    yield Heading("Trust and mode over time")
    yield Figure(_LANES, f"{_LANES} The tables below say the same in figures.", lanes_svg(run))
    yield from [tables.streams(run)] if run.streams else []
    yield from tables.failures(run)
    yield from _answers(run)
    yield from _expected(run)
    yield from _maps(run)
    yield from _ages(run)
    yield from _latency(run)
    yield from _titled("Reasons", [*tables.reasons(run), *tables.abstentions(run)])
    yield from _titled("What each stream made of the answers", tables.attributions(run), _PARTS)
    yield Heading("What this was made from")
    yield tables.read(run, source)


def _thinned(run: Run) -> str:
    return (
        f"The drawings are thinned: each shows {COLUMNS} stretches of {lasted(run.length_s / COLUMNS)}, and of each "
        "stretch the worst state and mode, every label that was given, the worst expectation, and the lowest and "
        f"highest age and value. Words and tables count all {len(run.results):,} answers."
    )


def _titled(title: str, blocks: Iterator[Block] | Sequence[Block], about: str = "") -> Iterator[Block]:
    """Blocks under a heading, where there are any."""
    if found := list(blocks):
        yield Heading(title)
        yield from [Paragraph(about)] if about else []
        yield from found


def _answers(run: Run) -> Iterator[Block]:
    yield Heading("Answers")
    if run.results[0].get("in_domain") is False:
        yield Paragraph(_OTHER_WORLD)
    labelled = list(run.results[0]["labels"])
    yield from (_labels(run, output) for output in labelled)
    values = {name for result in run.results for name in result.get("outputs", {})} - set(labelled)
    yield from (_values(run, output) for output in sorted(values))
    yield tables.modes(run)
    for output in labelled:
        yield from tables.truths(run, output)


def _labels(run: Run, output: str) -> Figure:
    said = {result["labels"][output] for result in run.results}
    more = "; what came up least often is left out" if len(said - set(labels_of(run, output))) else ""
    over = " over the truth" if any(right(result, output) is not None for result in run.results) else ""
    caption = f"{output}: the answers{over}{more}."
    return Figure(caption, f"{caption} The tables below say how many were right.", answers_svg(run, output))


def _values(run: Run, output: str) -> Figure:
    many = max(len(result["outputs"].get(output, ())) for result in run.results)
    more = f", the first {MOST_VALUES} of {many}" if many > MOST_VALUES else ""
    return Figure(f"{output}: its values{more}.", f"the values of {output} over time", values_svg(run, output))


def _expected(run: Run) -> Iterator[Block]:
    if any(result.get("expected") for result in run.results):
        yield Heading("What was to be expected")
        yield Figure(_EXPECTED, "the expected metric over time, with its 95 % interval", expected_svg(run))


def _maps(run: Run) -> Iterator[Block]:
    for stream in located(run):
        caption = f"{stream}: {_MAP}"
        yield from [Heading("Where it was")] if stream == located(run)[0] else []
        yield Figure(caption, f"{caption} {_drawn_of(run, stream)}", map_svg(run, stream, STATE_COLOURS))


def _drawn_of(run: Run, stream: str) -> str:
    metres, states = track(run, stream)
    counts = ", ".join(f"{states.count(state)} {state}" for state in STATE_COLOURS if state in states)
    return f"{len(metres)} places: {counts}."


def _ages(run: Run) -> Iterator[Block]:
    if any(not np.isnan(series(run, stream)).all() for stream in run.streams):
        yield Heading("Age of the samples")
        yield Figure(_AGES, "the age of each stream's sample over time, a panel for each", ages_svg(run))


def _latency(run: Run) -> Iterator[Block]:
    stages = stages_of(run)
    if not stages:
        return
    yield Heading("Latency")
    if whole := {stage: took for stage, took in stages.items() if "." not in stage}:
        yield Figure(_LATENCY, f"{_LATENCY} The table has the figures.", latency_svg(whole))
    yield Paragraph(_FEW)
    yield tables.latencies(stages)
