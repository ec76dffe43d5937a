"""Seeded faults put between a source and the engine: sensors that vanish, freeze, lie, lag or change their format."""

from edgefuse.faults.base import FAMILIES, SEVERITIES, Apply, Fault, FaultKind, Kind, Memory, Moment
from edgefuse.faults.source import FaultySource
from edgefuse.faults.table import KINDS

__all__ = [
    "FAMILIES",
    "KINDS",
    "SEVERITIES",
    "Apply",
    "Fault",
    "FaultKind",
    "FaultySource",
    "Kind",
    "Memory",
    "Moment",
]
