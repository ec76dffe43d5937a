"""Rerun: pictures, clouds, the track, trust and answers for its viewer, live on this computer, in a file, or both."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

import numpy as np

from edgefuse.colours import STATE_COLOURS, line_colours
from edgefuse.geodesy import Origin, enu_from_geodetic
from edgefuse.reasons import REASONS
from edgefuse.sinks import Setting
from edgefuse.sinks.base import Sink
from edgefuse.sinks.piped import PipedFile
from edgefuse.sinks.places import HOST, free_port, places_of
from edgefuse.sinks.rerun_blueprint import (
    ANSWER,
    ANSWERS,
    EVENT_TIME,
    EVENTS,
    PARTS,
    SEEN,
    STAMP,
    TRACK,
    TRUST,
    blueprint,
)
from edgefuse.sinks.rerun_entities import ENTITIES, LEVELS, answer, lane, lines, parts, rgb, scale, styles, trust_words
from edgefuse.sinks.shown import shown
from edgefuse.types import NS_PER_S, Array, Result, Sample, Trust

PORT = 9876  # where Rerun looks when nothing else is said
_KEPT = "256MiB"  # for viewers that come later
_DATED_NS = 946_684_800 * NS_PER_S  # from the year 2000 on a time is a date, before it is seconds since a start
_MOST_NS = (1 << 63) - 1
_MOST_LABELS = 64  # of an output that get colours of their own


class RerunSink(Sink):
    """`rerun:9876` serves on 127.0.0.1, `rerun:run.rrd` (as `run.rrd`) records, `rerun:9876,run.rrd` does both.

    A viewer that opens `rerun+http://127.0.0.1:9876/proxy` sees what is still kept, 256 MiB of it, and what comes.
    Timelines are `event_time` of the engine (arrival of a sample, time of an answer) and `stamp` of samples.
    """

    def __init__(self, uri: str, setting: Setting) -> None:
        self._kinds, self._live, self._tell = setting.kinds, setting.live, setting.tell
        self._places = places_of(uri, PORT, (".rrd",))
        self._file: PipedFile | None = None
        self._last: dict[str, str] = {}
        self._labels: dict[str, dict[str, str]] = {}
        self._fixes: dict[str, Array] = {}
        self._origin: Origin | None = None
        self._dated: bool | None = None
        self._laid_out = False

    def __enter__(self) -> RerunSink:
        """Open all of it; a SinkError where a file or a port cannot be had."""
        import rerun

        self._rr = rerun
        self._stream = rerun.RecordingStream("edgefuse")
        self._stream.set_sinks(*self._sinks())
        for name in ("log_tick", "log_time"):
            getattr(self._stream, f"set_{name}_enabled")(False)
        for path, style in styles(rerun, self._kinds):
            self._stream.log(path, style, static=True)
        return self

    def sample(self, stream: str, sample: Sample) -> None:
        kind = self._kinds[stream]
        payload = shown(kind, sample.payload)
        if payload is None:
            return
        if kind == "gps":
            self._fixes[stream] = payload
            return
        self._at(sample.arrived_ns, sample.stamp_ns)
        self._stream.log(f"{SEEN}/{stream}", ENTITIES[kind](self._rr, payload))
        self._check()

    def write(self, result: Result, truth: Mapping[str, str] | None = None) -> None:
        self._lay_out(result)
        self._at(result.t_ns)
        for stream, trust in result.streams.items():
            self._trust(stream, trust)
        self._lane(f"{ANSWERS}/mode", result.mode)
        for output, label in result.labels.items():
            self._label(output, "answer", label)
        for output, label in (truth or {}).items():
            self._label(output, "truth", label)
        for path, value in lines(result):
            self._stream.log(path, self._rr.Scalars(value))
        for output, stream, value in parts(result):
            self._stream.log(f"{PARTS}/{output}/{stream}", self._rr.Scalars(value))
        self._stream.log(ANSWER, self._rr.TextDocument(answer(result, truth), media_type="text/markdown"))
        self._check()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.disconnect()
        if self._file is not None:
            self._file.close(whole=kind is None)

    def _sinks(self) -> list[Any]:
        sinks = list[Any]()
        path = self._places.files.get(".rrd")
        port = None if self._places.port is None else free_port(self._places)
        if path is not None:
            self._file = PipedFile(path)
            # The index at the end grows in memory until then: 0.7 GB an hour, and a live run may go on for days.
            sinks.append(self._rr.FileSink(self._file.entrance, write_footer=not self._live))
        if port is not None:
            sinks.append(self._rr.GrpcServerSink(HOST, port, server_memory_limit=_KEPT))
            self._tell(f"rerun: look on with: rerun rerun+http://{HOST}:{port}/proxy")
        return sinks

    def _at(self, event_ns: int, stamp_ns: int | None = None) -> None:
        self._stream.set_time(EVENT_TIME, **self._time(event_ns))
        if stamp_ns is None:
            self._stream.disable_timeline(STAMP)
        else:
            self._stream.set_time(STAMP, **self._time(stamp_ns))

    def _time(self, time_ns: int) -> dict[str, Any]:
        """A date or a duration, as the first time of the run is."""
        if self._dated is None:
            self._dated = time_ns >= _DATED_NS
        time_ns = min(max(time_ns, -_MOST_NS), _MOST_NS)
        return (
            {"timestamp": np.datetime64(time_ns, "ns")} if self._dated else {"duration": np.timedelta64(time_ns, "ns")}
        )

    def _lay_out(self, result: Result) -> None:
        """Once it is known what results hold."""
        if self._laid_out:
            return
        self._laid_out = True
        self._stream.send_blueprint(blueprint(self._kinds, bool(result.attribution)))
        for output, streams in result.attribution.items():
            for stream, colour in zip(streams, line_colours(len(streams)), strict=True):
                style = self._rr.SeriesLines(names=f"{stream}", colors=rgb(colour))
                self._stream.log(f"{PARTS}/{output}/{stream}", style, static=True)

    def _trust(self, stream: str, trust: Trust) -> None:
        words = trust_words(trust)
        if self._lane(f"{TRUST}/{stream}", words):
            why = f", {REASONS[trust.reason][1].replace('`', '')}" if trust.reason is not None else ""
            self._stream.log(EVENTS, self._rr.TextLog(f"{stream} {words}{why}", level=LEVELS[trust.health]))
        fix = self._fixes.pop(stream, None)
        if fix is not None:
            self._stream.log(f"{TRACK}/{stream}", self._place(fix, STATE_COLOURS[trust.state]))

    def _place(self, fix: Array, colour: str) -> Any:
        """A point in metres from the first fix; north is up, which in a picture is less."""
        latitude_deg, longitude_deg, altitude_m = map(float, fix[:3])
        if self._origin is None:
            self._origin = Origin(latitude_deg, longitude_deg, altitude_m)
            self._stream.log(f"{TRACK}/scale", scale(self._rr), static=True)
        east_m, north_m, _ = enu_from_geodetic(latitude_deg, longitude_deg, altitude_m, self._origin)
        return self._rr.Points2D(
            [[float(east_m), -float(north_m)]], colors=rgb(colour), radii=self._rr.Radius.ui_points(4)
        )

    def _label(self, output: str, which: str, label: str) -> None:
        """A lane of labels; the answer and the truth have the same colours."""
        known = self._labels.setdefault(output, {})
        if label not in known and len(known) < _MOST_LABELS:
            known[label] = line_colours(len(known) + 1)[-1]
            for name in ("answer", "truth"):
                self._stream.log(f"{ANSWERS}/{output}/{name}", lane(self._rr, known), static=True)
        self._lane(f"{ANSWERS}/{output}/{which}", label)

    def _lane(self, path: str, state: str) -> bool:
        """Log a state where it has changed; gives whether it has."""
        if self._last.get(path) == state:
            return False
        self._last[path] = state
        self._stream.log(path, self._rr.StateChange(state=state))
        return True

    def _check(self) -> None:
        if self._file is not None:
            self._file.check()
