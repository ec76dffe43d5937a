"""Rerun gets what the engine got and answered, recorded and live, and no viewer, disk or sensor stops a run."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rerun", reason="the extra `rerun` is not installed")

from pymap3d import geodetic2enu
from rerun import error_utils
from rerun.chunk import RrdReader

from edgefuse.colours import MODE_COLOURS, STATE_COLOURS
from edgefuse.errors import SinkError
from edgefuse.reasons import REASONS
from edgefuse.sinks import Beside, Setting, open_sink
from edgefuse.sinks.rerun import RerunSink
from edgefuse.types import Trust
from full_disk import run_on_a_full_disk
from sink_samples import ARRIVED_NS, KINDS, STAMP_NS, payloads, result, sample, samples

RERUN = str(Path(sys.executable).parent / "rerun")
Rows = list[dict[str, Any]]


def without_home(folder: Path) -> dict[str, str]:
    """An environment in which Rerun is in its first session, which reports nothing to its makers."""
    return {**os.environ, **dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(folder))}


def verify(path: Path) -> None:
    """Let Rerun itself look for faults in a recording."""
    command = [RERUN, "rrd", "verify", str(path)]
    subprocess.run(command, check=True, capture_output=True, env=without_home(path.parent))


def sink(place: str, told: list[str] | None = None) -> RerunSink:
    return RerunSink(f"rerun:{place}", Setting(KINDS, tell=(told if told is not None else []).append))


def fill(target: RerunSink) -> None:
    for stream, one in samples().items():
        target.sample(stream, one)
    target.write(result(), {"danger": "far"})


def read(path: Path) -> dict[str, Rows]:
    """entity -> its rows, times in ns, by Rerun's own reader."""
    found: dict[str, Rows] = {}
    for chunk in RrdReader(path).stream():
        batch = chunk.to_record_batch()
        columns = {name: [value_of(cell) for cell in batch.column(name)] for name in batch.schema.names}
        rows = [{name: column[k] for name, column in columns.items()} for k in range(batch.num_rows)]
        found.setdefault(chunk.entity_path, []).extend(rows)
    return found


def value_of(cell: Any) -> Any:
    return cell.value if hasattr(cell, "value") else cell.as_py()


def of(rows: Rows, component: str) -> list[Any]:
    """Every value of a component, which Rerun keeps as a list of one."""
    return [row[component][0] for row in rows if row.get(component)]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rows]:
    path = tmp_path_factory.mktemp("rerun") / "r.rrd"
    with sink(str(path)) as target:
        fill(target)
    return read(path)


def test_a_picture_is_recorded_as_a_jpeg_of_the_right_colours(recording: dict[str, Rows]) -> None:
    (row,) = recording["/seen/front"]
    data = np.asarray(row["EncodedImage:blob"][0], np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR)[:, :, ::-1]
    np.testing.assert_allclose(picture.astype(float), payloads()["front"], atol=6)
    assert row["EncodedImage:media_type"] == ["image/jpeg"]


def test_depth_is_recorded_in_millimetres_bit_for_bit(recording: dict[str, Rows]) -> None:
    (row,) = recording["/seen/depth"]
    data = np.asarray(row["DepthImage:buffer"][0], np.uint8)
    np.testing.assert_array_equal(data.view(np.uint16).reshape(24, 32), payloads()["depth"])
    assert row["DepthImage:meter"] == [1000.0]


def test_a_cloud_is_recorded_bit_for_bit_and_higher_points_have_warmer_colours(recording: dict[str, Rows]) -> None:
    (row,) = [row for row in recording["/seen/lidar"] if "Points3D:positions" in row]
    given = payloads()["lidar"][:, :3]
    np.testing.assert_array_equal(np.float32(row["Points3D:positions"]), given)
    colours = np.asarray(row["Points3D:colors"], np.uint32)
    red, blue = (colours >> 24).astype(int), (colours >> 8 & 255).astype(int)
    warmth = red - blue
    assert warmth[given[:, 2] > 4.0].min() > warmth[(given[:, 2] < 1.0) & (given[:, 2] > -1.0)].max()


def test_a_sample_stands_at_its_arrival_and_at_its_stamp_and_a_result_at_its_event_time(
    recording: dict[str, Rows],
) -> None:
    for stream in ("front", "depth", "imu"):
        (row,) = [row for row in recording[f"/seen/{stream}"] if "event_time" in row]
        assert (row["event_time"], row["stamp"]) == (ARRIVED_NS, STAMP_NS)
    (row,) = [row for row in recording["/answers/mode"] if "event_time" in row]
    assert row["event_time"] == result().t_ns
    assert "stamp" not in row


def test_a_lane_says_the_state_of_its_stream_and_why(recording: dict[str, Rows]) -> None:
    said = {stream: of(recording[f"/trust/{stream}"], "StateChange:state") for stream in KINDS}
    assert said == {
        "front": ["fresh"],
        "depth": ["held: stuck"],
        "lidar": ["imputed: beams_lost"],
        "gps": ["absent: no_data"],
        "imu": ["fresh"],
    }


def colours_of(rows: Rows) -> dict[str, str]:
    """word -> colour, as the last configuration of a lane has it."""
    row = [row for row in rows if "StateConfiguration:values" in row][-1]
    pairs = zip(row["StateConfiguration:values"], row["StateConfiguration:colors"], strict=True)
    return {word: f"#{colour >> 8:06x}" for word, colour in pairs}


def test_every_word_of_a_lane_has_the_colour_of_its_state(recording: dict[str, Rows]) -> None:
    words = colours_of(recording["/trust/gps"])
    assert len(words) == len(STATE_COLOURS) * (len(REASONS) + 1)
    assert all(colour == STATE_COLOURS[word.partition(":")[0]] for word, colour in words.items())
    assert colours_of(recording["/answers/mode"]) == MODE_COLOURS


def test_the_answer_and_the_truth_have_the_same_colour_for_the_same_label(tmp_path: Path) -> None:
    with sink(str(tmp_path / "r.rrd")) as target:
        for label, truth in (("near", "far"), ("far", "near"), ("near", "near")):
            target.write(result(labels={"danger": label}), {"danger": truth})
    found = read(tmp_path / "r.rrd")
    lanes = {which: found[f"/answers/danger/{which}"] for which in ("answer", "truth")}
    assert of(lanes["answer"], "StateChange:state") == ["near", "far", "near"]
    assert of(lanes["truth"], "StateChange:state") == ["far", "near"]
    colours = colours_of(lanes["answer"])
    assert colours == colours_of(lanes["truth"])
    assert len(set(colours.values())) == 2


def test_a_lane_holds_changes_alone(tmp_path: Path) -> None:
    with sink(str(tmp_path / "r.rrd")) as target:
        for k, mode in enumerate(["full", "full", "blind", "blind", "full"]):
            target.write(result(t_ns=k, mode=mode))
    rows = [row for row in read(tmp_path / "r.rrd")["/answers/mode"] if "event_time" in row]
    assert [(row["event_time"], *row["StateChange:state"]) for row in rows] == [(0, "full"), (2, "blind"), (4, "full")]


def test_what_became_of_a_stream_is_told_in_words_once(tmp_path: Path) -> None:
    lost = result().streams | {"front": Trust("absent", "error", "blackout", 900.0, "mask")}
    with sink(str(tmp_path / "r.rrd")) as target:
        for streams in (result().streams, lost, lost):
            target.write(result(streams=streams))
    events = read(tmp_path / "r.rrd")["/events"]
    told = list(zip(of(events, "TextLog:level"), of(events, "TextLog:text"), strict=True))
    assert told[-1] == ("ERROR", "front absent: blackout, the picture is black")
    assert len(told) == len(KINDS) + 1


def test_the_figures_of_a_result_are_those_of_the_result(recording: dict[str, Rows]) -> None:
    figures = {path: of(rows, "Scalars:scalars") for path, rows in recording.items() if path.startswith("/figures")}
    assert figures == {
        "/figures/age_ms/front": [50.0],
        "/figures/age_ms/depth": [312.5],
        "/figures/age_ms/lidar": [60.0],
        "/figures/age_ms/gps": [],
        "/figures/age_ms/imu": [5.0],
        "/figures/latency_ms": [2.25],
        "/figures/expected": [0.75],
    }


def test_the_answer_is_written_out(recording: dict[str, Rows]) -> None:
    (text,) = of(recording["/answer"], "TextDocument:text")
    assert text == "## near\n\ntruth: far\n\n**degraded**, from front, depth, imu\n\nexpected accuracy: 0.75"


def test_what_a_stream_added_is_its_part_of_the_answer_given(tmp_path: Path) -> None:
    parts = {"danger": {"front": np.array([9.0, 9.0, 1.5]), "imu": np.array([9.0, 9.0, -0.5])}}
    with sink(str(tmp_path / "r.rrd")) as target:
        target.write(result(attribution=parts))
    found = read(tmp_path / "r.rrd")
    assert of(found["/figures/attribution/danger/front"], "Scalars:scalars") == [1.5]
    assert of(found["/figures/attribution/danger/imu"], "Scalars:scalars") == [-0.5]


def test_the_track_is_in_metres_from_the_first_fix_in_the_colour_of_its_trust(tmp_path: Path) -> None:
    first, second = payloads()["gps"], payloads()["gps"] + np.array([2e-4, 3e-4, 1.0, 0, 0, 0, 0])
    fresh = result().streams | {"gps": Trust("fresh", "ok", age_ms=40.0)}
    with sink(str(tmp_path / "r.rrd")) as target:
        target.sample("gps", sample("gps", first))
        target.write(result(streams=fresh))
        target.sample("gps", sample("gps", second))
        target.write(result())
        target.write(result())
    rows = read(tmp_path / "r.rrd")["/track/gps"]
    east_m, north_m, _ = geodetic2enu(*second[:3], *first[:3])
    places = [row["Points2D:positions"][0] for row in rows]
    np.testing.assert_allclose(places, [[0.0, 0.0], [east_m, -north_m]], atol=1e-4)
    colours = [f"#{row['Points2D:colors'][0] >> 8:06x}" for row in rows]
    assert colours == [STATE_COLOURS["fresh"], STATE_COLOURS["absent"]]


@pytest.mark.parametrize(
    ("stream", "payload"),
    [
        ("front", payloads()["front"].astype(np.float32)),
        ("front", np.zeros((0, 8, 3), np.uint8)),
        ("front", np.zeros((1, 70_000, 3), np.uint8)),
        ("depth", payloads()["depth"].astype(">u2")),
        ("lidar", "no array at all"),
        ("gps", np.array([np.nan, np.nan, np.nan, 1.0, 1.0, 1.0, 0.0])),
        ("gps", np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, -1.0])),
        ("imu", np.zeros((40, 6), np.float32)),
    ],
)
def test_a_sample_that_cannot_be_shown_is_left_out_and_the_rest_goes_on(
    stream: str, payload: Any, tmp_path: Path
) -> None:
    with sink(str(tmp_path / "r.rrd")) as target:
        target.sample(stream, sample(stream, payload))
        fill(target)
    found = read(tmp_path / "r.rrd")
    where = f"/track/{stream}" if stream == "gps" else f"/seen/{stream}"
    assert len([row for row in found[where] if "event_time" in row]) == 1


@pytest.mark.parametrize("stamp_ns", [-5, 1 << 63, -(1 << 70)])
def test_a_stamp_that_cannot_be_one_is_drawn_at_the_edge_of_time(stamp_ns: int, tmp_path: Path) -> None:
    with sink(str(tmp_path / "r.rrd")) as target:
        target.sample("depth", sample("depth", payloads()["depth"], stamp_ns))
        target.write(result())
    (row,) = read(tmp_path / "r.rrd")["/seen/depth"]
    assert row["event_time"] == ARRIVED_NS
    assert row["stamp"] == max(-(1 << 63) + 1, min(stamp_ns, (1 << 63) - 1))


def test_the_layout_travels_with_the_recording(tmp_path: Path) -> None:
    with sink(str(tmp_path / "r.rrd")) as target:
        fill(target)
    reader = RrdReader(tmp_path / "r.rrd")
    (layout,) = reader.blueprints()
    text = str([chunk.to_record_batch() for chunk in reader.stream(store=layout)])
    assert all(
        shown in text for shown in ("Trust in each stream", "Answer, truth and mode", "Track, north is up", "/seen/imu")
    )


@pytest.mark.parametrize("kinds", [{"imu": "vector"}, {f"camera_{k}": "camera" for k in range(16)}])
def test_a_layout_is_found_for_any_streams(kinds: dict[str, str], tmp_path: Path) -> None:
    streams = {stream: Trust("fresh", "ok", age_ms=1.0) for stream in kinds}
    with RerunSink(f"rerun:{tmp_path / 'r.rrd'}", Setting(kinds)) as target:
        target.write(result(streams=streams))
    verify(tmp_path / "r.rrd")
    assert len(RrdReader(tmp_path / "r.rrd").blueprints()) == 1


def test_a_live_run_keeps_no_index_in_memory(tmp_path: Path) -> None:
    with RerunSink(f"rerun:{tmp_path / 'r.rrd'}", Setting(KINDS, live=True)) as target:
        fill(target)
    with pytest.warns(error_utils.RerunWarning, match="RRD file has no footer"):
        found = read(tmp_path / "r.rrd")
    assert of(found["/trust/depth"], "StateChange:state") == ["held: stuck"]


def test_what_is_served_is_seen_by_who_comes_later(tmp_path: Path) -> None:
    told: list[str] = []
    with sink("0", told) as target:
        fill(target)
        url = told[0].split()[-1]
        command = [RERUN, "--save", str(tmp_path / "seen.rrd"), "--bind", "127.0.0.1", "--port", "auto", url]
        home = without_home(tmp_path)
        viewer = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL, env=home)
        try:
            found = seen_in_time(tmp_path / "seen.rrd", "/answer")
        finally:
            os.killpg(viewer.pid, signal.SIGKILL)
            viewer.wait()
        fill(target)  # a viewer that goes away stops nothing
    assert of(found["/trust/depth"], "StateChange:state") == ["held: stuck"]
    assert found.keys() >= {"/seen/front", "/seen/lidar", "/answers/mode", "/figures/latency_ms"}


def seen_in_time(path: Path, wanted: str) -> dict[str, Rows]:
    """What a viewer has saved so far, once that is there."""
    for _ in range(120):
        time.sleep(0.25)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a file that is still being written
            found = read(path) if path.exists() and path.stat().st_size else {}
        if wanted in found:
            return found
    raise AssertionError(f"{wanted} has not been seen")


def test_nothing_is_served_to_other_computers() -> None:
    told: list[str] = []
    with sink("0", told):
        (port,) = map(int, re.findall(r"127\.0\.0\.1:(\d+)/proxy", told[0]))
        while True:  # it begins to listen a moment later
            listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
            mine = [address for address in listening if int(address.split(":")[1], 16) == port]
            if mine:
                break
    assert mine == [f"0100007F:{port:04X}"]


def test_a_port_that_is_taken_is_one_clear_error() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SinkError, match=rf"^rerun:{port}: port {port} cannot be served on: Addr"), sink(str(port)):
            pass


@pytest.mark.parametrize("uri", ["rerun:x", "rerun:70000", "rerun:1,2", "a.rrd,b.rrd", "rerun:a.mcap"])
def test_a_place_that_is_none_is_refused(uri: str) -> None:
    with pytest.raises(SinkError, match=r"is no port from 0 to 65535, nor a path that ends in \.rrd, or one too many"):
        open_sink(uri, Setting(KINDS))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(SinkError, match=r"gone/r\.rrd: cannot be opened for writing: No such"),
        sink(str(tmp_path / "gone" / "r.rrd")),
    ):
        pass


def test_a_run_that_breaks_leaves_a_part_that_can_be_read(tmp_path: Path) -> None:
    def broken() -> None:
        with sink(str(tmp_path / "r.rrd")) as target:
            fill(target)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert [path.name for path in tmp_path.iterdir()] == ["r.rrd.part"]
    assert of(read(tmp_path / "r.rrd.part")["/trust/depth"], "StateChange:state") == ["held: stuck"]


WRITE = """
from edgefuse.errors import SinkError
from edgefuse.sinks import Beside
from test_sink_rerun import fill, sink
try:
    with sink("r.rrd") as target:
        for _ in range(2000):
            fill(target)
except SinkError as error:
    print(error)
"""


def test_a_full_disk_is_one_clear_error_and_keeps_what_is_there(tmp_path: Path) -> None:
    told = run_on_a_full_disk(WRITE, 100_000, tmp_path)
    assert told == "r.rrd: cannot be written: File too large; what was written so far is in r.rrd.part\n"
    assert [path.name for path in tmp_path.iterdir()] == ["r.rrd.part"]


def test_a_run_leaves_a_recording_that_rerun_finds_no_fault_with(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgefuse.cli", "run", "--source", "site:seed=2&duration_s=3"]
    subprocess.run([*command, "--out", "r.rrd"], check=True, capture_output=True, cwd=tmp_path)
    verify(tmp_path / "r.rrd")
    found = read(tmp_path / "r.rrd")
    assert len(of(found["/figures/latency_ms"], "Scalars:scalars")) == 30
    assert of(found["/trust/camera"], "StateChange:state")[-1] == "fresh"
    assert isinstance(open_sink(str(tmp_path / "r.rrd"), Setting(KINDS)), Beside)
