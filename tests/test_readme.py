"""What the README shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefuse.cli import _VERBS
from edgefuse.doctor import shipped_bundle
from edgefuse.sources.site import snapshot
from edgefuse.types import Array

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
DEVICE, WORKSTATION = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_lines_on_the_device_run() -> None:
    payloads = snapshot(5).payloads
    names: dict[str, Any] = {"stamp_ns": 10, "t_ns": 20, "image": payloads["camera"], "points": payloads["lidar"]}
    code = DEVICE.replace('"site.efb"', repr(str(shipped_bundle())))
    exec(code, {**names, "fix": payloads["gps"]}, names)
    assert names["result"].used == ("camera", "gps")


def test_the_lines_on_the_workstation_run(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the extra `export` is not installed")
    nn = torch.nn
    rng = np.random.default_rng(0)

    def moment() -> dict[str, Array]:
        picture = rng.integers(100, 140, (240, 320, 3), dtype=np.uint8)  # more would be refused as noise
        return {"camera_front": picture, "imu": rng.normal(size=(50, 6)).astype(np.float32)}

    names: dict[str, Any] = {
        "nn": nn,
        "my_cnn": nn.Sequential(nn.AvgPool2d((56, 1)), nn.Flatten(), nn.Linear(4 * 224 * 3, 512)),
        "my_rnn": nn.Sequential(nn.Flatten(), nn.Linear(300, 64)),
        "labels": ["a", "b", "c", "d", "e"],
        "images": torch.zeros(2, 224, 224, 3, dtype=torch.uint8),
        "windows": torch.zeros(2, 50, 6),
        "present": torch.tensor([[True, False], [True, True]]),
        "recorded": [moment() for _ in range(3)],
    }
    exec(WORKSTATION.replace('"mine.efb"', repr(str(tmp_path / "mine.efb"))), names)
    assert names["logits"].shape == (2, 5)
    assert (tmp_path / "mine.efb").is_file()


def test_every_verb_is_in_the_readme() -> None:
    for verb, *_ in _VERBS:
        assert f"edgefuse {verb}" in README


def test_every_link_leads_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
