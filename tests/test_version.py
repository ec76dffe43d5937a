"""Versions compare by their numbers, not by their letters."""

from __future__ import annotations

import pytest

from edgefuse.version import older


@pytest.mark.parametrize(
    ("have", "want", "answer"),
    [
        ("1.9.0", "1.10.0", True),
        ("1.10.0", "1.9.0", False),
        ("1.23.2", "1.23.2", False),
        ("1.23", "1.23.1", True),
        ("2.0.0rc1", "2.0.0", False),
        ("1.31.1+cpu", "1.31.1", False),
        ("", "0.1", True),
    ],
)
def test_older_is_by_number(have: str, want: str, answer: bool) -> None:
    assert older(have, want) is answer
