"""A ROS 2 graph without ROS: DDS by cyclonedds, with the names, types and qualities of service that ROS 2 has."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from edgefuse.ros.bus import Heard
from edgefuse.ros.definitions import type_hash
from edgefuse.ros.idl import carried, carrier, ros_type
from edgefuse.ros.sockets import BUFFER_BYTES, too_small
from edgefuse.ros.written import Written
from edgefuse.types import NS_PER_S

PREFIX = "rt"  # of the topics of ROS among those of DDS
RESULTS = 10  # that are kept for readers who miss some
_MOST_CHANGES = 1000  # of publishers, looked at in one go
# A picture and a cloud that come together are 3 MB, which do not fit into the 1 MB that cyclonedds asks for. Whatever
# CYCLONEDDS_URI says comes after, and counts.
_BUFFER = (
    "<CycloneDDS><Domain><Internal>"
    f'<SocketReceiveBufferSize max="{BUFFER_BYTES >> 20}MB"/>'
    "</Internal></Domain></CycloneDDS>"
)


class Participant:
    """A `Bus` over DDS. Subscribes best effort, so that it hears every publisher and holds up none; publishes reliably.

    What comes while nobody takes is kept up to the room that a subscription has, and what then comes is lost and
    counted. What the network loses is not: of a publisher that is not asked to repeat itself, DDS does not tell.
    """

    def __init__(self, domain: int) -> None:
        from cyclonedds.builtin import BuiltinDataReader, BuiltinTopicDcpsPublication
        from cyclonedds.core import WaitSet
        from cyclonedds.domain import DomainParticipant

        self.problems = [problem] if (problem := too_small()) else []
        with _connected():
            _configured(domain)
            self._participant: Any = DomainParticipant(domain)
            self._discovery: Any = BuiltinDataReader(self._participant, BuiltinTopicDcpsPublication)
            self._waitset: Any = WaitSet(self._participant)
        self._endpoints: dict[Any, tuple[str, str]] = {}
        self._readers: list[_Reader] = []
        self._writers: dict[str, Any] = {}

    def published(self) -> Mapping[str, Set[str]]:
        for endpoint in self._changes():
            if endpoint.sample_info.valid_data:
                self._endpoints[endpoint.key] = endpoint.topic_name, ros_type(endpoint.type_name)
            else:
                self._endpoints.pop(endpoint.key, None)
        found: dict[str, set[str]] = {}
        for topic, name in self._endpoints.values():
            if topic.startswith(f"{PREFIX}/"):
                found.setdefault(topic.removeprefix(PREFIX), set()).add(name)
        return found

    def _changes(self) -> Iterator[Any]:
        """Publishers that have come or gone: one by one, so that one beyond cyclonedds takes no other along."""
        from cyclonedds.core import DDSException

        for _ in range(_MOST_CHANGES):
            try:
                found = self._discovery.take(1)
            except DDSException as error:
                raise ConnectionError(_words(error)) from error
            except Exception:  # noqa: BLE001 (it raises no more than that)
                continue
            if not found:
                return
            yield found[0]

    def subscribe(self, topic: str, name: str, room: int) -> None:
        from cyclonedds.core import InstanceState, Policy, ReadCondition, SampleState, ViewState
        from cyclonedds.sub import DataReader

        # With KeepLast the newest would push out the oldest, and nobody would know.
        kept = Policy.ResourceLimits(max_samples=room, max_instances=-1, max_samples_per_instance=-1)
        qos = _qos(name, Policy.Reliability.BestEffort, Policy.History.KeepAll, kept)
        with _connected():
            reader = DataReader(self._participant, self._topic(topic, name), qos=qos)
            self._waitset.attach(ReadCondition(reader, SampleState.Any | ViewState.Any | InstanceState.Any))
        self._readers.append(_Reader(topic, name, room, reader))

    def take(self, wait_s: float) -> list[Heard]:
        with _connected():
            if not self._waitset.wait(round(wait_s * NS_PER_S)):
                return []
            return [heard for reader in self._readers for heard in reader.taken()]

    def lost(self) -> Mapping[str, int]:
        found: dict[str, int] = {}
        with _connected():
            for reader in self._readers:
                found[reader.topic] = found.get(reader.topic, 0) + reader.lost()
        return found

    def advertise(self, topic: str, name: str) -> bool:
        from cyclonedds.core import Policy
        from cyclonedds.pub import DataWriter

        reliable = Policy.Reliability.Reliable(max_blocking_time=NS_PER_S // 10)
        qos = _qos(name, reliable, Policy.History.KeepLast(RESULTS), Policy.Durability.Volatile)
        with _connected():
            self._writers[topic] = DataWriter(self._participant, self._topic(topic, name), qos=qos)
        return True

    def publish(self, topic: str, message: Written) -> bool:
        from cyclonedds.core import DDSException

        with _connected():
            try:
                self._writers[topic].write(carried(message.type, message.data))
            except DDSException as error:
                if error.code == DDSException.DDS_RETCODE_TIMEOUT:
                    return False
                raise
        return True

    def close(self) -> None:
        # cyclonedds ends what nobody refers to any more.
        self._waitset = self._discovery = None
        self._readers.clear()
        self._writers.clear()
        self._participant = None

    def _topic(self, topic: str, name: str) -> Any:
        from cyclonedds.topic import Topic

        return Topic(self._participant, f"{PREFIX}{topic}", carrier(name))


@dataclass(frozen=True, slots=True)
class _Reader:
    topic: str
    type: str
    room: int
    reader: Any

    def taken(self) -> list[Heard]:
        samples = self.reader.take(self.room)
        # Others say that a publisher has gone.
        return [Heard(self.topic, self.type, sample.data) for sample in samples if sample.sample_info.valid_data]

    def lost(self) -> int:
        rejected, lost = self.reader.get_sample_rejected_status(), self.reader.get_sample_lost_status()
        return int(rejected.total_count) + int(lost.total_count)


@cache
def _configured(domain: int) -> Any:
    """The domain with a large buffer; it is kept, as it would take all that is in it along."""
    from cyclonedds.core import DDSException
    from cyclonedds.domain import Domain

    own = os.environ.get("CYCLONEDDS_URI", "")
    try:
        return Domain(domain, f"{_BUFFER},{own}" if own else _BUFFER)
    except DDSException as error:
        if error.code == DDSException.DDS_RETCODE_PRECONDITION_NOT_MET:  # somebody else in this process was first
            return None
        raise


def _qos(name: str, *policies: Any) -> Any:
    """With the hash by which ROS 2 from Iron on compares types."""
    from cyclonedds.core import Policy, Qos

    return Qos(*policies, Policy.Userdata(f"typehash={type_hash(name)};".encode()))


@contextmanager
def _connected() -> Iterator[None]:
    """What cyclonedds refuses, as a ConnectionError."""
    from cyclonedds.core import DDSException

    try:
        yield
    except DDSException as error:
        raise ConnectionError(_words(error)) from error


def _words(error: Exception) -> str:
    return " ".join(str(error).split())
