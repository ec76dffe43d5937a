"""Traffic: how often something went between host and device, how many bytes, and how often the host waited for it."""

from __future__ import annotations

from msgspec import Struct


class Traffic(Struct):
    """What went between host and device: how often, how many bytes, and how often the host waited."""

    uploads: int = 0
    uploaded_bytes: int = 0
    downloads: int = 0
    downloaded_bytes: int = 0
    waits: int = 0

    def add(self, other: Traffic) -> None:
        """What something else had, again."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))
