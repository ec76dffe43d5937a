"""Axes of a report's figures: time that reads well however long a run is, and text that is only text."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

from edgefuse.drawing import INK, WIDTH_IN, drawn
from edgefuse.report_run import Run, clock

_STEPS_S = (60, 120, 180, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)
MOST_TICKS = 7
PAPER_IN = 0.9 * WIDTH_IN  # a page shows all figures equally wide: less paper is larger letters
NAME_LETTERS = 16  # of a name beside an axis before it is broken


def svg(draw: Callable[[Any], Any]) -> str:
    """The figure as `drawing.drawn` gives it, with every name taken as it is: no formulas, and any script."""
    import matplotlib

    with matplotlib.rc_context({"text.parse_math": False, "font.size": 8.5}), warnings.catch_warnings():
        # The browser has the letters that Matplotlib's own typeface lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        return drawn(draw)


def plain(text: str, most: int) -> str:
    """Text as it can be drawn: printable, and no longer than `most` letters, the middle left out."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    half = most // 2
    return shown if len(shown) <= most else f"{shown[: most - half - 1]}\N{HORIZONTAL ELLIPSIS}{shown[-half:]}"


def named(name: str) -> str:
    """A name as it stands beside an axis: in two lines where it is long."""
    shown = plain(name, 2 * NAME_LETTERS)
    if len(shown) <= NAME_LETTERS:
        return shown
    ends = range(max(4, len(shown) - NAME_LETTERS - 1), NAME_LETTERS)
    cut = max((i + 1 for i in ends if shown[i] in "_- "), default=NAME_LETTERS)
    return f"{shown[:cut]}\n{shown[cut:]}"


def row_in(names: Iterable[str], least_in: float) -> float:
    """How high a row is, in inches: as said, or enough for two lines where a name needs them."""
    return max(least_in, 0.4) if any(len(name) > NAME_LETTERS for name in names) else least_in


def subplots(pyplot: Any, height_in: float, rows: int = 1) -> tuple[Any, Any]:
    """A figure whose axes begin and end where those of all others do, so that moments lie above one another."""
    from matplotlib.lines import Line2D

    figure, axes = pyplot.subplots(rows, 1, figsize=(PAPER_IN, height_in), sharex=True, squeeze=rows == 1)
    figure.subplots_adjust(left=0.21, right=0.985, hspace=0.35)
    # Figures are cut to what is drawn: this line is as wide as the paper, and nobody sees it.
    figure.add_artist(Line2D([0.0, 1.0], [0.5, 0.5], alpha=0.0))
    return figure, axes


def legend(axes: Any, columns: int, **more: Any) -> None:
    """The legend above the axes, from the left edge of the paper on."""
    from matplotlib.transforms import blended_transform_factory

    across = blended_transform_factory(axes.figure.transFigure, axes.transAxes)
    place: Any = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "bbox_transform": across, "borderaxespad": 0.2}
    look: Any = {"frameon": False, "handlelength": 1.0, "handletextpad": 0.4, "columnspacing": 1.1}
    axes.legend(ncol=columns, **place, **look, **more)


def time_axis(axes: Any, run: Run) -> None:
    """Time after the first answer along x, from the first answer to the end of the last."""
    axes.set_xlim(0.0, run.length_s or 1.0)
    if run.length_s < 600.0:
        axes.set_xlabel("seconds after the first answer")
        return
    step = next((step for step in _STEPS_S if run.length_s / step <= MOST_TICKS), 10 * _STEPS_S[-1])
    ticks = list(range(0, int(run.length_s) + 1, step))
    if len(ticks) <= 2 * MOST_TICKS:
        axes.set_xticks(ticks, [clock(run, at_s).removesuffix(":00") for at_s in ticks])
    axes.set_xlabel("hours:minutes after the first answer")


def framed(axes: Any, grid: str | None) -> None:
    """No more lines around a figure than it needs."""
    if grid:
        axes.grid(axis=grid, color=INK, alpha=0.15, lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right") if grid else ("top", "right", "left"):
        axes.spines[side].set_visible(False)
