"""The page of the faults is what the table says, and its example is a configuration."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec.structs import asdict

from edgefuse.config import FaultConfig, parse_config
from edgefuse.faults import KINDS, Fault
from page_tools import tool

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "faults.md"


def test_the_page_is_that_of_the_table() -> None:
    assert PAGE.read_text() == tool("fault_page").page(), "run `make docs`"


def test_every_kind_has_one_line() -> None:
    lines = re.findall(r"^\| `(\w+)` \| (.+?) \|", PAGE.read_text().split("\n## ", 1)[1], re.M)
    assert sorted(lines) == sorted((name, kind.what) for name, kind in KINDS.items())


def test_the_example_is_a_configuration() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.S)
    faults = [Fault(**asdict(fault)) for fault in parse_config(example.encode(), "page").faults]
    assert len(faults) == 2 and all(fault.kind in KINDS for fault in faults)


def test_the_configuration_and_the_page_have_the_defaults_of_a_fault() -> None:
    plain = Fault("a", "off", 0.0, 1.0)
    assert Fault(**asdict(FaultConfig(stream="a", kind="off", from_s=0.0, to_s=1.0))) == plain
    for name, default in re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", PAGE.read_text(), re.M):
        assert getattr(plain, name) == float(default)
