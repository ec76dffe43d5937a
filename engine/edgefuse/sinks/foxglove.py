"""Foxglove: pictures, clouds, places and results for its viewer, live on this computer, in an MCAP file, or both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from edgefuse.errors import SinkError
from edgefuse.files import write_whole
from edgefuse.ros.answers import RESULT_TOPIC
from edgefuse.ros.written import topic_of
from edgefuse.sinks import Setting
from edgefuse.sinks.base import Sink
from edgefuse.sinks.foxglove_layout import layout
from edgefuse.sinks.foxglove_messages import (
    FORMS,
    FRAMES,
    TRUST,
    VECTOR_SCHEMA,
    frames,
    result_schema,
    trust_numbers,
    trust_schema,
)
from edgefuse.sinks.partfile import PartFile
from edgefuse.sinks.places import HOST, free_port, places_of
from edgefuse.sinks.shown import shown
from edgefuse.types import Result, Sample

PORT = 8765  # where Foxglove looks when nothing else is said
_BACKLOG = 64  # messages that wait for a viewer, the oldest given up first: a cloud may have 2 MB
_MOST_NS = (1 << 64) - 1


class FoxgloveSink(Sink):
    """`foxglove:8765` serves on 127.0.0.1, `foxglove:run.mcap` records, `foxglove:8765,run.mcap` does both.

    A path that ends in .json gets the layout for these streams, to be imported once. Samples are on `/edgefuse/STREAM`
    at the time they arrived, with their stamp inside; answers on `/edgefuse/result`, and as numbers on
    `/edgefuse/trust`, at the time that they answer for. What nobody looks at is not encoded; what is not as its kind
    states is left out.
    """

    def __init__(self, uri: str, setting: Setting) -> None:
        self._kinds, self._tell = setting.kinds, setting.tell
        self._places = places_of(uri, PORT, (".mcap", ".json"))
        self._channels: dict[str, Any] = {}
        self._file: PartFile | None = None
        self._writer: Any = None
        self._server: Any = None

    def __enter__(self) -> FoxgloveSink:
        """Open all of it; a SinkError where a file or a port cannot be had."""
        import foxglove

        context = self._context = foxglove.Context()  # kept: its channels end with it
        self._channels = _channels(foxglove, context, self._kinds)
        self._frames = frames(self._kinds)
        self._write_layout()
        port = None if self._places.port is None else free_port(self._places)
        self._record(foxglove, context)
        if port is not None:  # last, as it cannot fail any more
            self._serve(foxglove, context, port)
        return self

    def sample(self, stream: str, sample: Sample) -> None:
        channel, kind = self._channels[stream], self._kinds[stream]
        if channel.has_sinks() and (payload := shown(kind, sample.payload)) is not None:
            channel.log(FORMS[kind].message(stream, sample, payload), log_time=_log_time(sample.arrived_ns))
        self._check()

    def write(self, result: Result, truth: Mapping[str, str] | None = None) -> None:
        document = {**result.as_json(), **({"truth": dict(truth)} if truth is not None else {})}
        log_time = _log_time(result.t_ns)
        self._channels[RESULT_TOPIC].log(_json(document), log_time=log_time)
        self._channels[TRUST].log(_json(trust_numbers(result)), log_time=log_time)
        self._channels[FRAMES].log(self._frames, log_time=log_time)
        self._check()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.stop()
        if self._file is not None:
            self._writer.close()
            self._file.close(whole=kind is None)

    def _write_layout(self) -> None:
        path = self._places.files.get(".json")
        if path is None:
            return
        try:
            write_whole(path, (json.dumps(layout(self._kinds), indent=1) + "\n").encode())
        except OSError as error:
            raise SinkError(f"cannot be written: {error.strerror or error}", place=str(path)) from error

    def _serve(self, foxglove: Any, context: Any, port: int) -> None:
        options = {"name": "edgefuse", "host": HOST, "port": port, "message_backlog_size": _BACKLOG}
        self._server = foxglove.start_server(context=context, **options)
        self._tell(f"foxglove: open a connection to ws://{HOST}:{port} in Foxglove")

    def _record(self, foxglove: Any, context: Any) -> None:
        from foxglove.mcap import MCAPWriteOptions

        path = self._places.files.get(".mcap")
        if path is None:
            return
        self._file = PartFile(path)
        # No threads of its own: the cores belong to the engine.
        options = MCAPWriteOptions(compression_threads=0)
        self._writer = foxglove.open_mcap(self._file, context=context, writer_options=options)

    def _check(self) -> None:
        if self._file is not None:
            self._file.check()


def _channels(foxglove: Any, context: Any, kinds: Mapping[str, str]) -> dict[str, Any]:
    from foxglove import channels

    def channel(stream: str, kind: str) -> Any:
        if kind == "vector":
            return foxglove.Channel(topic_of(stream), schema=VECTOR_SCHEMA, context=context)
        return getattr(channels, FORMS[kind].channel)(topic_of(stream), context=context)

    return {
        **{stream: channel(stream, kind) for stream, kind in kinds.items()},
        RESULT_TOPIC: foxglove.Channel(RESULT_TOPIC, schema=result_schema(kinds), context=context),
        TRUST: foxglove.Channel(TRUST, schema=trust_schema(kinds), context=context),
        FRAMES: channels.FrameTransformsChannel(FRAMES, context=context),
    }


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, allow_nan=False, separators=(",", ":")).encode()


def _log_time(time_ns: int) -> int:
    return min(max(time_ns, 0), _MOST_NS)
