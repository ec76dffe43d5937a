"""The figures of a campaign's page as SVG: accuracy by fault and severity, and modes over time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from edgefuse.drawing import INK, WIDTH_IN, drawn
from edgefuse.outcome import Outcome, Row
from edgefuse.scores import MODES

# Colours that stand out from white and from near black alike.
MODE_COLOURS = {"full": "#2f9e57", "degraded": "#d99a1c", "abstain": "#8d63cf", "blind": "#7b838c"}
SEVERITY_COLOURS = {None: "#7b838c", 1: "#8fb8e8", 2: "#6ea1dc", 3: "#4f86c6", 4: "#c9622f", 5: "#b8402a"}


def accuracy_svg(rows: Sequence[Row]) -> str:
    """A line for each fault: a dot for each severity, over the clean accuracy as a stroke."""
    return drawn(partial(_dots, rows=rows))


def modes_svg(outcome: Outcome, shares: dict[str, list[float]]) -> str:
    """Shares of the modes over time, as `Outcome.mode_shares` gives them, the window between dotted lines."""
    return drawn(partial(_stack, outcome=outcome, shares=shares))


def _dots(pyplot: Any, rows: Sequence[Row]) -> Any:
    figure, axes = pyplot.subplots(figsize=(WIDTH_IN, 0.9 + 0.22 * len(rows)))
    for severity in dict.fromkeys(severity for row in rows for severity in row.shares):
        points = [(row.shares[severity][0].value, y) for y, row in enumerate(rows) if severity in row.shares]
        label = "no levels" if severity is None else f"severity {severity}"
        known = [(x, y) for x, y in points if x is not None]
        axes.scatter(*zip(*known, strict=True), color=SEVERITY_COLOURS[severity], s=30, label=label, zorder=3)
    clean = [(row.clean_accuracy, y) for y, row in enumerate(rows) if row.clean_accuracy is not None]
    axes.plot(*zip(*clean, strict=True), "|", color=INK, ms=11, label="clean", zorder=2)
    axes.set_yticks(range(len(rows)), [row.kind for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("share of right answers")
    _quiet(axes, "both")
    axes.legend(
        loc="lower center", bbox_to_anchor=(0.45, 1.0), ncol=7, frameon=False, handletextpad=0.1, columnspacing=1.0
    )
    return figure


def _stack(pyplot: Any, outcome: Outcome, shares: dict[str, list[float]]) -> Any:
    figure, axes = pyplot.subplots(figsize=(WIDTH_IN, 2.2))
    axes.stackplot(
        shares["from_s"], *(shares[mode] for mode in MODES), colors=MODE_COLOURS.values(), labels=MODES, step="post"
    )
    axes.set_xlim(0.0, max(shares["from_s"], default=0.0) or 1.0)
    axes.set_ylim(0.0, 1.0)
    axes.set_xlabel("seconds")
    axes.set_ylabel("share of answers")
    for at_s in (outcome.campaign.window.from_s, outcome.campaign.window.to_s):
        axes.axvline(at_s, color=INK, lw=1.0, ls=":")
    _quiet(axes, "y")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=4, frameon=False)
    return figure


def _quiet(axes: Any, grid: str) -> None:
    axes.grid(axis=grid, color=INK, alpha=0.15, lw=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
