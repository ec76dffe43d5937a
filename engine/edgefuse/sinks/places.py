"""Places: where a viewer's sink serves and what it writes, as its URI says, `PORT`, `FILE` or several with commas."""

from __future__ import annotations

import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgefuse.errors import SinkError

HOST = "127.0.0.1"  # nothing is ever served to another computer
_MOST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Places:
    """What a URI asks for: a port, 0 for any that is free, None for no server; and files by their ending."""

    uri: str
    port: int | None
    files: Mapping[str, Path]


def places_of(uri: str, usual_port: int, suffixes: Collection[str] = ()) -> Places:
    """The places in `SCHEME:PORT,FILE`, each at most once; none means the usual port. A SinkError names the URI."""
    port, files = None, dict[str, Path]()
    parts = [part for part in uri.partition(":")[2].split(",") if part]
    for part in parts:
        suffix = Path(part).suffix.lower()
        if part.isdecimal() and int(part) <= _MOST_PORT and port is None:
            port = int(part)
        elif suffix in suffixes and suffix not in files:
            files[suffix] = Path(part)
        else:
            raise SinkError(f"{part!r} {_wanted(suffixes)}", place=uri)
    return Places(uri, port if parts else usual_port, files)


def _wanted(suffixes: Collection[str]) -> str:
    paths = f", nor a path that ends in {' or '.join(suffixes)}" if suffixes else ""
    return f"is no port from 0 to {_MOST_PORT}{paths}, or one too many"


def free_port(place: Places) -> int:
    """The port to serve on, one that is free where 0 was asked for; a SinkError where something else has it."""
    assert place.port is not None
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was closed a moment ago is free
        try:
            probe.bind((HOST, place.port))
        except OSError as error:
            raise SinkError(f"port {place.port} cannot be served on: {error.strerror}", place=place.uri) from error
        return int(probe.getsockname()[1])
