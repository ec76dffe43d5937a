"""Told: what files of /proc and /sys say, as text and as numbers; None where they are not there or say nothing."""

from __future__ import annotations

from pathlib import Path


def text(path: Path) -> str | None:
    """The file's words, without the end of the line."""
    try:
        return path.read_bytes().decode(errors="replace").strip("\x00 \n") or None
    except OSError:
        return None


def number(path: Path, scale: float = 1.0) -> float | None:
    """The file's number, times `scale`."""
    try:
        return float(text(path) or "") * scale
    except ValueError:
        return None
