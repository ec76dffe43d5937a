"""MCAP: the samples as they came and the answers made from them, side by side in a recording that ROS 2 tools read."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

from edgefuse.errors import SinkError
from edgefuse.files import part_of
from edgefuse.ros.answers import TOLD
from edgefuse.ros.definitions import definition, type_hash, typestore
from edgefuse.ros.written import Written, reading, topic_of
from edgefuse.sinks.base import Sink
from edgefuse.types import Result, Sample
from edgefuse.version import __version__

CHUNK_BYTES = 2 << 20
CHUNK_S = 1.0  # and no longer: what a power loss may cost
_LAST_NS = (1 << 64) - 1


class McapSink(Sink):
    """Writes to `path`, which appears complete at the end of a `with` block or not at all.

    Until then, and after a failure for good, all that is whole is in `path` + ".part", which `bag:` plays to its last
    chunk. Samples are on `/edgefuse/STREAM` at the time they arrived; answers on `/edgefuse/result`, `/diagnostics` and
    whole, as the JSON line of a `.jsonl`, on `/edgefuse/result_json`, at the time that they answer for.

    kinds  stream -> modality kind
    """

    def __init__(self, path: str | os.PathLike[str], kinds: Mapping[str, str]) -> None:
        import mcap.writer

        typestore()  # what is not installed is told before there is work to lose
        self._mcap: Any = mcap.writer
        self.path, self._kinds = Path(path), kinds
        self._direct = self.path.exists() and not self.path.is_file()
        self._target = self.path if self._direct else part_of(self.path)
        self._schemas: dict[str, int] = {}
        self._channels: dict[tuple[str, str], int] = {}

    def __enter__(self) -> McapSink:
        """Open for writing; a SinkError when that is not possible."""
        try:
            self._file = _Whole(self._target.open("wb", buffering=0), regular=not self._direct)
        except OSError as error:
            raise SinkError(f"cannot be opened for writing: {error.strerror}", place=str(self.path)) from error
        how = self._mcap.CompressionType.LZ4
        self._writer = self._mcap.Writer(self._file, chunk_size=CHUNK_BYTES, compression=how)
        self._kept_at_s = time.monotonic()
        try:
            self._stored(partial(self._writer.start, "ros2", library=f"edgefuse {__version__}"))
        except SinkError:
            self._file.close()
            raise
        return self

    def sample(self, stream: str, sample: Sample) -> None:
        """Append one reading; a SinkError when it cannot be stored."""
        message = reading(self._kinds.get(stream, ""), sample.payload, sample.stamp_ns, stream)
        self._stored(partial(self._add, topic_of(stream), message, sample.arrived_ns, sample.stamp_ns))

    def write(self, result: Result, truth: Mapping[str, str] | None = None) -> None:
        """Append one answer; a SinkError when it cannot be stored."""
        for topic, (_, told) in TOLD.items():
            self._stored(partial(self._add, topic, told(result, truth), result.t_ns, result.t_ns))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(*([SinkError] if kind is not None else [])):
            self._stored(partial(self._close, whole=kind is None))

    def _close(self, *, whole: bool) -> None:
        try:
            if not self._file.broken:
                (self._writer.finish if whole else self._writer.flush)()
                self._file.whole_bytes = self._file.bytes
        finally:
            self._file.close()
        if whole and not (self._direct or self._file.broken):
            self._target.replace(self.path)

    def _add(self, topic: str, message: Written, log_ns: int, stamp_ns: int) -> None:
        channel = self._channels.get((topic, message.type)) or self._channel(topic, message.type)
        logged, stamp = (min(max(ns, 0), _LAST_NS) for ns in (log_ns, stamp_ns))
        self._writer.add_message(channel, logged, message.data, publish_time=stamp)
        if time.monotonic() - self._kept_at_s >= CHUNK_S:
            self._writer.flush()
            self._file.to_disk()
            self._kept_at_s = time.monotonic()

    def _channel(self, topic: str, name: str) -> int:
        if name not in self._schemas:
            self._schemas[name] = self._writer.register_schema(name, "ros2msg", definition(name).encode())
        hashed = {"topic_type_hash": type_hash(name)}
        channel = int(self._writer.register_channel(topic, "cdr", self._schemas[name], hashed))
        self._channels[topic, name] = channel
        return channel

    def _stored(self, work: Callable[[], object]) -> None:
        try:
            work()
        except OSError as error:
            kept = "" if self._direct else f"; what was whole before is in {self._target}"
            raise SinkError(f"cannot be written: {error.strerror or error}{kept}", place=str(self.path)) from error
        self._file.whole_bytes = self._file.bytes


class _Whole:
    """A file that takes all that is written or is broken from then on, and ends where it was whole.

    bytes        written so far
    whole_bytes  of these, set by whoever writes: what comes after is cut away at the end
    """

    def __init__(self, file: FileIO, *, regular: bool) -> None:
        self._file, self._regular = file, regular
        self.bytes, self.whole_bytes = 0, 0
        self.broken = False

    def write(self, data: bytes) -> int:
        """Write all of it, or raise the OSError that says why not."""
        view = memoryview(data)
        try:
            while view:
                taken = self._file.write(view)
                self.bytes += taken
                view = view[taken:]
        except OSError:
            self.broken = True
            raise
        return len(data)

    def tell(self) -> int:
        """Where the next byte goes, of a pipe too."""
        return self.bytes

    def flush(self) -> None:
        """Nothing is held back."""

    def to_disk(self) -> None:
        """Wait until a power loss cannot take away what was written."""
        if self._regular:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Cut away what is not whole, and close."""
        with self._file:
            if self._regular:
                self._file.truncate(self.whole_bytes)
                os.fsync(self._file.fileno())
