"""The schema of a bundle's manifest: everything the device must know about a model, and nothing it must guess."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from edgefuse.arguments import MAX_STREAMS
from edgefuse.operators import OPERATORS
from edgefuse.schema import Finite, Name, Positive, Strict
from edgefuse.types import Rung

SCHEMA_VERSION = 1
MAX_TENSOR_VALUES = 1 << 26  # of one sample: 256 MiB of float32
# Inputs of the portable graph and parameters of the fusion that a stream of the same name would shadow.
RESERVED_NAMES = ("gate", "present", "fused")
FILE_PATTERN = r"^([a-z][a-z0-9_]{0,31}/){0,2}[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

FileName = Annotated[str, Field(pattern=FILE_PATTERN)]
Size = Annotated[int, Field(ge=0, le=1 << 31)]
Dim = Annotated[int, Field(ge=1, le=1 << 16)]


class FileSpec(Strict):
    """Size and hash of one file of the bundle."""

    size_bytes: Size
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class StreamSpec(Strict):
    """One sensor of the model: how its payload becomes a tensor, and how long a sample may be used."""

    name: Name
    kind: Name
    preprocess: dict[str, Any] = Field(default_factory=dict)
    tensor_dtype: Literal["uint8", "uint16", "float32"]
    tensor_shape: tuple[Dim, ...]
    encoder: FileName
    embedding_dim: Dim
    fresh_ms: Positive
    max_age_ms: Positive
    derived_from: Name | None = None

    @model_validator(mode="after")
    def _ages_in_order(self) -> StreamSpec:
        if self.max_age_ms < self.fresh_ms:
            raise ValueError(f"max_age_ms {self.max_age_ms} is below fresh_ms {self.fresh_ms}")
        return self

    @model_validator(mode="after")
    def _tensor_fits_memory(self) -> StreamSpec:
        if math.prod(self.tensor_shape) > MAX_TENSOR_VALUES:
            raise ValueError(f"tensor_shape {list(self.tensor_shape)} holds more than {MAX_TENSOR_VALUES} values")
        return self


class FusionSpec(Strict):
    """The operator of the table that joins the embeddings, each projected to `dim`."""

    operator: Name
    dim: Dim
    activation: Literal["identity", "relu"]
    file: FileName

    @model_validator(mode="after")
    def _known(self) -> FusionSpec:
        if self.operator not in OPERATORS:
            raise ValueError(f"unknown operator {self.operator!r}; known: {', '.join(OPERATORS)}")
        return self


class OutputSpec(Strict):
    """One output of the head; `prior` is the answer that the model gives when no stream is left."""

    name: Name
    kind: Literal["class_logits", "regression"]
    prior: Annotated[tuple[Finite, ...], Field(min_length=1)]
    labels: tuple[str, ...] = ()
    units: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _named(self) -> OutputSpec:
        names = self.labels if self.kind == "class_logits" else self.units
        if len(names) != len(self.prior):
            what = "labels" if self.kind == "class_logits" else "units"
            raise ValueError(f"{len(names)} {what} for {len(self.prior)} values")
        return self


class HeadSpec(Strict):
    """The network from the fused vector to the outputs."""

    file: FileName
    outputs: Annotated[tuple[OutputSpec, ...], Field(min_length=1)]


class FallbackSpec(Strict):
    """The ladder the model was trained for; `file` holds a [streams, dim] float32 block for each of `blocks`."""

    ladder: Annotated[tuple[Rung, ...], Field(min_length=1)] = ("hold", "mask")
    blocks: tuple[Literal["mean", "token"], ...] = ()
    file: FileName | None = None

    @model_validator(mode="after")
    def _complete(self) -> FallbackSpec:
        if bool(self.blocks) != (self.file is not None):
            raise ValueError("blocks and file go together")
        return self


class GoldenSpec(Strict):
    """One recorded moment: raw payloads by stream and the outputs the exporter saw for them, as .npy files."""

    samples: dict[Name, FileName]
    outputs: dict[Name, FileName]


class Requires(Strict):
    """Oldest versions of the runtime that give these answers."""

    edgefuse: str = "0.1.0"
    onnxruntime: str = "1.20.0"


class Manifest(Strict):
    """`manifest.json`, whole; `files` names every other entry of the bundle, and only those."""

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    bundle_version: Annotated[int, Field(ge=1)] = 1
    domain: str = "unknown"
    streams: Annotated[tuple[StreamSpec, ...], Field(min_length=1, max_length=MAX_STREAMS)]
    fusion: FusionSpec
    head: HeadSpec
    fallback: FallbackSpec = FallbackSpec()
    graph: FileName
    golden: tuple[GoldenSpec, ...] = ()
    datasheet: FileName | None = None
    requires: Requires = Requires()
    provenance: dict[str, str | int | float] = Field(default_factory=dict)
    files: dict[FileName, FileSpec]

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        for problem in (*self._stream_problems(), *self._file_problems()):
            raise ValueError(problem)
        return self

    def _stream_problems(self) -> list[str]:
        names = self.stream_names
        taken = [f"stream {n!r} has a name that the graphs need themselves" for n in names if n in RESERVED_NAMES]
        twice = [f"stream {n!r} is declared twice" for n in dict.fromkeys(names) if names.count(n) > 1]
        parents = {s.name: s.derived_from for s in self.streams if s.derived_from is not None}
        lost = [f"streams.{n}.derived_from: no stream {p!r}" for n, p in parents.items() if p not in names]
        chains = [f"streams.{n}.derived_from: {p!r} is derived itself" for n, p in parents.items() if p in parents]
        outputs = [output.name for output in self.head.outputs]
        same = [f"output {n!r} is declared twice" for n in dict.fromkeys(outputs) if outputs.count(n) > 1]
        foreign = [f"golden: no stream {n!r}" for g in self.golden for n in g.samples if n not in names]
        other = [f"golden: outputs {sorted(g.outputs)}, not {sorted(outputs)}" for g in self.golden]
        wrong = [what for what, g in zip(other, self.golden, strict=True) if set(g.outputs) != set(outputs)]
        return taken + twice + lost + chains + same + foreign + wrong

    def _file_problems(self) -> list[str]:
        return [f"{name} is used but not listed under files" for name in self.used_files if name not in self.files]

    @property
    def stream_names(self) -> tuple[str, ...]:
        return tuple(stream.name for stream in self.streams)

    @property
    def used_files(self) -> tuple[str, ...]:
        """Every file that some field refers to."""
        golden = [f for g in self.golden for f in (*g.samples.values(), *g.outputs.values())]
        optional = [f for f in (self.fallback.file, self.datasheet) if f is not None]
        return (*(s.encoder for s in self.streams), self.fusion.file, self.head.file, self.graph, *optional, *golden)
