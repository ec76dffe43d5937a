"""Which held-out moments a bundle can be measured on: those with a truth, and what has to be said about the others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgefuse.manifest import OutputSpec
from edgefuse.offline import Offline
from edgefuse_export.errors import ExportError
from edgefuse_export.held_out import Moments


def usable(moments: Moments, offline: Offline, output: str) -> tuple[Moments, list[str]]:
    """Without the moments that have no truth, which is said. ExportError for truths that are none of this output."""
    spec = next(o for o in offline.bundle.manifest.head.outputs if o.name == output)
    known, notes = _of_values(moments, spec) if spec.kind == "regression" else _of_classes(moments, spec)
    if not known.any():
        raise ExportError("no moment of the held-out data has a truth")
    if not known.all():
        notes.insert(0, f"{int((~known).sum())} of {len(known)} moments have no label and were left out")
    if offline.bundle.manifest.fallback.subset_trained is False:
        notes.append("the model was not trained to answer from subsets: see `edgefuse-export retrofit`")
    return moments.where(known), notes


def _of_classes(moments: Moments, spec: OutputSpec) -> tuple[NDArray[np.bool_], list[str]]:
    """ExportError for a single class, a label that is none, or values."""
    labels = spec.labels
    if moments.labels.ndim != 1:
        raise ExportError(f"output {spec.name!r} is of classes: labels.npy has to hold whole numbers [n]")
    if (moments.labels >= len(labels)).any():
        raise ExportError(f"label {int(moments.labels.max())}: output {spec.name!r} has {len(labels)} classes")
    known = moments.labels >= 0
    found = np.unique(moments.labels[known])
    if len(found) < 2:
        raise ExportError(f"the held-out data holds {len(found)} class(es): a datasheet needs at least two")
    missing = [labels[k] for k in range(len(labels)) if k not in found]
    return known, [f"no moment of class {name!r}: the figures say nothing of it" for name in missing]


def _of_values(moments: Moments, spec: OutputSpec) -> tuple[NDArray[np.bool_], list[str]]:
    """ExportError for another number of values."""
    size = len(spec.prior)
    if moments.labels.shape[1:] != (size,):
        have = list(moments.labels.shape)
        raise ExportError(f"output {spec.name!r} is of {size} value(s): labels.npy has to be [n, {size}], not {have}")
    return np.logical_and.reduce(np.isfinite(moments.labels), axis=1), []
