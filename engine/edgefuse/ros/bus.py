"""The seam to a ROS 2 graph: which topics are published, and messages in and out as the CDR bytes that they are."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Protocol

from edgefuse.ros.written import Written

LAST_DOMAIN = 232  # beyond, DDS has no port numbers left


@dataclass(frozen=True, slots=True)
class Heard:
    """One message as it was received."""

    topic: str
    type: str
    data: bytes


class Bus(Protocol):
    """A participant in a ROS 2 graph. Every method belongs to one thread, and raises ConnectionError where it cannot.

    problems  what hinders it, in words, as far as it knows
    """

    problems: list[str]

    def published(self) -> Mapping[str, Set[str]]:
        """Topic -> types, `package/msg/Name`, that somebody publishes on it now."""
        ...

    def subscribe(self, topic: str, name: str, room: int) -> None:
        """Receive a topic's messages of the type `name`; so many may wait to be taken."""
        ...

    def take(self, wait_s: float) -> list[Heard]:
        """All that has come; waits for the first of it, but no longer than wait_s."""
        ...

    def lost(self) -> Mapping[str, int]:
        """Topic -> messages that were received and lost before they could be taken, since it was subscribed to."""
        ...

    def advertise(self, topic: str, name: str) -> bool:
        """Announce messages of a type on a topic; False where that type is not there."""
        ...

    def publish(self, topic: str, message: Written) -> bool:
        """Send a message on a topic that was announced; False where it could not be sent in time."""
        ...

    def close(self) -> None:
        """Leave the graph."""
        ...


def open_bus(domain: int) -> Bus:
    """Join a ROS 2 graph by rclpy where ROS is at hand, else by cyclonedds.

    ModuleNotFoundError where neither is installed, ConnectionError where the network cannot be joined.
    """
    require()
    if with_ros():
        from edgefuse.ros.node import Node

        return Node(domain)
    from edgefuse.ros.dds import Participant

    return Participant(domain)


def require() -> None:
    """ModuleNotFoundError where a graph could not be joined for lack of a package."""
    if not with_ros():
        import cyclonedds  # noqa: F401


def with_ros() -> bool:
    """Is ROS 2 itself at hand, in this Python?"""
    try:
        return importlib.util.find_spec("rclpy") is not None
    except ValueError:  # a module that stands in for it, without a spec
        return True


def domain_of(told: str) -> int:
    """A domain's number; ROS_DOMAIN_ID, or else 0, where none is told. ConnectionError where it is none."""
    number = told or os.environ.get("ROS_DOMAIN_ID", "") or "0"
    if not number.isdecimal() or int(number) > LAST_DOMAIN:
        source = "" if told else " of ROS_DOMAIN_ID"
        raise ConnectionError(f"a domain is a number from 0 to {LAST_DOMAIN}, not {number!r}{source}")
    return int(number)
