"""edgefuse: fused perception on edge devices that answers at every tick and says what each answer was made from."""

from __future__ import annotations

from edgefuse.config import RunConfig
from edgefuse.engine import Engine, load
from edgefuse.errors import BundleError, ConfigError, EdgefuseError, SinkError, SourceError, UsageError
from edgefuse.types import Result, Sample, Trust
from edgefuse.version import __version__

__all__ = [
    "BundleError",
    "ConfigError",
    "EdgefuseError",
    "Engine",
    "Result",
    "RunConfig",
    "Sample",
    "SinkError",
    "SourceError",
    "Trust",
    "UsageError",
    "__version__",
    "load",
]
