"""Held-out data as a bundle's own encoders see it: embeddings of every moment, at the ages that its samples have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgefuse.offline import Offline
from edgefuse.sources import Source
from edgefuse.ticks import ticks
from edgefuse.types import F32, F64, NS_PER_MS, Array, Sample
from edgefuse_export.errors import ExportError
from edgefuse_export.labelled import Labelled

Shown = Callable[[Iterator[Any], int, str], Iterator[Any]]
I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Moments:
    """n moments: embeddings by stream [n, d_i], labels as of `Labelled`, and the recording of each, int64 [n].

    age_ms  float64 [n, N], of each sample at its moment; None where time is not known
    """

    embeddings: Sequence[F32]
    labels: Array
    groups: I64 | None = None
    age_ms: F64 | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def where(self, chosen: NDArray[np.bool_]) -> Moments:
        """Some of the moments."""
        groups = None if self.groups is None else self.groups[chosen]
        ages = None if self.age_ms is None else self.age_ms[chosen]
        return Moments([e[chosen] for e in self.embeddings], self.labels[chosen], groups, ages)


def of_labelled(offline: Offline, data: Labelled, shown: Shown) -> Moments:
    """Every row of labelled tensors through the bundle's encoders. ExportError where streams or shapes do not fit."""
    specs = offline.bundle.manifest.streams
    for spec in specs:
        if spec.name not in data.tensors:
            raise ExportError(f"the data has no stream {spec.name!r}; it has {', '.join(data.tensors)}")
        have = data.tensors[spec.name]
        if (str(have.dtype), have.shape[1:]) != (spec.tensor_dtype, spec.tensor_shape):
            want = f"{spec.tensor_dtype} {list(spec.tensor_shape)}"
            raise ExportError(
                f"stream {spec.name!r}: rows of {have.dtype} {list(have.shape[1:])}, the bundle has {want}"
            )
    rows: list[list[F32]] = [[] for _ in specs]
    for k in shown(iter(range(len(data))), len(data), "moments"):
        for i, spec in enumerate(specs):
            rows[i].append(offline.embed_tensor(i, data.tensors[spec.name][k]))
    return Moments([np.array(column) for column in rows], data.labels, data.groups)


@dataclass(slots=True)
class Recording:
    """A sequence: what every stream had delivered by every tick, and the true class at it; -1 where it is not known.

    seen  by stream and tick: how many of its samples had come
    """

    stamps_ns: list[list[int]]
    embeddings: list[list[F32]]
    ticks_ns: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    seen: list[list[int]] = field(default_factory=list)


def record(offline: Offline, source: Source, output: str, tick_hz: float) -> Recording:
    """Encode every sample of a source once, and note at each tick what had come and what was true."""
    names = offline.plan.names
    taken = Recording([[] for _ in names], [[] for _ in names])
    labels = {label: k for k, label in enumerate(classes_of(offline, output))}

    def push(stream: str, sample: Sample) -> None:
        i = names.index(stream)
        taken.stamps_ns[i].append(sample.stamp_ns)
        taken.embeddings[i].append(offline.embed(i, sample.payload))

    for t_ns in ticks(offline.plan, source, push, tick_hz):
        taken.ticks_ns.append(t_ns)
        taken.seen.append([len(stamps) for stamps in taken.stamps_ns])
        taken.labels.append(labels.get((source.truth(t_ns) or {}).get(output, ""), -1))
    return taken


def moments_of(
    recordings: Sequence[Recording], offline: Offline, aged: int | None = None, by_ms: float = 0.0
) -> Moments:
    """The ticks at which every stream had a fresh sample, and, of stream `aged`, one older than the tick by by_ms."""
    plans = offline.plan.streams
    rows: list[list[F32]] = [[] for _ in plans]
    labels, groups, ages = [], [], []
    for number, recording in enumerate(recordings):
        for k, t_ns in enumerate(recording.ticks_ns):
            picked = [_newest(recording, i, k, by_ms if i == aged else 0.0) for i in range(len(plans))]
            old = [t_ns - recording.stamps_ns[i][p] if p is not None else None for i, p in enumerate(picked)]
            fresh = all(o is not None and (i == aged or o <= plans[i].fresh_ns) for i, o in enumerate(old))
            if not fresh or recording.labels[k] < 0:
                continue
            for i, p in enumerate(picked):
                rows[i].append(recording.embeddings[i][p or 0])
            labels.append(recording.labels[k])
            groups.append(number)
            ages.append([(o or 0) / NS_PER_MS for o in old])
    if not labels:
        raise ExportError("no tick of the recordings has a truth and a fresh sample of every stream")
    return Moments([np.array(column) for column in rows], np.array(labels), np.array(groups), np.array(ages))


def _newest(recording: Recording, i: int, k: int, by_ms: float) -> int | None:
    """Index of stream i's newest sample that had come by tick k and was at least by_ms old; None: there is none."""
    stamps, before_ns = recording.stamps_ns[i], recording.ticks_ns[k] - by_ms * NS_PER_MS
    for p in range(recording.seen[k][i] - 1, -1, -1):
        if stamps[p] <= before_ns:
            return p
    return None


def classes_of(offline: Offline, output: str) -> Sequence[str]:
    """The labels of a class output; an ExportError where it is none."""
    spec = next((o for o in offline.bundle.manifest.head.outputs if o.name == output), None)
    if spec is None or spec.kind != "class_logits":
        raise ExportError(f"output {output!r} is no class output of the bundle")
    return spec.labels
