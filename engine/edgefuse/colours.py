"""Colours: what stands for each state of a stream and each mode of an answer, the same wherever it is drawn."""

from __future__ import annotations

from collections.abc import Mapping

STATE_COLOURS: Mapping[str, str] = {"fresh": "#2e7d32", "held": "#f9a825", "imputed": "#6a1b9a", "absent": "#c62828"}
MODE_COLOURS: Mapping[str, str] = {"full": "#2e7d32", "degraded": "#f9a825", "abstain": "#6a1b9a", "blind": "#212121"}

# Of lines and labels, told apart by eye on a light and on a dark ground.
LINE_COLOURS = ("#1e88e5", "#ef6c00", "#43a047", "#ab47bc", "#00acc1", "#e53935", "#8d6e63", "#78909c")


def line_colours(count: int) -> list[str]:
    """So many of them, from the beginning again where there are not enough."""
    return [LINE_COLOURS[k % len(LINE_COLOURS)] for k in range(count)]
