"""The tutorial runs as it stands, from a PyTorch model to answers on a recording."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra `export` is not installed")
pytest.importorskip("rosbags", reason="the extra `bag` is not installed")

from small_bag import SECOND, T, header, image, write_mcap

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "tutorial.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE, re.DOTALL)
LIVE = "--source ros2:"  # has tests of its own


def imu(stamp_ns: int, values: Any) -> Any:
    v, q = T["geometry_msgs/msg/Vector3"], T["geometry_msgs/msg/Quaternion"]
    nine = np.zeros(9)
    return T["sensor_msgs/msg/Imu"](
        header=header(stamp_ns),
        orientation=q(x=0.0, y=0.0, z=0.0, w=1.0),
        orientation_covariance=nine,
        angular_velocity=v(x=values[0], y=values[1], z=values[2]),
        angular_velocity_covariance=nine,
        linear_acceleration=v(x=values[3], y=values[4], z=values[5]),
        linear_acceleration_covariance=nine,
    )


def drive(path: Path) -> None:
    rng = np.random.default_rng(0)
    told = []
    for k in range(60):
        at = 1_700_000_000 * SECOND + k * SECOND // 20
        told.append(("/imu", at, imu(at, rng.normal(size=6))))
        if k % 2 == 0:
            told.append(("/front/image", at, image(rng.integers(100, 140, (120, 160, 3), np.uint8), "rgb8", at)))
    write_mcap(path, told)


@pytest.mark.slow
def test_every_block_of_the_tutorial_runs_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    drive(tmp_path / "drive.mcap")
    names: dict[str, Any] = {}
    for language, text in BLOCKS:
        if language == "python":
            exec(compile(text, "docs/tutorial.md", "exec"), names)
        elif language == "yaml":
            (tmp_path / "robot.yaml").write_text(text)
        else:
            commands = [line.split("#")[0].split() for line in text.splitlines() if line and LIVE not in line]
            for command in commands:
                run(command)
    assert names["result"].mode == "full"
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 60
    assert (tmp_path / "report.html").stat().st_size > 1000


def run(command: list[str]) -> None:
    assert command[0] == "edgefuse"
    done = subprocess.run(
        [sys.executable, "-m", "edgefuse.cli", *command[1:]], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (command, done.stderr)
