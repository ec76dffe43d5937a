"""The sink `ros2:`: answers as messages in a ROS 2 graph, with ROS or without."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import TracebackType

from edgefuse.errors import SinkError
from edgefuse.ros.answers import TOLD
from edgefuse.ros.bus import Bus, domain_of, open_bus, require
from edgefuse.sinks.base import Sink
from edgefuse.types import Result

_PLACE = "ros2"


class Ros2Sink(Sink):
    """Publishes each answer as `edgefuse_msgs/msg/Result`, as diagnostics, and as the JSON line of a `.jsonl`.

    tell     takes a line for a person: what could not be announced, as ROS was built without that type, and how many
             messages could not be sent in time, as whoever must get them did not keep up
    dropped  these
    """

    def __init__(self, opened: Callable[[], Bus], tell: Callable[[str], None]) -> None:
        self._open, self._tell = opened, tell
        self.dropped = 0

    def __enter__(self) -> Ros2Sink:
        """Join the graph; a SinkError when that is not possible."""
        try:
            self._bus = self._open()
            self._announced = [topic for topic, (name, _) in TOLD.items() if self._bus.advertise(topic, name)]
        except ConnectionError as error:
            raise SinkError(f"cannot be joined: {error}", place=_PLACE) from error
        for topic, (name, _) in TOLD.items():
            if topic not in self._announced:
                self._tell(f"note: {_PLACE}: {topic} is left out: ROS was built without {name}")
        return self

    def write(self, result: Result, truth: Mapping[str, str] | None = None) -> None:
        """Publish one answer; a SinkError when the network fails."""
        try:
            for topic in self._announced:
                self.dropped += not self._bus.publish(topic, TOLD[topic][1](result, truth))
        except ConnectionError as error:
            raise SinkError(f"cannot be sent: {error}", place=_PLACE) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bus.close()
        if self.dropped:
            self._tell(f"note: {_PLACE}: {self.dropped} messages could not be sent in time")


def sink_of(options: str, tell: Callable[[str], None]) -> Ros2Sink:
    """`domain=N`, or nothing for this computer's; SinkError where it is something else.

    ModuleNotFoundError where what joins a graph is not installed.
    """
    given = re.fullmatch(r"\??(?:domain=(\d+))?", options)
    try:
        if given is None:
            raise ConnectionError("the one option is domain=N")
        domain = domain_of(given[1] or "")
    except ConnectionError as error:
        raise SinkError(str(error), place=f"{_PLACE}:{options}") from error
    require()
    return Ros2Sink(lambda: open_bus(domain), tell)
