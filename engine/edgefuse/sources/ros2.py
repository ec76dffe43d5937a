"""The source `ros2:`: topics of a ROS 2 graph as they are published, with ROS or without."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress

from edgefuse.errors import SourceError
from edgefuse.ros.bus import Bus, Heard, domain_of, open_bus
from edgefuse.ros.definitions import decoded
from edgefuse.ros.messages import KINDS, READERS, stamp_of
from edgefuse.sources.base import Source
from edgefuse.sources.clock import now_ns
from edgefuse.types import Sample

LOOK_S = 0.2  # how often somebody looks which topics there are, and whether this is to end
PATIENCE_S = 5.0  # after that, a topic that is not there is told; it is still waited for
LARGE_ROOM, SMALL_ROOM = 5, 50  # pictures and clouds that may wait; fixes and vectors come more often
_PLACE = "ros2"


class Ros2Source(Source):
    """The wanted topics of a graph (all that can be read, where none were named), of the types in `ros.messages`.

    Stamps are those of the headers: ROS stamps by the system clock, which the engine's agrees with. A message without
    one has the time at which it came. A topic is named as it is wanted, with or without its first slash. Whatever is
    wrong is a `Problem` of its topic, told once and counted, and nothing of it ends the others: a topic that does not
    come, that nobody publishes any more, that is of a type that is not read, messages that cannot be read, or that
    came faster than they were taken.
    """

    live = True

    def __init__(self, bus: Bus) -> None:
        super().__init__()
        self._bus = bus
        self._closed = threading.Event()
        self._types: dict[str, set[str]] = {}  # that have been seen on a topic
        self._lost: dict[str, int] = {}
        self._gone: set[str] = set()
        self._told: set[str] = set()
        for what in bus.problems:
            self.report(_PLACE, what)

    def samples(self) -> Iterator[Sample]:
        """Every sample of the wanted topics as it comes, until `close`."""
        started_s = looked_s = time.monotonic()
        try:
            self._look(patient=True)
            while not self._closed.is_set():
                heard, arrival_ns = self._bus.take(LOOK_S), now_ns()
                for message in heard:
                    yield from self._of(message, arrival_ns)
                if time.monotonic() - looked_s >= LOOK_S:
                    looked_s = time.monotonic()
                    self._look(patient=looked_s - started_s < PATIENCE_S)
        except ConnectionError as error:
            raise SourceError(f"the network failed: {error}", place=_PLACE) from error
        finally:
            with suppress(ConnectionError):
                self._count_lost()
            self._bus.close()

    def close(self) -> None:
        self._closed.set()

    def _of(self, message: Heard, arrival_ns: int) -> Iterator[Sample]:
        topic = self._named(message.topic)
        try:
            content = decoded(message.data, message.type)
            payload = READERS[message.type](content).payload
        except ValueError as error:
            self.report(topic, str(error))
            return
        stamp_ns = stamp_of(content)
        if stamp_ns is None:
            self.report(topic, "has no stamp: the time at which it came is taken")
        yield Sample(topic, arrival_ns if stamp_ns is None else stamp_ns, payload, arrival_ns)

    def _look(self, *, patient: bool) -> None:
        published = self._bus.published()
        for topic, types in published.items():
            if self.wants(self._named(topic)):
                self._join(topic, types)
        gone = {topic for topic, types in self._types.items() if types and topic not in published}
        for topic in gone - self._gone:
            self.report(self._named(topic), "nobody publishes it any more; it is waited for")
        self._gone = gone
        if not patient:
            self._tell_missing()
        self._count_lost()

    def _join(self, topic: str, types: Iterable[str]) -> None:
        """Subscribe to each type that is new on a topic."""
        known = self._types.setdefault(topic, set())
        for name in sorted(set(types) - known):
            if known:
                self.report(self._named(topic), f"is of type {name} now")
            known.add(name)
            if name not in READERS:
                self.report(self._named(topic), f"is of type {name}, which is not read")
                continue
            room = SMALL_ROOM if KINDS.get(name) in ("gps", "vector") else LARGE_ROOM
            try:
                self._bus.subscribe(topic, name, room)
            except ConnectionError as error:
                self.report(self._named(topic), f"cannot be subscribed to: {error}")

    def _tell_missing(self) -> None:
        seen = {self._named(topic) for topic in self._types}
        for topic in sorted((self._wanted or frozenset()) - seen - self._told):
            self._told.add(topic)
            self.report(topic, "nobody has published it so far; it is waited for")

    def _count_lost(self) -> None:
        for topic, count in self._bus.lost().items():
            if (more := count - self._lost.get(topic, 0)) > 0:
                self.report(self._named(topic), "came faster than it was taken, and was lost", more)
            self._lost[topic] = count

    def _named(self, topic: str) -> str:
        """A topic as it is wanted."""
        short = topic.removeprefix("/")
        return short if self._wanted is not None and short in self._wanted else topic


def join(domain: str, place: str) -> Ros2Source:
    """The graph of a domain, of this computer's where none is told; a SourceError where it cannot be joined."""
    try:
        return Ros2Source(open_bus(domain_of(domain)))
    except ConnectionError as error:
        raise SourceError(f"cannot be joined: {error}", place=place) from error
