"""Recordings of ROS: bags of ROS 1 and 2 and bare MCAP files as messages in the order in which they were received."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edgefuse.errors import SourceError
from edgefuse.types import NS_PER_S

MCAP_END = b"\x89MCAP0\r\n"
_FILES = ("*.mcap", "*.db3", "*.bag")


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it was recorded: log_ns is when it was received, on the recorder's clock."""

    topic: str
    type: str
    log_ns: int
    data: bytes


class Recording(Protocol):
    """What can be read of a recording, as often as one likes.

    topics    topic -> type, `package/msg/Name`; of a topic with several types the first
    length_ns  from the first message to the last
    problems  what is wrong with the recording itself, in words; may grow while it is read
    """

    path: Path
    topics: dict[str, str]
    length_ns: int
    problems: list[str]

    def messages(self, topics: Collection[str]) -> Iterator[Message]:
        """Every message of these topics, by log_ns."""
        ...

    def decode(self, message: Message) -> Any:
        """What a message holds, as rosbags gives it; ValueError where it is not of its type."""
        ...


def open_recording(path: Path) -> Recording:
    """Open a `.bag`, the folder of a ROS 2 bag, an `.mcap` or a `.db3`; SourceError where none of it can be read.

    Of a folder whose metadata is wrong the file itself is read, and of an MCAP file that was cut off what is whole:
    both are problems, not errors. A bag of ROS 1 has no metadata, and may lie alone in its folder.
    """
    if not path.exists():
        raise SourceError("no such file or folder", place=str(path))
    try:
        return Indexed(path, [])
    except SourceError as error:
        refused = error
    files = [file for pattern in _FILES for file in sorted(path.glob(pattern))] if path.is_dir() else [path]
    if all(_ended(file) for file in files) and len(files) == 1 and path.is_dir():
        with suppress(SourceError):
            told = [] if files[0].suffix == ".bag" else [f"metadata is not used: {refused.what}"]
            return Indexed(files[0], told)
    if files and all(_is_mcap(file) and file.is_file() for file in files):
        return FromFront(files, path)
    if len(files) > 1 and not (path / "metadata.yaml").exists():
        names = ", ".join(file.name for file in files)
        raise SourceError(f"holds {names}, and no metadata.yaml that joins them: name one", place=str(path))
    raise refused


class Indexed:
    """A recording that was closed as it should be, read by its index."""

    def __init__(self, path: Path, problems: list[str]) -> None:
        self.path, self.problems = path, problems
        with self._opened() as reader:
            self.topics = {c.topic: c.msgtype for c in reversed(reader.connections)}
            self.length_ns = max(0, reader.end_time - reader.start_time) if reader.message_count else 0
            self._typestore, self._ros1 = reader.typestore, not reader.is2

    def messages(self, topics: Collection[str]) -> Iterator[Message]:
        with self._opened() as reader:
            asked = [connection for connection in reader.connections if connection.topic in topics]
            try:
                for connection, log_ns, data in reader.messages(asked) if asked else ():
                    yield Message(connection.topic, connection.msgtype, log_ns, bytes(data))
            except Exception as error:  # noqa: BLE001 (storage back ends raise what they like)
                self.problems.append(f"ends early: {_words(error)}")

    def decode(self, message: Message) -> Any:
        return _decoded(self._typestore, message, ros1=self._ros1)

    def _opened(self) -> Any:
        from rosbags.highlevel import AnyReader
        from rosbags.typesys import Stores, get_typestore

        try:
            reader = AnyReader([self.path], default_typestore=get_typestore(Stores.ROS2_HUMBLE))
            reader.open()
        except Exception as error:
            raise SourceError(f"cannot be read as a recording: {_words(error)}", place=str(self.path)) from error
        return closing(reader)


class FromFront:
    """MCAP files by no index: without their end, as a power loss leaves them, or whole ones that no ROS recorded.

    They are read to the last whole message, and where the end is missing that is told.
    """

    def __init__(self, files: list[Path], path: Path) -> None:
        from rosbags.typesys import Stores, get_typestore

        self.path, self.problems, self._files = path, list[str](), files
        self._typestore: Any = get_typestore(Stores.EMPTY)
        self._known: set[str] = set()
        self.topics: dict[str, str] = {}
        count, first_ns, last_ns = 0, 0, 0
        for message in self.messages(None):
            self.topics.setdefault(message.topic, message.type)
            first_ns, last_ns = first_ns or message.log_ns, max(last_ns, message.log_ns)
            count += 1
        cut = not all(_ended(file) for file in files)
        if count == 0:
            why = "cut off before its first whole message" if cut else "holds no message of ROS 2"
            raise SourceError(why, place=str(path))
        self.length_ns = last_ns - first_ns
        if cut:
            told = f"{count} whole messages, {self.length_ns / NS_PER_S:.2f} s"
            self.problems.append(f"cut off: it ends without an index; read from the front: {told}")

    def messages(self, topics: Collection[str] | None) -> Iterator[Message]:
        from mcap.reader import NonSeekingReader

        for path in self._files:
            with path.open("rb") as file:
                found = NonSeekingReader(file).iter_messages(topics, log_time_order=False)
                yield from self._whole(found)

    def decode(self, message: Message) -> Any:
        return _decoded(self._typestore, message, ros1=False)

    def _whole(self, found: Iterator[Any]) -> Iterator[Message]:
        while True:
            try:
                schema, channel, message = next(found)
            except Exception:  # noqa: BLE001 (the end, or what a decompressor says of half a chunk)
                return
            if schema is not None and self._learn(schema):
                yield Message(channel.topic, schema.name, message.log_time, bytes(message.data))

    def _learn(self, schema: Any) -> bool:
        """Register the type that a schema tells; False where it is in no language that is known."""
        from rosbags.typesys import get_types_from_msg

        if schema.encoding != "ros2msg":
            return False
        if schema.name not in self._known:
            self._known.add(schema.name)
            told = get_types_from_msg(schema.data.decode(), schema.name)
            self._typestore.register({n: d for n, d in told.items() if n not in self._typestore.fielddefs})
        return True


def _decoded(typestore: Any, message: Message, *, ros1: bool) -> Any:
    try:
        if ros1:
            return typestore.deserialize_ros1(message.data, message.type)
        return typestore.deserialize_cdr(message.data, message.type)
    except Exception as error:
        raise ValueError(f"is no whole {message.type}: {_words(error)}") from error


def _is_mcap(path: Path) -> bool:
    """By its name, which ends in `.part` while it is written, and for good where that was broken off."""
    return path.name.endswith((".mcap", ".mcap.part"))


def _ended(path: Path) -> bool:
    """Does a file end as an MCAP file should? Others are taken to."""
    if not _is_mcap(path):
        return True
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(MCAP_END)))
        return file.read() == MCAP_END


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
