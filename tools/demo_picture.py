"""Draws docs/demo.png: what the demo's camera saw, faults included, over the lanes of trust and the answers.

Usage: edgefuse demo --out demo.jsonl; python tools/demo_picture.py demo.jsonl docs/demo.png
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import pyplot

from edgefuse.demo import staged
from edgefuse.report import draw_answers, draw_lanes, read_results
from edgefuse.types import NS_PER_S, Array

SEEN_AT_S = (2.0, 7.5, 12.0, 17.0, 21.0, 27.0)  # moments whose camera picture is shown
SEED, SECONDS = 7, 30.0  # what `edgefuse demo` plays when nothing is asked for


def pictures() -> list[Array]:
    """The newest camera picture at each moment, uint8 [H, W, 3], as the engine got it."""
    frames: dict[float, Array] = {}
    first_ns: int | None = None
    for sample in staged(SEED, SECONDS)[1].samples():
        first_ns = sample.arrived_ns if first_ns is None else first_ns
        since_s = (sample.arrived_ns - first_ns) / NS_PER_S
        if sample.stream == "camera":
            frames.update({at: sample.payload for at in SEEN_AT_S if since_s <= at})
    return [frames[at] for at in SEEN_AT_S]


def draw(results: list[dict[str, Any]], out: Path) -> None:
    """Pictures above, lanes and answers below, on one time axis."""
    figure = pyplot.figure(figsize=(11, 6.4))
    grid = figure.add_gridspec(3, len(SEEN_AT_S), height_ratios=[2.2, 3, 1.8], hspace=0.3, wspace=0.06)
    for column, (at_s, picture) in enumerate(zip(SEEN_AT_S, pictures(), strict=True)):
        axes = figure.add_subplot(grid[0, column])
        axes.imshow(picture)
        axes.set_title(f"camera at {at_s:.1f} s", fontsize=8)
        axes.axis("off")
    lanes = figure.add_subplot(grid[1, :])
    draw_lanes(lanes, results)
    draw_answers(figure.add_subplot(grid[2, :], sharex=lanes), results)
    figure.savefig(out, dpi=110, bbox_inches="tight")


if __name__ == "__main__":
    matplotlib.use("Agg")
    draw(read_results(sys.argv[1]), Path(sys.argv[2]))
