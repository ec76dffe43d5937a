"""The list of reasons is closed, has one meaning a reason, and stands in the docs as it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from edgefuse.reasons import LEVEL, REASONS, Reason
from page_tools import tool

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "results.md"


def test_the_type_and_the_table_name_the_same_reasons_in_the_same_order() -> None:
    assert get_args(Reason) == tuple(REASONS) == tuple(LEVEL)


def test_no_two_reasons_say_the_same() -> None:
    words = [words for _, words in REASONS.values()]
    assert len(set(words)) == len(words)


def test_every_reason_is_given_somewhere_in_the_engine() -> None:
    engine = ROOT / "engine" / "edgefuse"
    sources = "".join(p.read_text() for p in engine.rglob("*.py") if p.name != "reasons.py")
    assert [reason for reason in REASONS if f'"{reason}"' not in sources] == []


def test_the_page_has_the_table() -> None:
    assert PAGE.read_text() == tool("reason_table").page(PAGE.read_text()), "run `make docs`"


def test_the_example_of_the_page_on_trust_is_a_configuration() -> None:
    from edgefuse.config import parse_config, steps_of

    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "trust.md").read_text(), re.S)
    config = parse_config(example.encode(), "trust.md")
    ladder = config.streams["camera"].ladder or ()
    assert steps_of(ladder)[0].max_age_ms == 300.0
