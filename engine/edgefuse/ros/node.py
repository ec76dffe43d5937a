"""A ROS 2 graph by ROS itself: rclpy, where it is installed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any

from edgefuse.ros.bus import Heard
from edgefuse.ros.written import Written

RESULTS = 10


class Node:
    """A `Bus` by a node in a context of its own, whose messages stay bytes.

    What is lost before it is taken is not counted: not every middleware of ROS tells.
    """

    def __init__(self, domain: int) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self.problems: list[str] = []
        self._rclpy: Any = rclpy
        self._context: Any = rclpy.Context()
        with _connected():
            rclpy.init(context=self._context, domain_id=domain)
            self._node: Any = rclpy.create_node(f"edgefuse_{os.getpid()}_{id(self)}", context=self._context)
            self._executor: Any = SingleThreadedExecutor(context=self._context)
            self._executor.add_node(self._node)
        self._heard: list[Heard] = []
        self._publishers: dict[str, Any] = {}

    def published(self) -> Mapping[str, Set[str]]:
        with _connected():
            named = self._node.get_topic_names_and_types()
            return {topic: set(types) for topic, types in named if self._node.count_publishers(topic)}

    def subscribe(self, topic: str, name: str, room: int) -> None:
        from rclpy.qos import QoSProfile, ReliabilityPolicy

        built = _built(name)
        if built is None:
            raise ConnectionError(f"type {name} is not built here")
        qos = QoSProfile(depth=room, reliability=ReliabilityPolicy.BEST_EFFORT)
        with _connected():
            self._node.create_subscription(built, topic, partial(self._hear, topic, name), qos, raw=True)

    def take(self, wait_s: float) -> list[Heard]:
        with _connected():
            self._executor.spin_once(timeout_sec=wait_s)
        heard, self._heard = self._heard, []
        return heard

    def lost(self) -> Mapping[str, int]:
        return {}

    def advertise(self, topic: str, name: str) -> bool:
        built = _built(name)
        if built is not None:
            with _connected():
                self._publishers[topic] = self._node.create_publisher(built, topic, RESULTS)
        return built is not None

    def publish(self, topic: str, message: Written) -> bool:
        publisher = self._publishers.get(topic)
        if publisher is not None:
            with _connected():
                publisher.publish(message.data)
        return publisher is not None

    def close(self) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        self._rclpy.shutdown(context=self._context)

    def _hear(self, topic: str, name: str, data: Any) -> None:
        self._heard.append(Heard(topic, name, bytes(data)))


@contextmanager
def _connected() -> Iterator[None]:
    """Whatever rclpy raises, as a ConnectionError."""
    try:
        yield
    except Exception as error:
        raise ConnectionError(" ".join(str(error).split()) or type(error).__name__) from error


def _built(name: str) -> Any:
    """The class of a type; None where its package is not in this installation of ROS."""
    try:
        return import_module("rosidl_runtime_py.utilities").get_message(name)
    except (ImportError, AttributeError, ValueError):
        return None
