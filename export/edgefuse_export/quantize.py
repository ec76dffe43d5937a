"""Smaller numbers: each part of a bundle in lower precision, kept where that is faster and costs next to nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from edgefuse import bundle as bundles
from edgefuse.bench.moments import whole_moment
from edgefuse.bench.timing import interleave
from edgefuse.bundle import Bundle
from edgefuse.engine import Engine
from edgefuse.offline import Offline
from edgefuse.operators import OPERATORS
from edgefuse.types import F32, F64, Array, Rung
from edgefuse_export.datasheet import asked_subsets
from edgefuse_export.errors import ExportError
from edgefuse_export.held_out import Moments, Shown, of_labelled
from edgefuse_export.labelled import Labelled
from edgefuse_export.lower_precision import in_float16, in_int8
from edgefuse_export.score import metric_of
from edgefuse_export.splice import HEAD, rounded, spliced
from edgefuse_export.usable import usable

FUSION = "Fusion"  # as HEAD: no stream can be called so
ROUNDS, WARMUP = 300, 20  # of every timing
PRECISIONS = ("float16", "int8")


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
    parts = list(_parts(own, seen))
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


def exchanged(bundle: Bundle, parts: Mapping[str, bytes]) -> Bundle:
    """The bundle with some parts exchanged; its golden answers and its portable graph are still the old ones."""
    changes, files = changes_for(bundle, parts)
    fields = {**bundle.manifest.model_dump(mode="json", exclude={"files"}), **changes}
    return bundles.parse(bundles.assemble(fields, {**bundle.files, **files}), bundle.path)


def changes_for(bundle: Bundle, parts: Mapping[str, bytes]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What is changed in the manifest, and which files, by parts that are exchanged."""
    manifest = bundle.manifest
    places = {**{s.name: s.encoder for s in manifest.streams}, HEAD: manifest.head.file, FUSION: manifest.fusion.file}
    changes: dict[str, Any] = {}
    if FUSION in parts:
        changes["fusion"] = {**manifest.fusion.model_dump(mode="json"), "stored": "float16"}
    if HEAD in parts:  # it rounds what it reads, so that it is a sum of nothing any more
        changes["head"] = {**manifest.head.model_dump(mode="json"), "linear": False}
    return changes, {places[part]: content for part, content in parts.items()}


def portable(bundle: Bundle, parts: Mapping[str, bytes]) -> bytes:
    """The bundle's portable graph with the same parts exchanged."""
    graph = spliced(bundle[bundle.manifest.graph], {p: c for p, c in parts.items() if p != FUSION})
    if FUSION not in parts:
        return graph
    return rounded(graph, np.frombuffer(bundle[bundle.manifest.fusion.file], "<f4"))


def whole_time(before: Bundle, after: Bundle, rounds: int) -> dict[str, float]:
    """Of answers from all streams in hand, interleaved: after over before."""
    moment = whole_moment(before)
    engines = {name: Engine(bundle) for name, bundle in (("before", before), ("after", after))}
    runs = {name: partial(engine.answer, moment) for name, engine in engines.items()}
    first, second = interleave(runs, rounds, WARMUP)
    return second.ratio_to(first)


def _parts(own: Ground, seen: Labelled) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    """Part, precision, and what makes it."""
    bundle, manifest = own.bundle, own.bundle.manifest
    for spec in manifest.streams:
        content, tensors = bundle[spec.encoder], seen.tensors[spec.name]
        yield spec.name, "float16", lambda content=content: in_float16(content)  # type: ignore[misc]
        yield spec.name, "int8", lambda c=content, t=tensors: in_int8(c, [{"input": row[None]} for row in t])  # type: ignore[misc]
    head, folded = bundle[manifest.head.file], manifest.fallback.impute is not None and manifest.fallback.impute.folded
    for precision in () if folded else PRECISIONS:  # stand-ins that go through the head need it as it is
        yield HEAD, precision, lambda p=precision: _head_in(p, head, own, seen)  # type: ignore[misc]
    kernel = OPERATORS[manifest.fusion.operator].backend == "kernel" and manifest.fusion.grid is None
    if kernel and manifest.fusion.stored == "float32" and bundle[manifest.fusion.file]:
        yield FUSION, "float16", lambda: _halved(bundle[manifest.fusion.file])


def _head_in(precision: str, head: bytes, own: Ground, seen: Labelled) -> bytes:
    if precision == "float16":
        return in_float16(head)
    shape = (1, *own.bundle.manifest.head_shape)
    return in_int8(head, [{"fused": fused.reshape(shape)} for fused in _fused(own, seen)])


def _halved(weights: bytes) -> bytes:
    with np.errstate(over="ignore"):
        halves = np.frombuffer(weights, "<f4").astype("<f2")
    if not np.isfinite(halves).all():
        raise ExportError("float16 cannot hold the largest of its weights")
    return halves.tobytes()


def _fused(own: Ground, seen: Labelled) -> Iterator[Array]:
    """What the head reads for the first moments, from all streams and from each alone."""
    offline = Offline(own.bundle)
    n = len(offline.plan.streams)
    masks = np.concatenate([np.ones((1, n), np.uint8), np.eye(n, dtype=np.uint8)])
    for k in range(len(seen)):
        rows = [offline.embed_tensor(i, seen.tensors[name][k]) for i, name in enumerate(offline.plan.names)]
        for view, row in zip(offline.model.fusion.embeddings, rows, strict=True):
            view[:] = row
        for mask in masks:
            offline.fuse_again(mask)
            yield offline.model.head.read.copy()


def _tried(own: Ground, part: str, precision: str, make: Callable[[], bytes]) -> Tried:
    try:
        content = make()
        time = _time(own, part, content)
        lost, subset = lost_by(own, {part: content})
    except ExportError as error:
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
