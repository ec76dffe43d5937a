"""Parts of a bundle that can be exchanged: encoders, head, fusion; each in lower precision, and the bundle after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from edgefuse import bundle as bundles
from edgefuse.bundle import Bundle
from edgefuse.offline import Offline
from edgefuse.operators import OPERATORS
from edgefuse.schema import document_of
from edgefuse.types import Array
from edgefuse_export.errors import ExportError
from edgefuse_export.labelled import Labelled
from edgefuse_export.lower_precision import in_float16, in_int8
from edgefuse_export.splice import HEAD, rounded, spliced

FUSION = "Fusion"  # as HEAD: no stream can be called so
PRECISIONS = ("float16", "int8")


def makers(bundle: Bundle, seen: Labelled) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    """Part, precision, and what makes it."""
    manifest = bundle.manifest
    for spec in manifest.streams:
        content, tensors = bundle[spec.encoder], seen.tensors[spec.name]
        yield spec.name, "float16", lambda content=content: in_float16(content)  # type: ignore[misc]
        yield spec.name, "int8", lambda c=content, t=tensors: in_int8(c, [{"input": row[None]} for row in t])  # type: ignore[misc]
    folded = manifest.fallback.impute is not None and manifest.fallback.impute.folded
    for precision in () if folded else PRECISIONS:  # stand-ins that go through the head need it as it is
        yield HEAD, precision, lambda p=precision: _head_in(p, bundle, seen)  # type: ignore[misc]
    kernel = OPERATORS[manifest.fusion.operator].backend == "kernel" and manifest.fusion.grid is None
    if kernel and manifest.fusion.stored == "float32" and bundle[manifest.fusion.file]:
        yield FUSION, "float16", lambda: _halved(bundle[manifest.fusion.file])


def _head_in(precision: str, bundle: Bundle, seen: Labelled) -> bytes:
    head, shape = bundle[bundle.manifest.head.file], (1, *bundle.manifest.head_shape)
    if precision == "float16":
        return in_float16(head)
    return in_int8(head, [{"fused": fused.reshape(shape)} for fused in _fused(bundle, seen)])


def _halved(weights: bytes) -> bytes:
    with np.errstate(over="ignore"):
        halves = np.frombuffer(weights, "<f4").astype("<f2")
    if not np.isfinite(halves).all():
        raise ExportError("float16 cannot hold the largest of its weights")
    return halves.tobytes()


def _fused(bundle: Bundle, seen: Labelled) -> Iterator[Array]:
    """What the head reads for the first moments, from all streams and from each alone."""
    offline = Offline(bundle)
    n = len(offline.plan.streams)
    masks = np.concatenate([np.ones((1, n), np.uint8), np.eye(n, dtype=np.uint8)])
    for k in range(len(seen)):
        rows = [offline.embed_tensor(i, seen.tensors[name][k]) for i, name in enumerate(offline.plan.names)]
        for view, row in zip(offline.model.fusion.embeddings, rows, strict=True):
            view[:] = row
        for mask in masks:
            offline.fuse_again(mask)
            yield offline.model.head.read.copy()


def exchanged(bundle: Bundle, parts: Mapping[str, bytes]) -> Bundle:
    """The bundle with some parts exchanged; its golden answers and its portable graph are still the old ones."""
    changes, files = changes_for(bundle, parts)
    fields = {**document_of(bundle.manifest, "files"), **changes}
    return bundles.parse(bundles.assemble(fields, {**bundle.files, **files}), bundle.path)


def changes_for(bundle: Bundle, parts: Mapping[str, bytes]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What is changed in the manifest, and which files, by parts that are exchanged."""
    manifest = bundle.manifest
    places = {**{s.name: s.encoder for s in manifest.streams}, HEAD: manifest.head.file, FUSION: manifest.fusion.file}
    changes: dict[str, Any] = {}
    if FUSION in parts:
        changes["fusion"] = {**document_of(manifest.fusion), "stored": "float16"}
    if HEAD in parts:  # it rounds what it reads, so that it is a sum of nothing any more
        changes["head"] = {**document_of(manifest.head), "linear": False}
    return changes, {places[part]: content for part, content in parts.items()}


def portable(bundle: Bundle, parts: Mapping[str, bytes]) -> bytes:
    """The bundle's portable graph with the same parts exchanged."""
    graph = spliced(bundle[bundle.manifest.graph], {p: c for p, c in parts.items() if p != FUSION})
    if FUSION not in parts:
        return graph
    return rounded(graph, np.frombuffer(bundle[bundle.manifest.fusion.file], "<f4"))
