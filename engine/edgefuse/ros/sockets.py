"""What this system lets a socket hold until somebody reads it, and what ROS 2 messages need."""

from __future__ import annotations

from pathlib import Path

BUFFER_BYTES = 8 << 20
_LIMIT = Path("/proc/sys/net/core/rmem_max")


def limit_bytes() -> int | None:
    """The most that a socket may ask for; None where the system does not tell."""
    try:
        return int(_LIMIT.read_text())
    except (OSError, ValueError):
        return None


def too_small() -> str | None:
    """What is wrong with it, in words."""
    limit = limit_bytes()
    if limit is None or limit >= BUFFER_BYTES // 2:
        return None
    what = f"net.core.rmem_max is {limit} bytes, less than a picture and a cloud that come together: set it to"
    return f"{what} {BUFFER_BYTES}, or what does not fit is lost and not counted"
