"""The version of edgefuse, and how versions compare."""

from __future__ import annotations

import re

__version__ = "0.1.0"


def older(have: str, want: str) -> bool:
    """Is version `have` older than `want`? Compares the leading numbers; what follows them (rc1, +cpu) is ignored."""
    return _numbers(have) < _numbers(want)


def _numbers(version: str) -> tuple[int, ...]:
    leading = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in leading[0].split(".")) if leading else ()
