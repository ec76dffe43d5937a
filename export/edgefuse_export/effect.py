"""The gate's last stage: every declared input and every presence bit must change some answer, or it is not in use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from edgefuse.bundle import Bundle
from edgefuse.manifest import StreamSpec
from edgefuse.session import Session
from edgefuse.types import Array
from edgefuse_export.report import StageReport
from edgefuse_export.samples import Sample, tensor_of
from edgefuse_export.subsets import Mask, mask_array

LEAST = 1e-5  # change of an output that counts as one; ten times the noise of float32 at magnitude 1
MASKS = 16  # subsets tried for a stream before it is called dead

Ask = Callable[[Mapping[str, Array], Mask], dict[str, Array]]


def effect_stage(
    report: StageReport,
    bundle: Bundle,
    specs: Sequence[StreamSpec],
    samples: Sequence[Sample],
    tensors: Mapping[str, Array],
    masks: Sequence[Mask],
) -> None:
    """Perturb each raw payload, and toggle each presence bit, over all samples; `masks` are the legal ones.

    tensors: the samples, preprocessed, stream -> [S, ...].
    """
    session = Session(bundle[bundle.manifest.graph], bundle.manifest.graph)
    # Without the last stream the prior answers, whatever a model makes of its mask: to lose it tells nothing. But
    # dynamic routing hears every stream, and may well ask for one only where no other is left.
    alone = len(specs) == 1 or bundle.manifest.fusion.routes is not None

    def ask(inputs: Mapping[str, Array], mask: Mask) -> dict[str, Array]:
        return session.compute({**inputs, "present": mask_array(mask, len(samples))})

    for i, spec in enumerate(specs):
        using = [mask for mask in masks if mask[i]][:MASKS]
        others = list(_perturbed(spec, samples, tensors))
        # Of many masks, as a model may route around a stream while others are there.
        moved = any(_differ(ask(tensors, mask), ask(other, mask)) for mask in using for other in others)
        report.check(None if moved else f"input {spec.name!r} changes no output: the model does not use it")
        heard = any(_toggled(ask, tensors, mask, i, masks) for mask in using if any(_without(mask, i)) or alone)
        report.check(None if heard else f"presence of {spec.name!r} changes no output: the model does not hear it")


def _toggled(ask: Ask, tensors: Mapping[str, Array], mask: Mask, i: int, masks: Sequence[Mask]) -> bool:
    """Does taking stream i out of `mask` change an answer? Without a parent the rest may not be a legal mask."""
    without = _without(mask, i)
    return without in masks and _differ(ask(tensors, mask), ask(tensors, without))


def _without(mask: Mask, i: int) -> Mask:
    return (*mask[:i], False, *mask[i + 1 :])


def _perturbed(spec: StreamSpec, samples: Sequence[Sample], tensors: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    payloads = [sample[spec.name] for sample in samples]
    for changed in ([*payloads[1:], payloads[0]], [_shrunk(p) for p in payloads], [_turned(p) for p in payloads]):
        yield {**tensors, spec.name: np.stack([tensor_of(spec, payload) for payload in changed])}


def _shrunk(payload: Array) -> Array:
    """Every value brought towards 0 by a tenth, and up by one: darker, nearer, elsewhere."""
    return np.ascontiguousarray((payload * 0.9 + 1).astype(payload.dtype))


def _turned(payload: Array) -> Array:
    return np.ascontiguousarray(payload[::-1])


def _differ(a: Mapping[str, Array], b: Mapping[str, Array]) -> bool:
    return any(bool(np.max(np.abs(a[name] - b[name])) > LEAST) for name in a)
