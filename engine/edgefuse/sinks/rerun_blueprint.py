"""The blueprint for Rerun: what the sensors saw, trust and answers as lanes over time, and the figures behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

EVENT_TIME, STAMP = "event_time", "stamp"

# Where things lie in a recording.
SEEN, TRACK, TRUST, ANSWERS = "seen", "track", "trust", "answers"
EVENTS, ANSWER = "events", "answer"
AGES, LATENCY, EXPECTED, PARTS = "figures/age_ms", "figures/latency_ms", "figures/expected", "figures/attribution"

_SIDE_BY_SIDE = 5  # pictures; more of them stand in a grid
_FROM_BEHIND = {"position": (-16.0, 0.0, 11.0), "look_target": (7.0, 0.0, 0.0), "eye_up": (0.0, 0.0, 1.0)}


def blueprint(kinds: Mapping[str, str], attributed: bool) -> Any:
    """How a run of streams of these kinds is laid out; attributed: results say what each stream added to them."""
    import rerun.blueprint as rrb

    lanes = rrb.Vertical(
        rrb.StateTimelineView(origin=f"/{TRUST}", name="Trust in each stream"),
        rrb.StateTimelineView(origin=f"/{ANSWERS}", name="Answer, truth and mode"),
        row_shares=[len(kinds) + 1, 4],
    )
    return rrb.Blueprint(
        rrb.Vertical(
            _pictures(rrb, kinds),
            rrb.Horizontal(lanes, _words(rrb), column_shares=[3, 1]),
            rrb.Horizontal(*_figures(rrb, kinds, attributed)),
            row_shares=[3, 4, 2],
        ),
        rrb.TimePanel(timeline=EVENT_TIME, state="collapsed"),
        rrb.BlueprintPanel(state="hidden"),
        rrb.SelectionPanel(state="hidden"),
    )


def _pictures(rrb: Any, kinds: Mapping[str, str]) -> Any:
    flat = [
        rrb.Spatial2DView(origin=f"/{SEEN}/{stream}", name=stream)
        for stream, kind in kinds.items()
        if kind in ("camera", "depth")
    ]
    views = [*flat, *_clouds(rrb, kinds), *_track(rrb, kinds)]
    return rrb.Horizontal(*views) if len(views) <= _SIDE_BY_SIDE else rrb.Grid(*views)


def _clouds(rrb: Any, kinds: Mapping[str, str]) -> Sequence[Any]:
    clouds = [stream for stream, kind in kinds.items() if kind == "lidar"]
    if not clouds:
        return []
    contents = [f"/{SEEN}/{stream}" for stream in clouds]
    eye = rrb.EyeControls3D(**_FROM_BEHIND)
    return [rrb.Spatial3DView(origin=f"/{SEEN}", contents=contents, name=", ".join(clouds), eye_controls=eye)]


def _track(rrb: Any, kinds: Mapping[str, str]) -> Sequence[Any]:
    if "gps" not in kinds.values():
        return []
    until_now = rrb.VisibleTimeRange(
        EVENT_TIME, start=rrb.TimeRangeBoundary.infinite(), end=rrb.TimeRangeBoundary.cursor_relative()
    )
    return [rrb.Spatial2DView(origin=f"/{TRACK}", name="Track, north is up", time_ranges=[until_now])]


def _words(rrb: Any) -> Any:
    columns = rrb.TextLogColumns(text_log_columns=["loglevel", "body"])
    return rrb.Vertical(
        rrb.TextDocumentView(origin=f"/{ANSWER}", name="Answer"),
        rrb.TextLogView(origin=f"/{EVENTS}", name="What became of the streams", columns=columns),
    )


def _figures(rrb: Any, kinds: Mapping[str, str], attributed: bool) -> Sequence[Any]:
    """Where there are several lines, the legend says which is which; else the title does."""
    none, corner = rrb.PlotLegend(visible=False), rrb.Corner2D.RightTop
    rows = [
        (AGES, "Age of each stream's sample, ms", corner),
        (LATENCY, "Latency of an answer, ms", none),
        (EXPECTED, "Expected metric", none),
        *([(PARTS, "What each stream adds to the answer", corner)] if attributed else []),
        *((f"{SEEN}/{stream}", stream, none) for stream, kind in kinds.items() if kind == "vector"),
    ]
    return [rrb.TimeSeriesView(origin=f"/{path}", name=title, plot_legend=legend) for path, title, legend in rows]
