"""Raw samples for the gate and the golden moments, brought to tensors by the device's own checks and preprocessing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from edgefuse.manifest import StreamSpec
from edgefuse.modalities import KINDS
from edgefuse.schema import validate
from edgefuse.types import Array
from edgefuse_export.errors import ExportError

Sample = Mapping[str, Array]


def tensors_of(specs: Sequence[StreamSpec], samples: Sequence[Sample]) -> dict[str, Array]:
    """Stream -> [S, ...tensor_shape] of its tensor dtype. Each sample holds a payload of every stream.

    ExportError naming the sample and the stream that lacks, breaks its contract, or that the device would refuse.
    """
    if not samples:
        raise ExportError("no samples: the gate needs raw payloads to check the bundle with")
    if problems := [p for i, sample in enumerate(samples) for p in _problems(specs, i, sample)]:
        raise ExportError(*problems)
    return {spec.name: np.stack([tensor_of(spec, sample[spec.name]) for sample in samples]) for spec in specs}


def tensor_of(spec: StreamSpec, payload: Array) -> Array:
    """One raw payload as the encoder sees it, of the spec's tensor dtype and shape."""
    kind = KINDS[spec.kind]
    return kind.tensor_from(payload, validate(kind.params, spec.preprocess))


def _problems(specs: Sequence[StreamSpec], index: int, sample: Sample) -> Iterator[str]:
    yield from (f"samples.{index}: no stream {n!r} in the model" for n in sample if n not in {s.name for s in specs})
    for spec in specs:
        if spec.name not in sample:
            yield f"samples.{index}: no payload of stream {spec.name!r}"
            continue
        kind = KINDS[spec.kind]
        reason = kind.refusal(sample[spec.name], spec.tensor_shape, kind.checks())
        if reason is not None:
            yield f"samples.{index}.{spec.name}: the device refuses it: {reason}; the contract is {kind.payload}"
