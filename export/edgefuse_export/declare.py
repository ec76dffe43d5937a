"""What a model declares of itself: its streams and its outputs, in the words of the manifest."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from edgefuse.complaints import complaint
from edgefuse.manifest import OutputSpec, StreamSpec
from edgefuse.modalities import KINDS
from edgefuse.schema import document_of, validate
from edgefuse_export.errors import ExportError


@dataclass(frozen=True, eq=False)
class Stream:
    """One sensor: its kind, and an encoder from the preprocessed tensor to an embedding.

    kind         a key of `edgefuse.modalities.KINDS`
    encoder      any module from float32 [B, ...tensor_shape] to float32 [B, dim], or to maps [B, dim, H, W] where the
                 model has a grid; the cast from the tensor's dtype
                 (uint8 camera [H, W, 3], uint16 depth [H, W] in mm) is made for it, in the exported graph too
    preprocess   parameters of the kind's preprocessing, which travel in the bundle
    fresh_ms     a sample up to this old counts as fresh; up to max_age_ms it may be held
    """

    kind: str
    encoder: nn.Module
    dim: int
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    fresh_ms: float = 100.0
    max_age_ms: float = 500.0
    derived_from: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", whole(self.dim))


@dataclass(frozen=True)
class ClassOutput:
    """An output [B, K] of logits, one for each of K labels."""

    name: str
    labels: Sequence[str]

    @property
    def size(self) -> int:
        return len(self.labels)

    @property
    def words(self) -> dict[str, object]:
        return {"kind": "class_logits", "labels": list(self.labels)}


@dataclass(frozen=True)
class RegressionOutput:
    """An output [B, K] of values, each with its unit, such as "m"."""

    name: str
    units: Sequence[str]

    @property
    def size(self) -> int:
        return len(self.units)

    @property
    def words(self) -> dict[str, object]:
        return {"kind": "regression", "units": list(self.units)}


@dataclass(frozen=True)
class SimilarityOutput:
    """An output [B, M] of similarities to M known entries, such as places; a result names the `top_k` nearest."""

    name: str
    labels: Sequence[str]
    top_k: int = 5

    @property
    def size(self) -> int:
        return len(self.labels)

    @property
    def words(self) -> dict[str, object]:
        return {"kind": "similarity", "labels": list(self.labels), "top_k": self.top_k}


Output = ClassOutput | RegressionOutput | SimilarityOutput


def whole(n: int) -> int:
    """NumPy's whole numbers as Python's; what is none stays as it is, to be refused by name."""
    return n if isinstance(n, bool) or not hasattr(n, "__index__") else operator.index(n)


def spec_of(name: str, stream: Stream) -> StreamSpec:
    """The stream as the manifest will state it; an ExportError naming the field."""
    if stream.kind not in KINDS:
        raise ExportError(f"stream {name!r}: unknown kind {stream.kind!r}; known: {', '.join(KINDS)}")
    try:
        params = validate(KINDS[stream.kind].params, dict(stream.preprocess))
        dtype, shape = KINDS[stream.kind].tensor(params)
        fields = {
            "name": name,
            "kind": stream.kind,
            "preprocess": document_of(params),
            "tensor_dtype": dtype,
            "tensor_shape": list(shape),
            "encoder": f"encoders/{name}.onnx",
            "embedding_dim": stream.dim,
            "fresh_ms": stream.fresh_ms,
            "max_age_ms": stream.max_age_ms,
            "derived_from": stream.derived_from,
        }
        return validate(StreamSpec, fields)
    except ValueError as error:
        raise ExportError(f"stream {name!r}: {complaint(error)}") from error


def output_problems(outputs: Sequence[Output]) -> list[str]:
    """Everything that no manifest could say of these outputs."""
    found = [_output_problem(output) for output in outputs] or ["a model needs at least one output"]
    return [problem for problem in found if problem]


def _output_problem(output: Output) -> str | None:
    try:
        validate(OutputSpec, {"name": output.name, **output.words, "prior": [0.0] * output.size})
    except ValueError as error:
        return f"output {output.name!r}: {complaint(error)}"
    return None
