"""Smaller numbers: each part of a bundle in lower precision, kept where that is faster and costs next to nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from edgefuse.bench.moments import whole_moment
from edgefuse.bench.timing import interleave
from edgefuse.bundle import Bundle
from edgefuse.engine import Engine
from edgefuse.errors import EdgefuseError
from edgefuse.offline import Offline
from edgefuse.types import F32, F64, Rung
from edgefuse_export.datasheet import asked_subsets
from edgefuse_export.errors import ExportError
from edgefuse_export.held_out import Moments, Shown, of_labelled
from edgefuse_export.labelled import Labelled
from edgefuse_export.parts import FUSION, exchanged, makers
from edgefuse_export.score import metric_of
from edgefuse_export.splice import HEAD
from edgefuse_export.usable import usable

ROUNDS, WARMUP = 300, 20  # of every timing


@dataclass(frozen=True, slots=True)
class Tried:
    """One part in one precision.

    content  the file
    time     of the part, over what it was: `p50`, and the `low` and `high` of the tenths of the run
    lost     what the worst subset loses: points of an accuracy, percent of an error
    subset   which that is
    refused  why it is not taken; None: it is
    """

    part: str
    precision: str
    content: bytes
    time: Mapping[str, float]
    lost: float
    subset: tuple[str, ...]
    refused: str | None

    def as_json(self) -> dict[str, Any]:
        """JSON-ready, the content as its size."""
        return {
            "part": self.part,
            "precision": self.precision,
            "bytes": len(self.content),
            "time": dict(self.time),
            "lost": round(self.lost, 3),
            "subset": list(self.subset),
            "refused": self.refused,
        }


@dataclass(frozen=True, slots=True)
class Ground:
    """What is measured on: a bundle, its held-out moments, and how good it is as it is."""

    bundle: Bundle
    output: str
    held: Labelled
    moments: Moments
    before: F64  # of every subset
    most_lost: float
    rounds: int = ROUNDS

    @property
    def subsets(self) -> list[tuple[str, ...]]:
        return asked_subsets(self.bundle.manifest.stream_names)


def ground(bundle: Bundle, output: str, held: Labelled, most_lost: float, shown: Shown, rounds: int = ROUNDS) -> Ground:
    """Measure the bundle as it is, on moments whose truth is known."""
    offline = Offline(bundle)
    moments, _ = usable(of_labelled(offline, held, shown), offline, output)
    if len(moments) < len(held):
        raise ExportError(f"{len(held) - len(moments)} of {len(held)} moments have no truth: leave them out")
    return Ground(bundle, output, held, moments, _scores(offline, output, moments), most_lost, rounds)


def candidates(own: Ground, seen: Labelled, shown: Shown) -> list[Tried]:
    """Every part in every precision. seen: moments whose ranges the eight bits are spread over."""
    parts = list(makers(own.bundle, seen))
    return [
        _tried(own, part, precision, make) for part, precision, make in shown(iter(parts), len(parts), "candidates")
    ]


def chosen(own: Ground, tried: Sequence[Tried]) -> tuple[list[Tried], float, tuple[str, ...]]:
    """The fastest accepted candidate of each part, and what they lose together in which subset, within the limit.

    Where several lose too much together, the one that lost most alone goes back to what it was.
    """
    accepted = [t for t in tried if t.refused is None]
    parts = dict.fromkeys(t.part for t in accepted)
    best = [min((t for t in accepted if t.part == part), key=lambda t: t.time["p50"]) for part in parts]
    while best:
        lost, subset = lost_by(own, {t.part: t.content for t in best})
        if lost <= own.most_lost:
            return best, lost, subset
        best.remove(max(best, key=lambda t: t.lost))
    return [], 0.0, ()


def lost_by(own: Ground, parts: Mapping[str, bytes]) -> tuple[float, tuple[str, ...]]:
    """What the bundle with these parts exchanged loses in its worst subset, and which that is."""
    offline = Offline(exchanged(own.bundle, parts))
    names = own.bundle.manifest.stream_names
    columns = list(own.moments.embeddings)
    for i in (i for i, name in enumerate(names) if name in parts):
        columns[i] = np.array([offline.embed_tensor(i, tensor) for tensor in own.held.tensors[names[i]]])
    after = _scores(offline, own.output, replace(own.moments, embeddings=columns))
    better = metric_of(own.bundle, own.output).better
    lost = 100.0 * (own.before - after if better == "higher" else (after - own.before) / own.before)
    worst = int(lost.argmax())
    return float(lost[worst]), own.subsets[worst]


def whole_time(before: Bundle, after: Bundle, rounds: int) -> dict[str, float]:
    """Of answers from all streams in hand, interleaved: after over before."""
    moment = whole_moment(before)
    engines = {name: Engine(bundle) for name, bundle in (("before", before), ("after", after))}
    runs = {name: partial(engine.answer, moment) for name, engine in engines.items()}
    first, second = interleave(runs, rounds, WARMUP)
    return second.ratio_to(first)


def _tried(own: Ground, part: str, precision: str, make: Callable[[], bytes]) -> Tried:
    try:
        content = make()
        time = _time(own, part, content)
        lost, subset = lost_by(own, {part: content})
    except EdgefuseError as error:  # of the tools, of ONNX Runtime, or for embeddings that overflow
        return Tried(part, precision, b"", {}, 0.0, (), str(error))
    # The fusion's file is half as large whatever its time, which reading the weights bounds.
    surely = time["low"] <= 1.0 if part == FUSION else time["high"] < 1.0
    slow = None if surely else f"not faster: {time['p50']:.2f} of the time"
    worse = f"loses {lost:.1f} with {', '.join(subset)}" if lost > own.most_lost else None
    return Tried(part, precision, content, time, lost, subset, slow or worse)


def _time(own: Ground, part: str, content: bytes) -> dict[str, float]:
    """Of the part alone, interleaved with what it was, on the same moment."""
    runs = {}
    for name, bundle in (("before", own.bundle), ("after", exchanged(own.bundle, {part: content}))):
        runs[name] = _run(Offline(bundle), part, own.held)
    before, after = interleave(runs, own.rounds, WARMUP)
    return after.ratio_to(before)


def _run(offline: Offline, part: str, held: Labelled) -> Callable[[], object]:
    for i, name in enumerate(offline.plan.names):
        offline.model.fusion.embeddings[i][:] = offline.embed_tensor(i, held.tensors[name][0])
        if name == part:
            return lambda i=i: offline.encode_again(i)  # type: ignore[misc]
    offline.fuse_again(np.ones(len(offline.plan.streams), np.uint8))
    return offline.model.head.run if part == HEAD else offline.model.fusion.run


def _scores(offline: Offline, output: str, moments: Moments) -> F64:
    """Of every subset, the value of the metric; what is absent takes the last rung of the bundle's ladder."""
    names, metric = offline.plan.names, metric_of(offline.bundle, output)
    last = offline.bundle.manifest.fallback.ladder[-1]
    rung: Rung = "mask" if last == "hold" else last
    masks = np.array([[name in some for name in names] for some in asked_subsets(names)], np.uint8)
    rows: list[F32] = [
        offline.answers([e[k] for e in moments.embeddings], masks, rung)[output] for k in range(len(moments))
    ]
    answers = np.array(rows)
    return np.array([metric.score(answers[:, m], moments.labels, moments.groups).value for m in range(len(masks))])
