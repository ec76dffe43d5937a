"""A ROS 2 graph on this computer's loopback, for tests: how it is configured, and a process that plays the sensors."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgefuse.ros.bus import open_bus
from edgefuse.ros.written import reading

# No network but the loopback, no multicast; who falls silent for two seconds is taken for gone.
LOOPBACK = (
    "<CycloneDDS><Domain><General>"
    '<Interfaces><NetworkInterface name="lo" multicast="false"/></Interfaces>'
    "<AllowMulticast>false</AllowMulticast></General>"
    "<Discovery><ParticipantIndex>auto</ParticipantIndex>"
    '<Peers><Peer Address="127.0.0.1"/></Peers><LeaseDuration>2s</LeaseDuration></Discovery>'
    "</Domain></CycloneDDS>"
)
RATES_HZ = {"/camera": 30.0, "/lidar": 10.0, "/gps": 10.0, "/rear_gps": 10.0}
KINDS = {"/camera": "camera", "/lidar": "lidar", "/gps": "gps", "/rear_gps": "gps"}
LARGE, SMALL = (480, 640, 120_000), (48, 64, 600)  # rows and columns of a picture, points of a cloud


def some_domain() -> int:
    """A domain that nobody else is in, very likely; its ports lie below those that the system gives out itself."""
    return random.randint(1, 100)


def payload(topic: str, sizes: tuple[int, int, int], rng: np.random.Generator) -> Any:
    """Some payload of a topic."""
    rows, columns, points = sizes
    if topic == "/camera":
        return rng.integers(0, 256, (rows, columns, 3), np.uint8)
    if topic == "/lidar":
        return rng.normal(0.0, 20.0, (points, 4)).astype(np.float32)
    return np.array([50.4, 3.95, 60.0, 1.0, 1.0, 2.0, 0.0])


def number(topic: str, found: Any) -> int:
    """Which payload of the topic it is."""
    if topic == "/camera":
        return 256 * int(found[0, 0, 0]) + int(found[0, 0, 1])
    return int(found[0, 0]) if topic == "/lidar" else int(found[2])


def start(domain: int, topics: list[str], seconds: float, sizes: tuple[int, int, int] = SMALL) -> subprocess.Popen[str]:
    """A process that publishes the topics at their rates, from the moment that somebody hears all of them."""
    command = [sys.executable, __file__, str(domain), ",".join(topics), str(seconds), *map(str, sizes)]
    paths = os.pathsep.join([*sys.path, str(Path(__file__).parent)])
    environment = {**os.environ, "CYCLONEDDS_URI": LOOPBACK, "PYTHONPATH": paths}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def talk(domain: int, topics: list[str], seconds: float, sizes: tuple[int, int, int]) -> Mapping[str, int]:
    """How many messages were sent of each topic."""
    rng, bus = np.random.default_rng(0), open_bus(domain)
    few = {topic: [payload(topic, sizes, rng) for _ in range(2)] for topic in topics}
    for topic in topics:
        bus.advertise(topic, reading(KINDS[topic], few[topic][0], 1, "").type)
    writers: Any = bus
    while not all(writers._writers[topic].get_matched_subscriptions() for topic in topics):
        time.sleep(0.01)
    time.sleep(1.0)  # that the other side sees us is not known here
    sent, started = dict.fromkeys(topics, 0), time.monotonic()
    while (elapsed := time.monotonic() - started) < seconds:
        for topic in topics:
            if sent[topic] <= elapsed * RATES_HZ[topic]:
                sent[topic] += 1
                message = reading(KINDS[topic], _numbered(topic, few[topic], sent[topic]), time.time_ns(), "base")
                assert bus.publish(topic, message)
        time.sleep(0.001)
    time.sleep(1.0)
    bus.close()
    return sent


def _numbered(topic: str, few: list[Any], k: int) -> Any:
    """One of a few payloads that were drawn before, with the number k."""
    found = few[k % len(few)]
    if topic == "/camera":
        found[0, 0, :2] = divmod(k, 256)
    else:
        found[(0, 0) if topic == "/lidar" else 2] = k
    return found


if __name__ == "__main__":
    rows, columns, points = map(int, sys.argv[4:])
    told = talk(int(sys.argv[1]), sys.argv[2].split(","), float(sys.argv[3]), (rows, columns, points))
    for name, count in told.items():
        sys.stdout.write(f"{name} {count}\n")
