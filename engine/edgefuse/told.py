"""Told: what files of /proc and /sys say, as text and as numbers; None where they are not there or say nothing."""

from __future__ import annotations

from pathlib import Path


def text(path: Path, most_bytes: int = -1) -> str | None:
    """The file's words, without the end of the line; of its first bytes alone, where it should be short."""
    try:
        with path.open("rb") as file:
            return file.read(most_bytes).decode(errors="replace").strip("\x00 \n") or None
    except OSError:
        return None


def number(path: Path, scale: float = 1.0) -> float | None:
    """The file's number, times `scale`."""
    try:
        return float(text(path) or "") * scale
    except ValueError:
        return None
