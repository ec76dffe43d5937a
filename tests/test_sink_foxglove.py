"""Foxglove gets what the engine got and answered, live and recorded, and no viewer, disk or sensor stops a run."""

from __future__ import annotations

import json
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("foxglove", reason="the extra `foxglove` is not installed")

from foxglove import layouts
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from edgefuse.errors import SinkError
from edgefuse.sinks import Setting, open_sink
from edgefuse.sinks.foxglove import FoxgloveSink
from edgefuse.sinks.foxglove_layout import layout
from edgefuse.types import NS_PER_S
from full_disk import run_on_a_full_disk
from sink_samples import ARRIVED_NS, KINDS, STAMP_NS, payloads, result, sample, samples

ROOT = Path(__file__).resolve().parents[1]


def sink(place: str, kinds: dict[str, str] = KINDS, told: list[str] | None = None) -> FoxgloveSink:
    return FoxgloveSink(f"foxglove:{place}", Setting(kinds, tell=(told if told is not None else []).append))


def fill(target: FoxgloveSink) -> None:
    for stream, one in samples().items():
        target.sample(stream, one)
    target.write(result(), {"danger": "far"})


def decoded(schema: Any, data: bytes) -> Any:
    """A message by nothing but the schema that came with it."""
    if schema.encoding == "jsonschema":
        return json.loads(data)
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(schema.data).file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(schema.name)).FromString(data)


def recorded(path: Path) -> dict[str, list[tuple[int, Any]]]:
    """topic -> (log time, message) of an MCAP file, read with the format's own reader."""
    reader = pytest.importorskip("mcap.reader", reason="the extra `bag` is not installed")
    found: dict[str, list[tuple[int, Any]]] = {}
    with path.open("rb") as file:
        for schema, channel, message in reader.make_reader(file, validate_crcs=True).iter_messages():
            found.setdefault(channel.topic, []).append((message.log_time, decoded(schema, message.data)))
    return found


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The one message of each topic, and its time."""
    path = tmp_path_factory.mktemp("foxglove") / "r.mcap"
    with sink(str(path)) as target:
        fill(target)
    return {topic: messages[0] for topic, messages in recorded(path).items()}


def test_a_picture_is_recorded_as_a_jpeg_of_the_right_colours(recording: dict[str, Any]) -> None:
    time_ns, message = recording["/edgefuse/front"]
    picture = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert (time_ns, message.frame_id, message.format) == (ARRIVED_NS, "front", "jpeg")
    assert message.timestamp.seconds * NS_PER_S + message.timestamp.nanos == STAMP_NS
    np.testing.assert_allclose(picture.astype(float), payloads()["front"], atol=6)


def test_depth_is_recorded_in_millimetres_bit_for_bit(recording: dict[str, Any]) -> None:
    _, message = recording["/edgefuse/depth"]
    given = payloads()["depth"]
    assert (message.width, message.height, message.encoding, message.step) == (32, 24, "16UC1", 64)
    np.testing.assert_array_equal(np.frombuffer(message.data, "<u2").reshape(24, 32), given)


def test_a_cloud_is_recorded_with_its_fields_bit_for_bit(recording: dict[str, Any]) -> None:
    _, message = recording["/edgefuse/lidar"]
    fields = {field.name: (field.offset, field.type) for field in message.fields}
    float32 = 7
    assert fields == {"x": (0, float32), "y": (4, float32), "z": (8, float32), "reflectance": (12, float32)}
    assert message.point_stride == 16
    np.testing.assert_array_equal(np.frombuffer(message.data, "<f4").reshape(-1, 4), payloads()["lidar"])


def test_a_fix_is_recorded_with_its_variances_by_axis(recording: dict[str, Any]) -> None:
    _, message = recording["/edgefuse/gps"]
    assert (message.latitude, message.longitude, message.altitude) == tuple(payloads()["gps"][:3])
    assert list(message.position_covariance) == [1, 0, 0, 0, 2, 0, 0, 0, 3]


def test_a_vector_is_recorded_as_numbers(recording: dict[str, Any]) -> None:
    _, message = recording["/edgefuse/imu"]
    np.testing.assert_array_equal(np.float32(message["values"]), payloads()["imu"])
    assert message["timestamp"] == {"sec": STAMP_NS // NS_PER_S, "nsec": STAMP_NS % NS_PER_S}


def test_a_result_is_recorded_whole_and_as_numbers_at_its_event_time(recording: dict[str, Any]) -> None:
    given = result()
    time_ns, message = recording["/edgefuse/result"]
    assert (time_ns, message) == (given.t_ns, {**given.as_json(), "truth": {"danger": "far"}})
    time_ns, numbers = recording["/edgefuse/trust"]
    assert time_ns == given.t_ns
    assert [(name, stream["state"]) for name, stream in numbers["streams"].items()] == [
        *(("front", 3), ("depth", 2), ("lidar", 1), ("gps", 0), ("imu", 3))
    ]
    assert numbers["streams"]["depth"]["age_ms"] == 312.5
    assert "age_ms" not in numbers["streams"]["gps"]
    assert (numbers["mode"], numbers["latency_ms"], numbers["expected"]) == (2, 2.25, 0.75)


def test_every_sensor_has_a_frame_under_the_vehicle(recording: dict[str, Any]) -> None:
    _, message = recording["/tf"]
    assert {t.child_frame_id: t.parent_frame_id for t in message.transforms} == dict.fromkeys(KINDS, "vehicle")


@pytest.mark.parametrize(
    ("stream", "payload"),
    [
        ("front", payloads()["front"].astype(np.float32)),
        ("front", np.zeros((0, 8, 3), np.uint8)),
        ("front", np.zeros((1, 70_000, 3), np.uint8)),
        ("front", payloads()["depth"]),
        ("depth", payloads()["depth"].astype(">u2")),
        ("lidar", np.zeros((5, 3), np.float32)),
        ("lidar", "no array at all"),
        ("gps", np.array([np.nan, np.nan, np.nan, 1.0, 1.0, 1.0, 0.0])),
        ("gps", np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, -1.0])),
        ("imu", np.full(3, np.nan, np.float32)),
        ("imu", np.zeros((40, 6), np.float32)),
    ],
)
def test_a_sample_that_cannot_be_shown_is_left_out_and_the_rest_goes_on(
    stream: str, payload: Any, tmp_path: Path
) -> None:
    with sink(str(tmp_path / "r.mcap")) as target:
        target.sample(stream, sample(stream, payload))
        fill(target)
    assert [len(messages) for messages in recorded(tmp_path / "r.mcap").values()] == [1] * 8


@pytest.mark.parametrize("stamp_ns", [-5, 1 << 62])
def test_a_stamp_that_cannot_be_one_is_replaced_by_the_arrival(stamp_ns: int, tmp_path: Path) -> None:
    with sink(str(tmp_path / "r.mcap")) as target:
        target.sample("depth", sample("depth", payloads()["depth"], stamp_ns))
        target.sample("front", sample("front", payloads()["front"], stamp_ns, arrived_ns=None))
        target.write(result(t_ns=-7))
    found = recorded(tmp_path / "r.mcap")
    ((time_ns, message),) = found["/edgefuse/depth"]
    assert time_ns == message.timestamp.seconds * NS_PER_S + message.timestamp.nanos == ARRIVED_NS
    assert [len(found[topic]) for topic in ("/edgefuse/front", "/edgefuse/result")] == [1, 1]


class Viewer:
    """A bare client of the protocol: it says hello, subscribes, and reads what comes."""

    def __init__(self, connection: Any, wanted: set[str]) -> None:
        self._connection = connection
        self.channels: dict[int, dict[str, Any]] = {}
        while not {channel["topic"] for channel in self.channels.values()} >= wanted:
            message = json.loads(connection.recv(10))
            self.channels |= {channel["id"]: channel for channel in message.get("channels", [])}
        wishes = [{"id": n, "channelId": n} for n, channel in self.channels.items() if channel["topic"] in wanted]
        connection.send(json.dumps({"op": "subscribe", "subscriptions": wishes}))

    def message(self, timeout_s: float = 10.0) -> tuple[str, int, bytes] | None:
        """(topic, log time, bytes) of the next message; None where none comes in time."""
        while True:
            try:
                data = self._connection.recv(timeout_s)
            except TimeoutError:
                return None
            if isinstance(data, bytes) and data[0] == 1:
                number, log_time = struct.unpack_from("<IQ", data, 1)
                return self.channels[number]["topic"], log_time, data[13:]


@contextmanager
def viewer_of(port: int, *wanted: str) -> Iterator[Viewer]:
    client = pytest.importorskip("websockets.sync.client", reason="websockets is not installed")
    with client.connect(
        f"ws://127.0.0.1:{port}", subprotocols=["foxglove.sdk.v1"], max_size=None, close_timeout=0.1
    ) as connection:
        assert connection.subprotocol == "foxglove.sdk.v1"
        yield Viewer(connection, set(wanted))


def port_of(lines: list[str]) -> int:
    (port,) = re.findall(r"ws://127\.0\.0\.1:(\d+)", "\n".join(lines))
    return int(port)


def shown_until(viewer: Viewer, target: FoxgloveSink, *wanted: str) -> dict[str, tuple[int, bytes]]:
    """What a viewer gets of a run that repeats itself until it has everything."""
    found: dict[str, tuple[int, bytes]] = {}
    while found.keys() != set(wanted):
        fill(target)  # nobody says when a subscription has been heard
        if (message := viewer.message(0.1)) is not None:
            found[message[0]] = message[1:]
    return found


def test_a_viewer_gets_live_what_a_recording_holds(tmp_path: Path) -> None:
    told: list[str] = []
    wanted = ("/edgefuse/depth", "/edgefuse/result", "/edgefuse/trust")
    with sink(f"0,{tmp_path / 'r.mcap'}", told=told) as target, viewer_of(port_of(told), *wanted) as viewer:
        found = shown_until(viewer, target, *wanted)
    assert json.loads(found["/edgefuse/result"][1]) == {**result().as_json(), "truth": {"danger": "far"}}
    time_ns, message = recorded(tmp_path / "r.mcap")["/edgefuse/depth"][0]
    assert (time_ns, message.SerializeToString()) == found["/edgefuse/depth"]


def test_a_viewer_that_goes_away_stops_nothing() -> None:
    told: list[str] = []
    with sink("0", told=told) as target:
        with viewer_of(port_of(told), "/edgefuse/result"):
            pass
        with socket.create_connection(("127.0.0.1", port_of(told))) as half_open:
            half_open.sendall(b"GET / HTTP/1.1\r\n")
            for _ in range(500):
                fill(target)
        with viewer_of(port_of(told), "/edgefuse/trust") as again:
            assert shown_until(again, target, "/edgefuse/trust")


def test_a_viewer_that_reads_nothing_holds_nothing_up() -> None:
    told: list[str] = []
    cloud = sample("lidar", np.zeros((100_000, 4), np.float32))
    with sink("0", told=told) as target, viewer_of(port_of(told), "/edgefuse/lidar", "/edgefuse/result") as viewer:
        shown_until(viewer, target, "/edgefuse/lidar", "/edgefuse/result")
        # 480 MB, more than any buffer on the way.
        work = Thread(target=lambda: [target.sample("lidar", cloud) for _ in range(300)], daemon=True)
        work.start()
        work.join(60.0)
        assert not work.is_alive()


def test_pictures_are_not_encoded_while_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []
    monkeypatch.setattr(cv2, "imencode", lambda *_: encoded.append("picture"))
    with sink("0") as target:
        fill(target)
    assert encoded == []


def test_nothing_is_served_to_other_computers() -> None:
    told: list[str] = []
    with sink("0", told=told):
        port = port_of(told)
        listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    assert [address for address in listening if int(address.split(":")[1], 16) == port] == [f"0100007F:{port:04X}"]


def test_a_port_that_is_taken_is_one_clear_error(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(SinkError, match=rf"^foxglove:{port}: port {port} cannot be served on: Address already"),
            sink(str(port)),
        ):
            pass


@pytest.mark.parametrize("place", ["x", "70000", "1,2", "a.mcap,b.mcap", "r.txt", "-1"])
def test_a_place_that_is_none_is_refused(place: str) -> None:
    with pytest.raises(
        SinkError, match=rf"^foxglove:{place}: '.*' is no port from 0 to 65535, nor a path that ends in"
    ):
        open_sink(f"foxglove:{place}", Setting(KINDS))


def test_a_folder_that_is_not_there_is_named_and_nothing_is_served(tmp_path: Path) -> None:
    told: list[str] = []
    with (
        pytest.raises(SinkError, match=r"gone/r\.mcap: cannot be opened for writing: No such"),
        sink(f"0,{tmp_path / 'gone' / 'r.mcap'}", told=told),
    ):
        pass
    assert told == []


def test_a_run_that_breaks_leaves_a_part_that_can_be_read(tmp_path: Path) -> None:
    def broken() -> None:
        with sink(str(tmp_path / "r.mcap")) as target:
            fill(target)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert [path.name for path in tmp_path.iterdir()] == ["r.mcap.part"]
    assert len(recorded(tmp_path / "r.mcap.part")) == 8


WRITE = """
from edgefuse.errors import SinkError
from test_sink_foxglove import fill, sink
try:
    with sink("r.mcap") as target:
        for _ in range(400):
            fill(target)
except SinkError as error:
    print(error)
"""


def test_a_full_disk_is_one_clear_error_and_keeps_what_is_there(tmp_path: Path) -> None:
    told = run_on_a_full_disk(WRITE, 20_000, tmp_path)
    assert told == "r.mcap: cannot be written: File too large; what was written so far is in r.mcap.part\n"
    assert [path.name for path in tmp_path.iterdir()] == ["r.mcap.part"]


def paths_in(value: Any) -> Iterator[str]:
    """Every message path and topic in a layout."""
    if isinstance(value, dict):
        yield from (key for key in value if key.startswith("/"))
        for part in value.values():
            yield from paths_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from paths_in(part)
    elif isinstance(value, str) and value.startswith("/"):
        yield value


def test_everything_that_the_layout_shows_is_there(recording: dict[str, Any]) -> None:
    paths = set(paths_in(layout(KINDS)))
    assert paths >= {"/edgefuse/front", "/edgefuse/result.streams.front.state", "/edgefuse/trust.streams.imu.age_ms"}
    for path in paths:
        topic, *fields = path.split(".")
        value = recording[topic][1]
        for field in fields:
            if (topic, field) == ("/edgefuse/trust", "age_ms") and "gps" in fields:
                break  # it has never delivered
            value = value[field]


PANELS = {
    "Image": layouts.ImageConfig(image_mode=layouts.ImageModeConfig()),
    "3D": layouts.ThreeDeeConfig(),
    "Map": layouts.MapConfig(),
    "StateTransitions": layouts.StateTransitionsConfig(),
    "Plot": layouts.PlotConfig(),
    "RawMessages": layouts.RawMessagesConfig(),
}


def test_the_layout_says_nothing_that_foxglove_does_not_know() -> None:
    """The SDK's own table of settings is the judge, as the viewer is not free."""
    described = layout(KINDS)
    for panel, config in described["configById"].items():
        known = PANELS[panel.partition("!")[0]]._to_dict()
        assert config.keys() - {"foxglovePanelTitle"} <= known.keys(), panel
    lanes = described["configById"]["StateTransitions!trust"]["paths"]
    assert all(lane.keys() <= layouts.StateTransitionsSeries()._to_dict().keys() for lane in lanes)
    lines = described["configById"]["Plot!imu"]["paths"] + described["configById"]["Plot!ages"]["paths"]
    assert all(line.keys() <= layouts.PlotSeries()._to_dict().keys() for line in lines)
    image = described["configById"]["Image!depth"]["imageMode"]
    assert image.keys() <= layouts.ImageModeConfig()._to_dict().keys()
    (cloud,) = described["configById"]["3D!clouds"]["topics"].values()
    assert cloud.keys() <= layouts.BaseRendererPointCloudTopicSettings()._to_dict().keys()


def panels_in(part: Any) -> list[str]:
    return [part] if isinstance(part, str) else panels_in(part["first"]) + panels_in(part["second"])


@pytest.mark.parametrize("kinds", [KINDS, {"imu": "vector"}, {f"camera_{k}": "camera" for k in range(16)}])
def test_every_panel_has_one_place_in_the_window(kinds: dict[str, str]) -> None:
    described = layout(kinds)
    assert sorted(panels_in(described["layout"])) == sorted(described["configById"])


def test_the_layout_in_the_documentation_is_that_of_the_shipped_bundle(tmp_path: Path) -> None:
    kinds = {"camera": "camera", "depth": "depth", "lidar": "lidar", "gps": "gps"}
    with sink(str(tmp_path / "layout.json"), kinds) as target:
        target.sample("camera", sample("camera", payloads()["front"]))
    written = (tmp_path / "layout.json").read_text()
    assert (ROOT / "docs" / "foxglove-layout.json").read_text() == written, (
        "run `edgefuse run --source 'site:duration_s=1' --out foxglove:docs/foxglove-layout.json`"
    )


def test_a_run_serves_and_records_at_once(tmp_path: Path) -> None:
    place = f"foxglove:0,{tmp_path / 'r.mcap'}"
    command = [sys.executable, "-m", "edgefuse.cli", "run", "--source", "site:seed=2&duration_s=3", "--out", place]
    with subprocess.Popen([*command, "--realtime"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        with viewer_of(port_of([run.stderr.readline()]), "/edgefuse/result", "/edgefuse/camera") as viewer:
            seen = {message[0] for message in (viewer.message() for _ in range(8)) if message is not None}
        run.communicate(timeout=60)
    assert run.returncode == 0
    found = recorded(tmp_path / "r.mcap")
    assert len(found["/edgefuse/result"]) == 30
    assert len(found["/edgefuse/camera"]) > 20
    assert seen == {"/edgefuse/result", "/edgefuse/camera"}
