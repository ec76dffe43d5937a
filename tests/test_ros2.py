"""A live ROS 2 graph: whatever is wrong with one topic is told and counted, and the others go on."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator, Mapping, Set
from typing import Any, ClassVar

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="the extra `ros2` is not installed")

from edgefuse.errors import SinkError, SourceError
from edgefuse.ros.answers import TOLD
from edgefuse.ros.bus import Heard, domain_of, open_bus
from edgefuse.ros.definitions import RESULT, decoded, made
from edgefuse.ros.written import Written, reading, written
from edgefuse.sinks import Beside, Setting, open_sink
from edgefuse.sinks.ros2 import Ros2Sink
from edgefuse.sources import Problem, open_source
from edgefuse.sources import ros2 as source_module
from edgefuse.sources.ros2 import Ros2Source
from edgefuse.types import Sample
from test_jsonl import result

IMAGE, FIX, IMU = "sensor_msgs/msg/Image", "sensor_msgs/msg/NavSatFix", "sensor_msgs/msg/Imu"
PLACE = np.array([50.4, 3.95, 60.0, 1.0, 1.0, 2.0, 0.0])
Step = tuple[Mapping[str, Set[str]], list[Heard], Mapping[str, int]]


class Script:
    """A graph that goes through steps, what is published, heard, and lost so far, and then closes its source."""

    def __init__(self, *steps: Step) -> None:
        self.problems: list[str] = []
        self.subscribed: list[tuple[str, str, int]] = []
        self.refused: set[str] = set()
        self.source: Ros2Source | None = None
        self.closed = False
        self._steps = list(steps)
        self._now: Step = ({}, [], {})

    def published(self) -> Mapping[str, Set[str]]:
        return self._steps[0][0] if self._steps else self._now[0]

    def subscribe(self, topic: str, name: str, room: int) -> None:
        if topic in self.refused:
            raise ConnectionError("no")
        self.subscribed.append((topic, name, room))

    def take(self, wait_s: float) -> list[Heard]:
        if not self._steps:
            assert self.source is not None
            self.source.close()
            return []
        self._now = self._steps.pop(0)
        return [heard for heard in self._now[1] if (heard.topic, heard.type) in {s[:2] for s in self.subscribed}]

    def lost(self) -> Mapping[str, int]:
        return self._now[2]

    def advertise(self, topic: str, name: str) -> bool:
        return True

    def publish(self, topic: str, message: Written) -> bool:
        return True

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def _always_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source looks at the graph between any two takes, and its patience is short."""
    monkeypatch.setattr(source_module, "LOOK_S", 0.0)
    monkeypatch.setattr(source_module, "PATIENCE_S", 0.0)


def play(script: Script, *wanted: str) -> tuple[list[Sample], list[Problem]]:
    script.source = source = Ros2Source(script)
    if wanted:
        source.want(wanted)
    found = list(source.samples())
    assert script.closed
    return found, source.problems


def fix(topic: str = "/fix", stamp_ns: int = 7) -> Heard:
    return Heard(topic, FIX, reading("gps", PLACE, stamp_ns, "").data)


def image(shape: tuple[int, int], encoding: str = "rgb8") -> Heard:
    content = decoded(reading("camera", np.ones((*shape, 3), np.uint8), 5, "").data, IMAGE)
    content.encoding = encoding
    return Heard("/camera", IMAGE, written(IMAGE, content).data)


def graph(**topics: str) -> Mapping[str, Set[str]]:
    return {f"/{topic}": {name} for topic, name in topics.items()}


BOTH = graph(fix=FIX, camera=IMAGE)


def test_samples_have_the_stamp_of_the_header_and_arrive_now() -> None:
    from edgefuse.sources.clock import now_ns

    before = now_ns()
    (sample,), problems = play(Script((BOTH, [fix()], {})), "/fix")
    assert (sample.stream, sample.stamp_ns) == ("/fix", 7)
    assert sample.payload.tolist() == PLACE.tolist()
    assert sample.arrival_ns is not None
    assert before <= sample.arrival_ns <= now_ns()
    assert problems == []


def test_only_what_is_wanted_is_subscribed_to_and_small_messages_have_more_room() -> None:
    script = Script((BOTH | graph(imu=IMU), [], {}))
    play(script, "/fix", "/camera")
    assert sorted(script.subscribed) == [("/camera", IMAGE, 5), ("/fix", FIX, 50)]


def test_without_a_wish_all_that_can_be_read_is_subscribed_to() -> None:
    script = Script((BOTH, [fix(), image((2, 2))], {}))
    assert {sample.stream for sample in play(script)[0]} == {"/fix", "/camera"}


def test_a_topic_may_be_wanted_without_its_slash() -> None:
    assert [sample.stream for sample in play(Script((BOTH, [fix()], {})), "fix")[0]] == ["fix"]


def test_a_topic_that_never_comes_is_told_once_and_waited_for() -> None:
    late = [({}, [], {}), ({}, [], {}), (BOTH, [], {}), (BOTH, [fix()], {})]
    samples, problems = play(Script(*late), "/fix", "/never")
    assert len(samples) == 1
    waited = "nobody has published it so far; it is waited for"
    assert sorted(problems, key=lambda p: p.place) == [Problem("/fix", waited), Problem("/never", waited)]


def test_a_type_that_is_not_read_is_told_and_the_others_go_on() -> None:
    strange = graph(fix=FIX, camera="my_msgs/msg/Smell")
    samples, problems = play(Script((strange, [fix()], {}), (strange, [fix()], {})), "/fix", "/camera")
    assert len(samples) == 2
    assert problems == [Problem("/camera", "is of type my_msgs/msg/Smell, which is not read")]


def test_a_topic_whose_type_changes_is_told_and_read_on() -> None:
    first, then = graph(x=FIX), graph(x=IMAGE)
    changed = Heard("/x", IMAGE, image((2, 3)).data)
    samples, problems = play(Script((first, [fix("/x")], {}), (then, [changed], {}), (then, [changed], {})), "/x")
    assert [sample.payload.shape for sample in samples] == [(7,), (2, 3, 3), (2, 3, 3)]
    assert problems == [Problem("/x", f"is of type {IMAGE} now")]


def test_an_encoding_that_is_not_known_is_counted_and_the_next_picture_is_read() -> None:
    heard = [image((2, 2), "smell8"), image((2, 2), "smell8"), image((2, 2))]
    samples, problems = play(Script((BOTH, heard, {})))
    assert len(samples) == 1
    assert [(p.place, p.count) for p in problems] == [("/camera", 2)]
    assert "encoding 'smell8' is not known" in problems[0].what


def test_a_size_that_changes_midway_is_the_engines_business() -> None:
    samples, problems = play(Script((BOTH, [image((2, 2)), image((4, 6))], {})))
    assert [sample.payload.shape for sample in samples] == [(2, 2, 3), (4, 6, 3)]
    assert problems == []


@pytest.mark.parametrize("data", [b"", b"\x00\x01", b"\x00\x01\x00\x00", b"\xff" * 99, fix().data[:-9], fix().data * 2])
def test_bytes_that_are_no_message_are_counted(data: bytes) -> None:
    samples, problems = play(Script((BOTH, [Heard("/fix", FIX, data), fix()], {})), "/fix")
    assert len(samples) == 1
    assert [(p.place, p.count) for p in problems] == [("/fix", 1)]
    assert problems[0].what.startswith(f"is no whole {FIX}")


def test_a_message_without_a_stamp_has_the_time_at_which_it_came() -> None:
    name = "std_msgs/msg/Float32MultiArray"
    layout = made("std_msgs/msg/MultiArrayLayout", dim=[], data_offset=0)
    data = written(name, made(name, layout=layout, data=np.ones(3, np.float32))).data
    (sample,), problems = play(Script((graph(x=name), [Heard("/x", name, data)], {})))
    assert sample.stamp_ns == sample.arrival_ns
    assert problems == [Problem("/x", "has no stamp: the time at which it came is taken")]


def test_a_publisher_that_goes_is_told_each_time_and_heard_again_when_it_is_back() -> None:
    steps: list[Step] = [
        (BOTH, [fix()], {}),
        ({}, [], {}),
        ({}, [], {}),
        (BOTH, [fix()], {}),
        ({}, [], {}),
        ({}, [], {}),
    ]
    samples, problems = play(Script(*steps), "/fix")
    assert len(samples) == 2
    assert problems == [Problem("/fix", "nobody publishes it any more; it is waited for", 2)]


def test_what_was_lost_before_it_was_taken_is_counted() -> None:
    steps: list[Step] = [(BOTH, [fix()], {"/fix": 3}), (BOTH, [fix()], {"/fix": 3}), (BOTH, [], {"/fix": 5})]
    problems = play(Script(*steps), "/fix")[1]
    assert problems == [Problem("/fix", "came faster than it was taken, and was lost", 5)]


def test_a_topic_that_cannot_be_subscribed_to_is_told_and_the_others_go_on() -> None:
    script = Script((BOTH, [fix()], {}), (BOTH, [fix()], {}))
    script.refused = {"/camera"}
    samples, problems = play(script)
    assert len(samples) == 2
    assert problems == [Problem("/camera", "cannot be subscribed to: no")]


def test_what_hinders_the_network_is_told() -> None:
    script = Script()
    script.problems = ["small buffers"]
    assert play(script)[1] == [Problem("ros2", "small buffers")]


def test_a_network_that_fails_is_an_error_with_its_place() -> None:
    class Broken(Script):
        def take(self, wait_s: float) -> list[Heard]:
            raise ConnectionError("cable cut")

    with pytest.raises(SourceError, match="ros2: the network failed: cable cut"):
        list(Ros2Source(Broken()).samples())


class Noting(Script):
    """A graph that notes what is published in it."""

    def __init__(self, *, without: str = "", full: bool = False) -> None:
        super().__init__()
        self.sent: list[tuple[str, Written]] = []
        self._without, self._full = without, full

    def advertise(self, topic: str, name: str) -> bool:
        return name != self._without

    def publish(self, topic: str, message: Written) -> bool:
        self.sent.append((topic, message))
        return not self._full


def test_an_answer_is_published_typed_as_diagnostics_and_as_json() -> None:
    bus = Noting()
    with Ros2Sink(lambda: bus, print) as sink:
        sink.write(result(9), {"x": "left"})
    assert [(topic, message.type) for topic, message in bus.sent] == [(t, name) for t, (name, _) in TOLD.items()]
    assert decoded(bus.sent[0][1].data, RESULT).header.stamp.nanosec == 9
    assert '"truth":{"x":"left"}' in decoded(bus.sent[2][1].data, "std_msgs/msg/String").data
    assert bus.closed


def test_a_type_that_ros_was_built_without_is_told_and_left_out() -> None:
    told: list[str] = []
    bus = Noting(without=RESULT)
    with Ros2Sink(lambda: bus, told.append) as sink:
        sink.write(result())
    assert [topic for topic, _ in bus.sent] == ["/diagnostics", "/edgefuse/result_json"]
    assert told == [f"note: ros2: /edgefuse/result is left out: ROS was built without {RESULT}"]


def test_what_could_not_be_sent_in_time_is_counted_and_told() -> None:
    told: list[str] = []
    with Ros2Sink(lambda: Noting(full=True), told.append) as sink:
        sink.write(result())
        sink.write(result())
    assert sink.dropped == 6
    assert told == ["note: ros2: 6 messages could not be sent in time"]


def test_a_sink_whose_network_fails_says_so() -> None:
    class Broken(Noting):
        def publish(self, topic: str, message: Written) -> bool:
            raise ConnectionError("cable cut")

    def refuse() -> Any:
        raise ConnectionError("no network")

    with pytest.raises(SinkError, match="ros2: cannot be joined: no network"), Ros2Sink(refuse, print):
        pass
    with pytest.raises(SinkError, match="ros2: cannot be sent: cable cut"), Ros2Sink(Broken, print) as sink:
        sink.write(result())


def test_the_domain_is_the_one_that_is_told_or_this_computers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
    assert domain_of("") == 0
    monkeypatch.setenv("ROS_DOMAIN_ID", "42")
    assert (domain_of(""), domain_of("7")) == (42, 7)
    for wrong in ("233", "-1", "x", "1.5"):
        with pytest.raises(ConnectionError, match="from 0 to 232"):
            domain_of(wrong)
    monkeypatch.setenv("ROS_DOMAIN_ID", "seven")
    with pytest.raises(ConnectionError, match="'seven' of ROS_DOMAIN_ID"):
        domain_of("")


@pytest.mark.parametrize("uri", ["ros2:domain=300", "ros2:domain=x", "ros2:colour=1"])
def test_options_that_are_wrong_are_refused_with_their_place(uri: str) -> None:
    with pytest.raises(SourceError, match=uri):
        open_source(uri)
    with pytest.raises(SinkError, match=uri):
        open_sink(uri, Setting({}))


# A stand-in for ROS: what of rclpy is used, as its documentation has it. A real one was not at hand.


class FakeNode:
    """One node; all of them share what is published."""

    published: ClassVar[dict[str, tuple[str, list[bytes]]]] = {}

    def __init__(self) -> None:
        self.subscriptions: dict[str, tuple[Any, Any, Any, bool]] = {}
        self.destroyed = False

    def get_topic_names_and_types(self) -> list[tuple[str, list[str]]]:
        return [(topic, [name]) for topic, (name, _) in self.published.items()] + [("/silent", [FIX])]

    def count_publishers(self, topic: str) -> int:
        return int(topic in self.published)

    def create_subscription(self, built: Any, topic: str, callback: Any, qos: Any, *, raw: bool) -> None:
        self.subscriptions[topic] = built, callback, qos, raw

    def create_publisher(self, built: Any, topic: str, qos: Any) -> Any:
        assert qos == 10
        self.published[topic] = built, []
        return types.SimpleNamespace(publish=self.published[topic][1].append)

    def destroy_node(self) -> None:
        self.destroyed = True


class FakeExecutor:
    def __init__(self, *, context: Any) -> None:
        self.nodes: list[FakeNode] = []

    def add_node(self, node: FakeNode) -> None:
        self.nodes.append(node)

    def spin_once(self, *, timeout_sec: float) -> None:
        for node in self.nodes:
            for topic, (_, callback, _, raw) in node.subscriptions.items():
                assert raw
                for data in node.published[topic][1]:
                    callback(data)
                node.published[topic][1].clear()

    def shutdown(self) -> None:
        pass


def get_message(name: str) -> str:
    if name.startswith("edgefuse_msgs"):
        raise ModuleNotFoundError("No module named 'edgefuse_msgs'")
    return name


@pytest.fixture
def ros(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FakeNode]]:
    nodes: list[FakeNode] = []

    def create_node(name: str, *, context: Any) -> FakeNode:
        nodes.append(FakeNode())
        return nodes[-1]

    calls: Any = {
        "Context": object,
        "init": lambda *, context, domain_id: None,
        "create_node": create_node,
        "shutdown": lambda *, context: None,
    }
    qos = {"QoSProfile": dict, "ReliabilityPolicy": types.SimpleNamespace(BEST_EFFORT="best effort")}
    for name, content in {
        "rclpy": calls,
        "rclpy.executors": {"SingleThreadedExecutor": FakeExecutor},
        "rclpy.qos": qos,
        "rosidl_runtime_py": {},
        "rosidl_runtime_py.utilities": {"get_message": get_message},
    }.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    FakeNode.published = {}
    yield nodes
    assert all(node.destroyed for node in nodes)


def test_where_ros_is_at_hand_its_own_client_hears_and_speaks(ros: list[FakeNode]) -> None:
    told: list[str] = []
    sink = open_sink("ros2:", Setting({}, tell=told.append))
    assert isinstance(sink, Beside)
    with sink:
        sink.write(result(9))
    data = {topic: sent for topic, (_, sent) in FakeNode.published.items()}
    assert set(data) == {"/diagnostics", "/edgefuse/result_json"}
    assert told == [f"note: ros2: /edgefuse/result is left out: ROS was built without {RESULT}"]

    FakeNode.published["/fix"] = (FIX, [fix().data, fix().data])
    source = open_source("ros2:")
    source.want(["/fix", "/silent"])
    samples = source.samples()
    found = [next(samples), next(samples)]
    source.close()
    assert list(samples) == []
    assert [(sample.stream, sample.stamp_ns) for sample in found] == [("/fix", 7)] * 2
    built, _, qos, _ = ros[-1].subscriptions["/fix"]
    assert built == FIX
    assert qos == {"depth": 50, "reliability": "best effort"}
    assert "/silent" not in ros[-1].subscriptions  # there, but published by nobody


def test_what_ros_raises_is_one_error_with_its_place(ros: list[FakeNode], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*, context: Any, domain_id: int) -> None:
        raise RuntimeError("rcl node's context is invalid")

    monkeypatch.setattr(sys.modules["rclpy"], "init", refuse)
    with pytest.raises(SourceError, match="ros2:domain=4: cannot be joined: rcl node's context is invalid"):
        open_source("ros2:domain=4")


def test_a_type_that_ros_was_not_built_with_is_a_problem_of_its_topic(ros: list[FakeNode]) -> None:
    from edgefuse.ros.definitions import VECTOR

    FakeNode.published = {"/fix": (FIX, [fix().data]), "/imu": (VECTOR, [])}
    source = open_source("ros2:")
    samples = source.samples()
    assert next(samples).stream == "/fix"
    source.close()
    assert list(samples) == []
    assert source.problems == [Problem("/imu", f"cannot be subscribed to: type {VECTOR} is not built here")]
    assert type(open_bus(3)).__name__ == "Node"
    ros[-1].destroy_node()
