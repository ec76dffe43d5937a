"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def part_of(path: Path) -> Path:
    """Where a file lies until it is whole: beside its place, so that moving it there is one step."""
    return path.with_name(path.name + ".part")


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that `path` holds all of `data` or what it held before; an OSError says why it does not."""
    target = Path(path)
    partial = part_of(target)
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
