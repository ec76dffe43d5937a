"""The figures of a report that show numbers: expected metric, values, ages of samples over time, and latencies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from edgefuse.drawing import INK
from edgefuse.report_axes import framed, legend, named, plain, row_in, subplots, svg, time_axis
from edgefuse.report_run import Run, columns
from edgefuse.types import F64

LINE = "#2f7fc1"
COLOURS = (LINE, "#d9822b", "#3a9d5d", "#a4508b", "#7b838c", "#b8402a")  # as on the other pages
MOST_VALUES = len(COLOURS)  # values of one output that are drawn and told
PERCENTILES = (50.0, 90.0, 99.0, 100.0)
NAMES = ("p50", "p90", "p99", "max")
_MARKS = ("o", "|", "d", "x")
LEAST_MS = 1e-4  # a line holds no finer times


def expected_svg(run: Run) -> str:
    """What the datasheet expected of each answer, with its 95 % interval; of a thinned run the worst of each column."""
    return svg(partial(_expected, run=run))


def values_svg(run: Run, output: str) -> str:
    """The values of an output that has no labels, over time."""
    return svg(partial(_values, run=run, output=output))


def ages_svg(run: Run) -> str:
    """The age of the sample that each stream had to offer, a panel for each."""
    return svg(partial(_ages, run=run))


def latency_svg(stages: Mapping[str, F64]) -> str:
    """A row for each stage: its percentiles on a line, milliseconds on a logarithmic axis."""
    return svg(partial(_latency, stages=stages))


def series(run: Run, stream: str) -> F64:
    """float64 [T]: ages in ms of the samples of a stream, NaN where it had none."""
    return np.array([_number(one.get("age_ms")) for one in run.lane(stream)])


def stages_of(run: Run) -> dict[str, F64]:
    """Stage -> float64 [answers that had it], milliseconds; parts after their stage, the total last."""
    found: dict[str, list[float]] = {}
    for result in run.results:
        for stage, took_ms in result.get("timing_ms", {}).items():
            found.setdefault(stage, []).append(took_ms)
    first = list(dict.fromkeys(stage.partition(".")[0] for stage in found))
    ordered = sorted(found, key=lambda stage: (stage == "total", first.index(stage.partition(".")[0]), stage))
    return {stage: np.array(found[stage]) for stage in ordered}


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _ends(run: Run, values: F64) -> tuple[F64, F64]:
    """(lowest, highest) of each column of a run; NaN where it has no value."""
    filled = [values[begin:end][~np.isnan(values[begin:end])] for begin, end in columns(run)]
    ends = [(part.min(), part.max()) if part.size else (np.nan, np.nan) for part in filled]
    return np.array([low for low, _ in ends]), np.array([high for _, high in ends])


def _broken(run: Run, *rows: F64) -> list[F64]:
    """Times of the columns of a run, and rows of values at them, each with a NaN wherever the answers paused."""
    begins = [begin for begin, _ in columns(run)]
    breaks = np.flatnonzero(np.diff(run.parts[begins])) + 1
    return [np.insert(row, breaks, np.nan) for row in (run.seconds[begins], *rows)]


def _curve(axes: Any, run: Run, values: F64, colour: str, label: str = "") -> None:
    """A line through values; of a thinned run the highest of each column, and the area down to its lowest."""
    seconds, low, high = _broken(run, *_ends(run, values))
    if len(columns(run)) < len(values):
        axes.fill_between(seconds, low, high, color=colour, alpha=0.35, lw=0)
    axes.plot(seconds, high, marker=_marker(run), color=colour, lw=1.0, label=label)


def _marker(run: Run) -> str:
    """What shows a line of one point."""
    return "o" if len(run.results) == 1 else ""


def _expected(pyplot: Any, run: Run) -> Any:
    figure, axes = subplots(pyplot, 2.0)
    time_axis(axes, run)
    shown = [_worst([result.get("expected") for result in run.results[begin:end]]) for begin, end in columns(run)]
    told = [np.array([_number(one[key] if one else None) for one in shown]) for key in ("value", "low", "high")]
    seconds, value, low, high = _broken(run, *told)
    axes.fill_between(seconds, low, high, step="post", color=LINE, alpha=0.25, lw=0)
    axes.step(seconds, value, where="post", marker=_marker(run), color=LINE, lw=1.3)
    axes.set_ylabel(plain(_metric(run), 24))
    framed(axes, "y")
    return figure


def _metric(run: Run) -> str:
    return next((str(result["expected"]["metric"]) for result in run.results if result.get("expected")), "")


def _worst(some: Sequence[Mapping[str, Any] | None]) -> Mapping[str, Any] | None:
    known = [one for one in some if one is not None]
    sign = -1.0 if known and known[0]["better"] == "lower" else 1.0
    return min(known, key=lambda one: sign * one["value"], default=None)


def _values(pyplot: Any, run: Run, output: str) -> Any:
    figure, axes = subplots(pyplot, 2.0)
    time_axis(axes, run)
    given = [result["outputs"].get(output, []) for result in run.results]
    for k in range(min(MOST_VALUES, max(map(len, given)))):
        values = np.array([_number(one[k] if k < len(one) else None) for one in given])
        _curve(axes, run, values, COLOURS[k], f"value {k}")
    axes.set_ylabel(plain(output, 24))
    framed(axes, "y")
    if max(map(len, given)) > 1:
        legend(axes, 3)
    return figure


def _ages(pyplot: Any, run: Run) -> Any:
    figure, panels = subplots(pyplot, 0.4 + 0.75 * len(run.streams), len(run.streams))
    for axes, stream in zip(np.ravel(panels), run.streams, strict=True):
        time_axis(axes, run)
        axes.set_xlabel(axes.get_xlabel() if stream == run.streams[-1] else "")
        _age(axes, run, stream)
    return figure


def _age(axes: Any, run: Run, stream: str) -> None:
    from matplotlib.ticker import MaxNLocator

    ages = series(run, stream)
    known = ages[~np.isnan(ages)]
    unit, scale = ("s", 1e-3) if known.size and known.max() >= 2000.0 else ("ms", 1.0)
    _curve(axes, run, ages * scale, LINE)
    axes.set_ylim(min(0.0, known.min() * scale) if known.size else 0.0, None if known.size else 1.0)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3))
    name = f"{named(stream)}, {unit}" if known.size else named(stream)
    axes.set_ylabel(name, rotation=0, ha="right", va="center")
    axes.yaxis.set_label_coords(-0.1, 0.5)
    framed(axes, "y")
    if not known.size:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "never delivered", transform=axes.transAxes, ha="center", va="center")


def _latency(pyplot: Any, stages: Mapping[str, F64]) -> Any:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    figure, axes = subplots(pyplot, 0.6 + row_in(stages, 0.24) * len(stages))
    points = {stage: np.maximum(np.percentile(took, PERCENTILES), LEAST_MS) for stage, took in stages.items()}
    for row, ends in enumerate(points.values()):
        axes.plot(ends[[0, -1]], [row, row], color=INK, alpha=0.3, lw=1.0)
    for k, (name, mark) in enumerate(zip(NAMES, _MARKS, strict=True)):
        at_ms = [ends[k] for ends in points.values()]
        axes.plot(at_ms, range(len(points)), mark, ms=7 if mark == "|" else 4.5, mew=1.4, color=COLOURS[k], label=name)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(numticks=8))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(range(len(points)), [named(stage) for stage in points])
    axes.set_ylim(len(points) - 0.4, -0.6)
    axes.set_xlabel("milliseconds")
    framed(axes, "x")
    legend(axes, 4)
    return figure
