"""The map of a run: where its receivers said that they were, in metres, and whether they were believed there."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from edgefuse.drawing import INK
from edgefuse.geodesy import Origin, enu_from_geodetic
from edgefuse.report_axes import PAPER_IN, legend, subplots, svg
from edgefuse.report_run import COLUMNS, Run
from edgefuse.types import F64

LEAST_SIDE_M = 10.0  # of the map: a receiver that stands still spreads over a few metres
HIGHEST = 0.9  # of the map, over its width


def located(run: Run) -> list[str]:
    """Streams whose places the lines of a run tell."""
    return [stream for stream in run.streams if any(stream in result.get("fixes", {}) for result in run.results)]


def track(run: Run, stream: str) -> tuple[F64, list[str]]:
    """Metres to the east and north of the first place, float64 [n, 2], and the state of the stream at each.

    A point for each answer that a new place had come for; of a long run every so many of them.
    """
    places, states, last = [], [], None
    for result in run.results:
        fix = result.get("fixes", {}).get(stream)
        if fix is not None and fix != last:
            places.append(fix)
            states.append(result["streams"][stream]["state"])
        last = fix
    step = -(-len(places) // COLUMNS)
    origin = Origin(places[0][0], places[0][1])
    enu = [enu_from_geodetic(latitude, longitude, 0.0, origin)[:2] for latitude, longitude in places[::step]]
    return np.array(enu, np.float64).reshape(-1, 2), states[::step]


def map_svg(run: Run, stream: str, colours: Mapping[str, str]) -> str:
    """The track, north up, with a dot for each place; colours: of the stream's state there."""
    return svg(partial(_map, run=run, stream=stream, colours=colours))


def _map(pyplot: Any, run: Run, stream: str, colours: Mapping[str, str]) -> Any:
    metres, states = track(run, stream)
    low, high = metres.min(0), metres.max(0)
    middle, side = (low + high) / 2, np.maximum(1.1 * (high - low), LEAST_SIDE_M)
    side[1] = max(side[1], 0.35 * side[0])
    side[0] = max(side[0], side[1] / HIGHEST)
    figure, axes = subplots(pyplot, PAPER_IN * 0.75 * side[1] / side[0] + 0.8)
    axes.plot(metres[:, 0], metres[:, 1], color=INK, lw=0.6, alpha=0.4, zorder=0)
    for state, colour in colours.items():
        some = metres[[own == state for own in states]]
        if len(some):
            axes.plot(some[:, 0], some[:, 1], ".", color=colour, ms=4, label=state)
    axes.plot(*metres[0], marker="o", mfc="none", color=INK, ms=9, ls="none", label="begin")
    axes.set_xlim(middle[0] - side[0] / 2, middle[0] + side[0] / 2)
    axes.set_ylim(middle[1] - side[1] / 2, middle[1] + side[1] / 2)
    axes.set_aspect("equal")
    axes.set_xlabel("metres to the east")
    axes.set_ylabel("metres to the north")
    legend(axes, 5)
    return figure
