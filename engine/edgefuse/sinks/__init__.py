"""Where results go: a path or a URI names a sink, and this table says which class writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgefuse.sinks.base import Sink
from edgefuse.sinks.beside import Beside
from edgefuse.sinks.jsonl import JsonlSink

__all__ = ["Beside", "JsonlSink", "Setting", "Sink", "open_sink"]


def _untold(line: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Setting:
    """What a sink may want to know of a run.

    kinds  kind of each stream, by name
    live   time is the clock's, not a recording's
    tell   takes a line for a person: where something is served
    """

    kinds: Mapping[str, str]
    live: bool = False
    tell: Callable[[str], None] = field(default=_untold, compare=False)


Maker = Callable[[str, Setting], Sink]


def _mcap(path: str, setting: Setting) -> Sink:
    from edgefuse.sinks.mcap import McapSink

    return McapSink(path, setting.kinds)


def _foxglove(rest: str, setting: Setting) -> Sink:
    from edgefuse.sinks.foxglove import FoxgloveSink

    return FoxgloveSink(f"foxglove:{rest}", setting)


def _prometheus(rest: str, setting: Setting) -> Sink:
    from edgefuse.sinks.prometheus import PrometheusSink

    return PrometheusSink(f"prometheus:{rest}", setting)


def _rerun(rest: str, setting: Setting) -> Sink:
    from edgefuse.sinks.rerun import RerunSink

    return RerunSink(f"rerun:{rest}", setting)


def _ros2(rest: str, setting: Setting) -> Sink:
    from edgefuse.sinks.ros2 import sink_of

    return sink_of(rest, setting.tell)


SCHEMES: Mapping[str, Maker] = {"foxglove": _foxglove, "prometheus": _prometheus, "rerun": _rerun, "ros2": _ros2}
SUFFIXES: Mapping[str, Maker] = {".mcap": _mcap, ".rrd": _rerun}


def open_sink(uri: str, setting: Setting) -> Sink:
    """The sink at a path, by its ending (JSON lines where no other is known), or at a URI; nothing is opened yet."""
    scheme, colon, rest = uri.partition(":")
    if colon and scheme in SCHEMES:
        return Beside(SCHEMES[scheme](rest, setting), lossy=setting.live)
    make = SUFFIXES.get(Path(uri).suffix.lower())
    return JsonlSink(uri, setting.kinds) if make is None else Beside(make(uri, setting), lossy=setting.live)
