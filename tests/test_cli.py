"""The command line does what it says in a real process, and meets every bad input with one line and a status."""

from __future__ import annotations

import calendar
import importlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edgefuse.command import parser_of
from hearing import hearing
from small_kitti import write_drive
from tiny import Tiny

ROOT = Path(__file__).resolve().parents[1]
KITTI = ROOT.parent / "shared" / "data" / "kitti_raw_0013"


def edgefuse(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgefuse.cli", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=cwd, env={**os.environ, **environment}
    )


def last_json(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def without_timing(path: Path) -> list[Any]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "timing_ms"} for line in lines]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    Tiny().write(tmp_path / "tiny.efb")
    return tmp_path / "tiny.efb"


def test_the_demo_answers_every_tick_while_sensors_fail(tmp_path: Path) -> None:
    document = last_json(edgefuse("demo", "--seconds", 25, "--out", tmp_path / "demo.jsonl", "--json"))
    assert document["ticks"] == len((tmp_path / "demo.jsonl").read_text().splitlines()) >= 249
    assert {"full", "degraded", "blind"} <= set(document["modes"])
    for reason in ("camera: stuck", "camera: blackout", "lidar: non_finite", "gps: no_fix", "depth: too_old"):
        assert document["reasons"][reason] > 0
    for account in document["samples"].values():
        parts = account["used"] + account["waiting"] + sum(account["dropped"].values())
        assert account["received"] == parts


def test_two_runs_of_one_source_are_the_same_byte_for_byte(tmp_path: Path) -> None:
    for name in ("one", "two"):
        done = edgefuse("run", "--source", "site:seed=3&duration_s=3", "--out", tmp_path / f"{name}.jsonl")
        assert done.returncode == 0, done.stderr
    assert without_timing(tmp_path / "one.jsonl") == without_timing(tmp_path / "two.jsonl")


@pytest.mark.skipif(not KITTI.exists(), reason="the KITTI recording is not beside this checkout")
def test_a_real_drive_is_answered_from_its_first_fix_to_its_last(tmp_path: Path) -> None:
    out = tmp_path / "kitti.jsonl"
    config = ROOT / "configs" / "kitti.yaml"
    document = last_json(edgefuse("run", "--source", f"kitti:{KITTI}", "--config", config, "--out", out, "--json"))
    lines = without_timing(out)
    assert document["skipped"] == 0
    assert document["in_domain"] is False
    assert all(line["expected"] is None for line in lines)
    used = [tuple(n for n, s in line["streams"].items() if s["state"] in ("fresh", "held")) for line in lines]
    camera_ns = kitti_stamps("image_02")[84]
    assert {u for u, line in zip(used, lines, strict=True) if line["t_ns"] < camera_ns} == {("gps",)}
    assert ("camera", "depth", "lidar", "gps") in used
    assert used[-1] == ("gps",)
    assert lines[-1]["streams"]["gps"]["health"] == "ok"


@pytest.mark.skipif(not KITTI.exists(), reason="the KITTI recording is not beside this checkout")
def test_the_outage_of_a_real_receiver_is_flagged_from_its_first_fix_without_to_the_fifth_good_one(
    tmp_path: Path,
) -> None:
    out = tmp_path / "kitti.jsonl"
    config = ROOT / "configs" / "kitti.yaml"
    assert edgefuse("run", "--source", f"kitti:{KITTI}", "--config", config, "--out", out).returncode == 0
    stamps = kitti_stamps("oxts")
    for line in without_timing(out):
        # oxts files 98 to 112 carry posmode 0 (no position); 113 to 117 are the five good fixes that open the gate.
        flagged = line["streams"]["gps"]["reason"] == "no_fix"
        assert flagged == (stamps[98] <= line["t_ns"] < stamps[117]), line["t_ns"]


def kitti_stamps(sensor: str) -> list[int]:
    """The drive's stamps in ns since 1970, by a reading of our own."""
    (path,) = KITTI.glob(f"*/*_sync/{sensor}/timestamps.txt")
    times = [line.partition(".") for line in path.read_text().split("\n") if line]
    seconds = [calendar.timegm(time.strptime(whole, "%Y-%m-%d %H:%M:%S")) for whole, _, _ in times]
    return [second * 10**9 + int(fraction) for second, (_, _, fraction) in zip(seconds, times, strict=True)]


def test_damaged_files_are_told_counted_and_skipped(tmp_path: Path) -> None:
    drive = tmp_path / "date" / "small_sync"
    write_drive(drive)
    (broken,) = sorted(drive.glob("oxts/data/*.txt"))[1:2]
    broken.write_bytes(b"not numbers")
    config = ROOT / "configs" / "kitti.yaml"
    done = edgefuse("run", "--source", f"kitti:{drive}", "--config", config, "--json")
    document = last_json(done)
    assert document["skipped"] == 1
    assert document["problems"][0]["place"].endswith(broken.name)
    assert f"skipped: {broken}" in done.stderr


def test_inspect_shows_the_streams_and_the_figures() -> None:
    done = edgefuse("inspect", "--json")
    document = last_json(done)
    assert [stream["name"] for stream in document["streams"]] == ["camera", "depth", "lidar", "gps"]
    assert len(document["datasheet"]["subsets"]) == 15
    assert "multconcat" in done.stdout


def test_the_shipped_bundle_answers_here_as_it_did_for_its_exporter() -> None:
    document = last_json(edgefuse("verify", "--json"))
    assert document["passed"] is True
    assert len(document["checks"]) >= 3


def test_the_shipped_bundle_answers_the_same_on_numpy_kernels() -> None:
    assert last_json(edgefuse("verify", "--json", EDGEFUSE_KERNELS="numpy"))["passed"] is True


def test_a_bundle_without_golden_moments_is_not_called_verified(tiny: Path) -> None:
    assert edgefuse("verify", tiny).returncode == 1


def test_bench_compares_with_one_graph_and_gives_the_spread() -> None:
    document = last_json(edgefuse("bench", "--scenarios", "fresh,in_hand", "--rounds", 100, "--json"))
    for scenario in document["scenarios"].values():
        for ratio in scenario["ratios"].values():
            assert 0.0 < ratio["low"] <= ratio["high"]


def test_a_budget_that_is_broken_is_status_1_and_two_reports_can_be_compared(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text('limits: [{scenario: fresh, ratio: "engine / one graph", at_most: 0.0001}]')
    done = edgefuse("bench", "--scenarios", "fresh", "--rounds", 100, "--budget", tmp_path / "b.yaml", "--json")
    assert done.returncode == 1
    assert "BROKEN  fresh: engine / one graph, p50 is" in done.stdout
    (tmp_path / "r.json").write_text(done.stdout)
    compared = edgefuse("bench", "--compare", tmp_path / "r.json", tmp_path / "r.json")
    assert compared.returncode == 0
    assert "no difference shown" in compared.stdout


def test_doctor_names_the_kernels_first() -> None:
    done = edgefuse("doctor", "--json", EDGEFUSE_KERNELS="numpy")
    assert last_json(done)["kernels"]["backend"] == "numpy"
    assert done.stdout.splitlines()[0].split()[:2] == ["kernels", "numpy"]


def test_a_run_can_be_drawn(tmp_path: Path) -> None:
    results = tmp_path / "r.jsonl"
    assert edgefuse("run", "--source", "site:duration_s=2", "--out", results).returncode == 0
    assert edgefuse("report", results, "--out", tmp_path / "r.png").returncode == 0
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")


BAD: dict[str, tuple[list[object], str]] = {
    "no verb": ([], "required"),
    "unknown verb": (["fly"], "invalid choice"),
    "no source": (["run"], "--source"),
    "unknown scheme": (["run", "--source", "ftp:x"], "ftp:x: is not a source; sources begin with site:, kitti:"),
    "no scheme": (["run", "--source", "x"], "x: is not a source"),
    "unknown option": (["run", "--source", "site:colour=1"], "unknown option 'colour'"),
    "no number": (["run", "--source", "site:seed=x"], "site:seed=x: options are KEY=VALUE"),
    "no drive": (["run", "--source", "kitti:/nowhere"], "/nowhere: no such folder"),
    "bad rate": (["run", "--source", "site:", "--rate", "0"], "--rate"),
    "no bundle": (["inspect", "/nowhere.efb"], "/nowhere.efb: cannot be read: No such file"),
    "folder": (["verify", "/"], "cannot be read: Is a directory|is not a regular file"),
    "no config": (["run", "--source", "site:", "--config", "/none.yaml"], "/none.yaml: cannot be read"),
    "no folder": (["run", "--source", "site:duration_s=1", "--out", "/none/r.jsonl"], "cannot be opened"),
    "full disk": (
        ["run", "--source", "site:duration_s=1", "--out", "/dev/full"],
        "/dev/full: .*: No space left",
    ),
    "no results": (["report", "/none.jsonl"], "/none.jsonl: cannot be read"),
    "bad kernels": (["doctor"], "EDGEFUSE_KERNELS"),
    "few rounds": (["bench", "--rounds", "5"], "fewer than 100 rounds"),
    "no scenario": (["bench", "--scenarios", "fast"], "no scenario 'fast'"),
    "no profile": (["bench", "--profile", "/none.yaml"], "/none.yaml: cannot be read"),
    "no budget": (["bench", "--budget", "/none.yaml"], "/none.yaml: cannot be read"),
    "no report": (["bench", "--compare", "/none.json", "/none.json"], "/none.json: cannot be read"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_bad_input_is_one_line_and_status_2(case: str) -> None:
    arguments, words = BAD[case]
    environment = {"EDGEFUSE_KERNELS": "magic"} if case == "bad kernels" else {}
    done = edgefuse(*arguments, **environment)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert re.search(words, done.stderr.splitlines()[-1])


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_a_truncated_bundle_is_one_line_and_status_2(tiny: Path, size: int) -> None:
    tiny.write_bytes(tiny.read_bytes()[:size])
    for verb in (["inspect", tiny], ["verify", tiny], ["run", "--bundle", tiny, "--source", "site:"]):
        done = edgefuse(*verb)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
        assert "tiny.efb: is not a whole edgefuse bundle" in done.stderr


def test_a_topic_that_the_source_does_not_offer_is_told(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("streams: {camera: {topic: image_9}}")
    done = edgefuse("run", "--source", "site:duration_s=1", "--config", tmp_path / "c.yaml")
    assert done.returncode == 0
    assert "stream 'camera': the source has no topic 'image_9'; it offers camera, depth, lidar, gps" in done.stderr


def test_a_source_that_feeds_no_stream_is_refused(tiny: Path) -> None:
    done = edgefuse("run", "--bundle", tiny, "--source", "site:duration_s=1")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "configuration: the source offers camera, depth, lidar, gps; the streams want a, b, c" in done.stderr


def test_a_wrong_key_of_a_configuration_is_named_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("streams: {camera: {max_age: 5}}")
    done = edgefuse("run", "--source", "site:", "--config", tmp_path / "c.yaml")
    assert done.returncode == 2
    assert done.stderr.strip().endswith("c.yaml: streams.camera.max_age: unknown key")


def test_a_run_that_is_interrupted_leaves_no_file_that_passes_for_whole(tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    options = ["run", "--source", "site:duration_s=600", "--out", str(out)]
    process = subprocess.Popen(hearing(*options), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    part = tmp_path / "r.jsonl.part"
    for _ in range(600):
        if part.exists() and part.stat().st_size > 5000:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "Traceback" not in errors
    assert not out.exists()
    assert all(json.loads(line)["mode"] for line in part.read_text().splitlines())


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    command = f"{sys.executable} -m edgefuse.cli inspect | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.stdout


@pytest.mark.parametrize(
    ("module", "code", "advice"),
    [
        ("torch", "from edgefuse_export.cli import main; sys.exit(main(['train']))", "edgefuse[export]"),
        ("matplotlib", "from edgefuse.cli import main; sys.exit(main(['report', 'r.jsonl']))", "edgefuse[report]"),
    ],
)
def test_a_missing_extra_is_named_with_what_to_install(tmp_path: Path, module: str, code: str, advice: str) -> None:
    (tmp_path / "r.jsonl").write_text(
        '{"t_ns": 0, "mode": "full", "streams": {}, "labels": {}, "bundle": {"name": "x"}}\n'
    )
    script = f"import sys; sys.modules[{module!r}] = None; {code}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert f"needs {module}: pip install '{advice}'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_that_explains_a_model_that_was_not_trained_for_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "explain: true\nstreams: {a: {topic: camera}, b: {topic: depth}, c: {topic: gps}}\n"
    )
    for trained, notes in ((False, 1), (True, 0)):
        tiny = Tiny()
        fallback = {**tiny.fields()["fallback"], "subset_trained": trained}
        tiny.write(tmp_path / "t.efb", fallback=fallback)
        given = ("run", "--bundle", tmp_path / "t.efb", "--source", "drill:samples=40", "--config", tmp_path / "c.yaml")
        done = edgefuse(*given)
        told = done.stdout + done.stderr
        assert told.count("note: the model was not trained to answer from subsets") == notes, told


@pytest.mark.parametrize("module", ["edgefuse.cli", "edgefuse_export.cli"])
def test_every_verb_shows_an_example_that_its_own_options_take(module: str) -> None:
    if module.startswith("edgefuse_export"):
        pytest.importorskip("torch", reason="the extra `export` is not installed")
    rows = importlib.import_module(module)._VERBS
    parser = parser_of("edgefuse", "", rows)
    for row in rows:
        assert parser.parse_args(shlex.split(row.example)).verb is row.verb, row.name
    done = edgefuse("run", "--help")
    assert "\nexample: edgefuse run --source bag:drive.mcap --config robot.yaml --out r.jsonl\n" in done.stdout


def test_a_shell_completes_verbs_options_and_files(tmp_path: Path) -> None:
    pytest.importorskip("shtab", reason="the extra `completion` is not installed")
    (tmp_path / "c.sh").write_text(edgefuse("completion", "bash").stdout)
    script = (
        "source ./c.sh; COMP_WORDS=(edgefuse {}); COMP_CWORD={}; $(complete -p edgefuse | grep -o '_shtab[a-z_]*') "
        "edgefuse {} x 2>/dev/null; echo ${{COMPREPLY[@]}}"
    )
    for words, at, last, want in (("ins", 1, "ins", "inspect"), ("run --real", 2, "--real", "--realtime")):
        command = ["bash", "-c", script.format(words, at, last)]
        assert want in subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path).stdout
