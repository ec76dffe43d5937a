"""The exception tree: every error that a user of edgefuse can meet, and nothing else.

EdgefuseError
    BundleError     a bundle file is missing, altered, foreign or inconsistent
    ConfigError     a configuration names something unknown or a value out of range
    SourceError     a recording or device cannot be read at all
    SinkError       results cannot be written
    DeviceError     a GPU cannot be had, has no memory left, or is lost
    UsageError      the engine was called in a way that no sensor can cause

Each message names the thing and the place. Bad sensor data is never an exception: it is a reason in the result.
"""

from __future__ import annotations


class EdgefuseError(Exception):
    """The root: catch this to catch all that edgefuse raises on purpose."""


class _Placed(EdgefuseError):
    """An error with a place: a file, and where in it. The message reads `place: what`."""

    def __init__(self, what: str, *, place: str = "") -> None:
        super().__init__(f"{place}: {what}" if place else what)
        self.what = what
        self.place = place


class BundleError(_Placed):
    """A bundle is missing, truncated, altered, foreign or inconsistent; `place` names file and field."""


class ConfigError(_Placed):
    """A configuration is refused; `place` names file and key, such as `run.yaml: streams.camera.max_age_ms`."""


class SourceError(_Placed):
    """A source of samples cannot be opened or read; `place` is its path or URI."""


class SinkError(_Placed):
    """Results cannot be written; `place` is the path, and what was written so far is kept beside it."""


class DeviceError(_Placed):
    """A device cannot be used, any more or at all; `place` names it, such as `cuda:0`."""


class UsageError(EdgefuseError):
    """A call that no sensor can cause: an unknown stream name, a tick before the last one."""
