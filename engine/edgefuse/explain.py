"""Explain: how much camera and depth each carry of a model's answers over a recording, patch by patch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import numpy as np

from edgefuse.calibration import NONE
from edgefuse.datasheet import read_datasheet
from edgefuse.errors import UsageError
from edgefuse.offline import Offline
from edgefuse.patches import Patches, explain_patches
from edgefuse.progress import Progress
from edgefuse.sources import Source
from edgefuse.ticks import ticks
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
    """All moments, and the table over them; sampling is the mean standard error within a moment.

    whole  unless an interrupt left moments out
    """

    output: str
    streams: tuple[str, ...]
    told: tuple[Told, ...]
    rows: tuple[Row, ...]
    sampling: float
    notes: tuple[str, ...] = field(default=())
    whole: bool = True

    def as_json(self) -> dict[str, Any]:
        return {
            "output": self.output,
            "streams": list(self.streams),
            "moments": len(self.told),
            "whole": self.whole,
            "sampling_error": self.sampling,
            "rows": [{"what": r.what, "n": r.n, "shares": dict(r.shares), "error": r.error} for r in self.rows],
            "notes": list(self.notes),
        }


def explain(
    offline: Offline,
    sources: Sequence[Source],
    output: str | None = None,
    streams: Sequence[str] = (),
    *,
    without: Sequence[str] = (),
    moments: int = 40,
    every_s: float = 1.0,
    grid: int = 4,
    walks: int = 8,
    seed: int = 0,
) -> Explained:
    """Shares of the picture streams (all of them, or those named) in the logit of each answer; others stay as they are.

    moments: of all sources together, as many of each. without: streams that are absent from all answers. Ctrl-C leaves
    the moments that are done by then. UsageError: no such output or stream, or nothing with patches.
    """
    name = _output(offline, output)
    chosen = _pictures(offline, streams, without)
    asked = _Asked(offline, name, without)
    rng, told = np.random.default_rng(seed), []
    with Progress(moments, "moments") as progress:
        for moment in _of_each(offline, sources, name, every_s, moments):
            told.append(_told(asked, moment, chosen, grid, walks, rng))
            progress.step()
    if not told:
        raise UsageError("explain: the source never had a sample of every stream")
    sampling = float(np.mean([t.patches.error for t in told]))
    notes = tuple(_notes(offline, len(told) if progress.stopped else None))
    return Explained(name, chosen, tuple(told), tuple(_rows(told, chosen)), sampling, notes, not progress.stopped)


def _notes(offline: Offline, stopped_at: int | None) -> Iterator[str]:
    if stopped_at is not None:
        yield f"it was stopped after {stopped_at} moments; there may be more"
    if offline.bundle.manifest.fallback.subset_trained is False:
        yield "the model was not trained to answer from subsets: parts of pictures are stranger to it still"


def _of_each(
    offline: Offline, sources: Sequence[Source], output: str, every_s: float, moments: int
) -> Iterator[Moment]:
    each = -(-moments // len(sources))
    parts = (islice(moments_of(offline, source, output, every_s), each) for source in sources)
    return islice(chain.from_iterable(parts), moments)


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


class _Asked:
    """One output of the model, asked of moments with the same streams present."""

    def __init__(self, offline: Offline, output: str, without: Sequence[str]) -> None:
        self.offline, self._output = offline, output
        self.names = offline.plan.names
        self._present = np.array([[name not in without for name in self.names]], np.uint8)
        sheet = read_datasheet(offline.bundle)
        known = sheet.calibrations() if sheet else {}
        calibration = known.get(frozenset(self.names) - frozenset(without), NONE)
        self._calibration = calibration if calibration.output in (None, output) else NONE
        self._labels = next(o.labels for o in offline.bundle.manifest.head.outputs if o.name == output)

    def logits(self, embeddings: Sequence[F32]) -> F32:
        answered: F32 = self.offline.answers(embeddings, self._present)[self._output][0]
        return answered

    def likeliest(self, logits: F32) -> tuple[int, str]:
        """Number and name of the class that the engine would answer."""
        k = int(np.argmax(self._calibration.scores(logits)))
        return k, self._labels[k]


def _told(
    asked: _Asked, moment: Moment, chosen: Sequence[str], grid: int, walks: int, rng: np.random.Generator
) -> Told:
    embed, names = asked.offline.embed_tensor, asked.names
    embeddings = [embed(i, moment.tensors[name]) for i, name in enumerate(names)]
    k, label = asked.likeliest(asked.logits(embeddings))
    known: dict[tuple[str, bytes], F32] = {}

    def value(tensors: Mapping[str, Array]) -> float:
        parts = list(embeddings)
        for name, tensor in tensors.items():
            key = (name, tensor.tobytes())
            if key not in known:
                known[key] = embed(names.index(name), tensor)
            parts[names.index(name)] = known[key]
        return float(asked.logits(parts)[k])

    pictures = {name: moment.tensors[name] for name in chosen}
    return Told(moment, label, explain_patches(pictures, value, grid, walks, rng))


def _rows(told: Sequence[Told], streams: Sequence[str]) -> Iterator[Row]:
    """Over all moments, the right and the wrong ones, and the same of each true class."""
    yield from _judged("all", "", told, streams)
    for truth in sorted({t.moment.truth for t in told if t.moment.truth is not None}):
        yield from _judged(truth, f"{truth}, ", [t for t in told if t.moment.truth == truth], streams)


def _judged(what: str, prefix: str, told: Sequence[Told], streams: Sequence[str]) -> Iterator[Row]:
    yield from _row(what, told, streams)
    for how, right in (("right", True), ("wrong", False)):
        yield from _row(f"{prefix}{how}", [t for t in told if t.right is right], streams)


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


def _pictures(offline: Offline, streams: Sequence[str], without: Sequence[str]) -> tuple[str, ...]:
    if unknown := [name for name in without if name not in offline.plan.names]:
        raise UsageError(f"explain: no stream {unknown[0]!r} to leave out; it has {', '.join(offline.plan.names)}")
    there = [plan for plan in offline.plan.streams if plan.name not in without]
    known = [plan.name for plan in there if plan.modality.kind in PICTURES]
    for name in streams:
        if name not in known:
            raise UsageError(f"explain: stream {name!r} has no patches; with patches: {', '.join(known) or 'none'}")
    if not known:
        raise UsageError("explain: no stream of the bundle is a picture")
    return tuple(streams) or tuple(known)


def seconds(moment: Moment, first_ns: int) -> float:
    """After the first moment."""
    return (moment.t_ns - first_ns) / NS_PER_S
