"""Where results go: a path or a URI names a sink, and this table says which class writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgefuse.sinks.base import Sink
from edgefuse.sinks.beside import Beside
from edgefuse.sinks.jsonl import JsonlSink

__all__ = ["Beside", "JsonlSink", "Setting", "Sink", "open_sink"]


@dataclass(frozen=True, slots=True)
class Setting:
    """What a sink may want to know of a run: the kind of each stream, and whether time is the clock's or recorded."""

    kinds: Mapping[str, str]
    live: bool = False


Maker = Callable[[str, Setting], Sink]

SCHEMES: Mapping[str, Maker] = {}
SUFFIXES: Mapping[str, Maker] = {}


def open_sink(uri: str, setting: Setting) -> Sink:
    """The sink at a path, by its ending (JSON lines where no other is known), or at a URI; nothing is opened yet."""
    scheme, colon, rest = uri.partition(":")
    if colon and scheme in SCHEMES:
        return Beside(SCHEMES[scheme](rest, setting), lossy=setting.live)
    make = SUFFIXES.get(Path(uri).suffix.lower())
    return JsonlSink(uri) if make is None else Beside(make(uri, setting), lossy=setting.live)
