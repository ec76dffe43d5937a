"""The live table shows where each answer comes from, over itself on a real terminal, and is not seen elsewhere."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import numpy as np

from edgefuse.live import LiveTable, table
from edgefuse.types import Expected, Result, Trust


def result(t_s: float = 0.0) -> Result:
    streams = {
        "camera": Trust("held", "error", "stuck", 312.4, "hold"),
        "gps": Trust("fresh", "ok", age_ms=20.0),
        "lidar": Trust("absent", "stale", "no_data", rung="mask"),
    }
    outputs = {"action": np.zeros(2, np.float32)}
    expected = Expected("accuracy", 0.697, 0.6, 0.8, 100)
    labels = {"action": "safe"}
    return Result(round(t_s * 1e9), "abstain", outputs, labels, streams, expected, None, {}, ("site", 1), "needs lidar")


def test_a_table_says_what_the_answer_is_made_from_and_why() -> None:
    head, names, camera, gps, lidar = table(result(), 12.5)
    assert head == "   12.50 s  abstain (needs lidar)  action safe, expected accuracy 69.7%"
    assert names.split() == ["stream", "state", "age", "ms", "rung", "health", "reason"]
    assert ("held" in camera, camera.split()[-4:]) == (True, ["312", "hold", "error", "stuck"])
    assert gps.split()[-3:] == ["20", "-", "ok"]
    assert lidar.split()[-4:] == ["-", "mask", "stale", "no_data"]


def test_it_is_drawn_no_faster_than_one_can_read_and_the_last_always() -> None:
    now, written = [0.0], list[str]()
    live = LiveTable(written.append, lambda: now[0])
    for k in range(100):
        now[0] = k * 0.01
        live.show(result(k * 0.01))
    live.close()
    drawn = [text for text in written if "abstain" in text]
    assert 10 <= len(drawn) <= 12
    assert "    0.99 s" in drawn[-1]


def test_it_says_how_far_a_recording_is_and_how_long_still() -> None:
    now, written = [0.0], list[str]()
    live = LiveTable(written.append, lambda: now[0])
    live.expect(100.0)
    live.show(result(0.0))
    now[0] = 5.0
    live.show(result(20.0))
    assert "20.0 of 100.0 s (20%), 4.0 times as fast as it happened, 0:20 left" in written[-1]
    unknown = LiveTable(written.append, lambda: now[0])
    unknown.show(result(20.0))
    assert "left" not in written[-1]


def test_no_line_is_wider_than_the_terminal_nor_are_there_more_than_it_has() -> None:
    written: list[str] = []
    live = LiveTable(written.append, lambda: 0.0, lambda: (24, 4))
    live.show(result())
    lines = re.sub(r"\033\[\d*[mK]", "", "".join(written)).splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= 24


def on_a_terminal(*arguments: str) -> str:
    """What a person sees of a command: the output of a real process on a real terminal."""
    parent, child = pty.openpty()
    process = subprocess.Popen([sys.executable, "-m", "edgefuse.cli", *arguments], stdout=child, stderr=child)
    os.close(child)
    seen = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:
            break
        if not part:
            break
        seen += part
    os.close(parent)
    assert process.wait(60) == 0
    return seen.decode()


def test_a_run_on_a_terminal_shows_it_live() -> None:
    seen = on_a_terminal("run", "--source", "site:seed=2&duration_s=2")
    assert "\033[6A" in seen  # drawn over itself: a head, the names and four streams
    assert "camera          \033[32mfresh" in seen
    assert "answers for" in seen


def test_a_run_into_a_file_shows_lines_alone() -> None:
    command = [sys.executable, "-m", "edgefuse.cli", "run", "--source", "site:seed=2&duration_s=1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "\033" not in done.stdout + done.stderr
    assert "full" in done.stderr
