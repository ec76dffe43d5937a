"""Explain: how much camera and depth each carry of a model's answers over a recording, patch by patch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from edgefuse.errors import UsageError
from edgefuse.offline import Offline
from edgefuse.patches import Patches, explain_patches
from edgefuse.progress import Progress
from edgefuse.replay import ticks
from edgefuse.sources import Source
from edgefuse.types import F32, NS_PER_S, Array, Sample

PICTURES = ("camera", "depth")  # kinds that have patches


@dataclass(frozen=True, slots=True)
class Moment:
    """Tensors as the encoders take them, by stream, and the true class where it is known."""

    t_ns: int
    tensors: Mapping[str, Array]
    truth: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """One moment explained: what was answered, and what the patches made of it."""

    moment: Moment
    label: str
    patches: Patches

    @property
    def right(self) -> bool | None:
        return None if self.moment.truth is None else self.moment.truth == self.label


@dataclass(frozen=True, slots=True)
class Row:
    """Mean share of each stream over n moments, with its standard error over them."""

    what: str
    n: int
    shares: Mapping[str, float]
    error: float


@dataclass(frozen=True, slots=True)
class Explained:
    """All moments, and the table over them; sampling is the mean standard error within a moment."""

    output: str
    streams: tuple[str, ...]
    told: tuple[Told, ...]
    rows: tuple[Row, ...]
    sampling: float
    notes: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        return {
            "output": self.output,
            "streams": list(self.streams),
            "moments": len(self.told),
            "sampling_error": self.sampling,
            "rows": [{"what": r.what, "n": r.n, "shares": dict(r.shares), "error": r.error} for r in self.rows],
            "notes": list(self.notes),
        }


def explain(
    offline: Offline,
    source: Source,
    output: str | None = None,
    streams: Sequence[str] = (),
    *,
    moments: int = 40,
    every_s: float = 1.0,
    grid: int = 4,
    walks: int = 8,
    seed: int = 0,
) -> Explained:
    """Shares of the picture streams (all of them, or those named) in the logit of each answer; others stay as they are.

    UsageError: no such output or stream, or nothing with patches.
    """
    name = _output(offline, output)
    chosen = _pictures(offline, streams)
    rng, told = np.random.default_rng(seed), []
    with Progress(moments, "moments") as progress:
        for moment in islice(moments_of(offline, source, name, every_s), moments):
            told.append(_told(offline, moment, name, chosen, grid, walks, rng))
            progress.step()
    if not told:
        raise UsageError("explain: the source never had a sample of every stream")
    untrained = offline.bundle.manifest.fallback.subset_trained is False
    notes = ("the model was not trained to answer from subsets: parts of pictures are stranger to it still",)
    sampling = float(np.mean([t.patches.error for t in told]))
    return Explained(name, chosen, tuple(told), tuple(_rows(told, chosen)), sampling, notes if untrained else ())


def moments_of(offline: Offline, source: Source, output: str, every_s: float) -> Iterator[Moment]:
    """A moment of the source every so often, once every stream has sent something."""
    plans = {plan.name: plan for plan in offline.plan.streams}
    newest: dict[str, Sample] = {}

    def push(stream: str, sample: Sample) -> None:
        newest[stream] = sample

    for t_ns in ticks(offline.plan, source, push, 1.0 / every_s):
        if len(newest) == len(plans):
            tensors = {n: p.modality.tensor_from(newest[n].payload, p.params) for n, p in plans.items()}
            yield Moment(t_ns, tensors, (source.truth(t_ns) or {}).get(output))


def _told(
    offline: Offline,
    moment: Moment,
    output: str,
    chosen: Sequence[str],
    grid: int,
    walks: int,
    rng: np.random.Generator,
) -> Told:
    names = offline.plan.names
    embeddings = [offline.embed_tensor(i, moment.tensors[name]) for i, name in enumerate(names)]
    logits = _answer(offline, embeddings, output)
    k = int(np.argmax(logits))
    labels = next(o.labels for o in offline.bundle.manifest.head.outputs if o.name == output)
    known: dict[tuple[str, bytes], F32] = {}

    def value(tensors: Mapping[str, Array]) -> float:
        parts = list(embeddings)
        for name, tensor in tensors.items():
            key = (name, tensor.tobytes())
            if key not in known:
                known[key] = offline.embed_tensor(names.index(name), tensor)
            parts[names.index(name)] = known[key]
        return float(_answer(offline, parts, output)[k])

    pictures = {name: moment.tensors[name] for name in chosen}
    return Told(moment, labels[k], explain_patches(pictures, value, grid, walks, rng))


def _answer(offline: Offline, embeddings: Sequence[F32], output: str) -> F32:
    every = np.ones((1, len(embeddings)), np.uint8)
    answered: F32 = offline.answers(embeddings, every)[output][0]
    return answered


def _rows(told: Sequence[Told], streams: Sequence[str]) -> Iterator[Row]:
    """Over all moments, the right and the wrong ones, and each true class."""
    groups: dict[str, Callable[[Told], bool]] = {
        "all": lambda t: True,
        "right": lambda t: t.right is True,
        "wrong": lambda t: t.right is False,
    }
    for what, belongs in groups.items():
        yield from _row(what, [t for t in told if belongs(t)], streams)
    for truth in sorted({t.moment.truth for t in told if t.moment.truth is not None}):
        yield from _row(truth, [t for t in told if t.moment.truth == truth], streams)


def _row(what: str, told: Sequence[Told], streams: Sequence[str]) -> Iterator[Row]:
    if not told:
        return
    shares = np.array([[t.patches.shares[name] for name in streams] for t in told])
    error = float(shares[:, 0].std(ddof=1) / np.sqrt(len(told))) if len(told) > 1 else float(told[0].patches.error)
    yield Row(what, len(told), dict(zip(streams, shares.mean(0).tolist(), strict=True)), error)


def describe(found: Explained) -> str:
    """The table for a person."""
    head = "".join(f"{name:>12}" for name in found.streams)
    lines = [f"shares of |Shapley| in the logit answered, output {found.output}", f"{head}     +-      n  moments"]
    for row in found.rows:
        parts = "".join(f"{100 * row.shares[name]:11.1f}%" for name in found.streams)
        lines.append(f"{parts}  {100 * row.error:4.1f}  {row.n:5d}  {row.what}")
    lines.append(f"+- is the standard error over moments; sampling adds {100 * found.sampling:.1f} points within each")
    return "\n".join([*lines, *(f"note: {note}" for note in found.notes)])


def _output(offline: Offline, output: str | None) -> str:
    known = [o.name for o in offline.bundle.manifest.head.outputs if o.kind == "class_logits"]
    if not known or (output is not None and output not in known):
        raise UsageError(
            f"explain: no class output {output or ''!r} in the bundle; it has {', '.join(known) or 'none'}"
        )
    return output or known[0]


def _pictures(offline: Offline, streams: Sequence[str]) -> tuple[str, ...]:
    known = [plan.name for plan in offline.plan.streams if plan.modality.kind in PICTURES]
    for name in streams:
        if name not in known:
            raise UsageError(f"explain: stream {name!r} has no patches; with patches: {', '.join(known) or 'none'}")
    if not known:
        raise UsageError("explain: no stream of the bundle is a picture")
    return tuple(streams) or tuple(known)


def seconds(moment: Moment, first_ns: int) -> float:
    """After the first moment."""
    return (moment.t_ns - first_ns) / NS_PER_S
