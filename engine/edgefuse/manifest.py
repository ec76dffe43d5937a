"""The schema of a bundle's manifest: everything the device must know about a model, and nothing it must guess."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from msgspec import Meta, field

from edgefuse.arguments import MAX_STREAMS
from edgefuse.fallback_spec import FallbackSpec
from edgefuse.fusion_spec import FusionSpec
from edgefuse.operators import OPERATORS
from edgefuse.schema import Dim, FileName, Finite, Name, Positive, Strict

SCHEMA_VERSION = 1
MAX_TENSOR_VALUES = 1 << 26  # of one sample: 256 MiB of float32
# Inputs of the portable graph and parameters of the fusion that a stream of the same name would shadow.
RESERVED_NAMES = ("join", "present", "fused", "scores")
Size = Annotated[int, Meta(ge=0, le=1 << 31)]


class FileSpec(Strict):
    """Size and hash of one file of the bundle."""

    size_bytes: Size
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class StreamSpec(Strict):
    """One sensor of the model: how its payload becomes a tensor, and how long a sample may be used."""

    name: Name
    kind: Name
    preprocess: dict[str, Any] = field(default_factory=dict)
    tensor_dtype: Literal["uint8", "uint16", "float32"]
    tensor_shape: tuple[Dim, ...]
    encoder: FileName
    embedding_dim: Dim
    fresh_ms: Positive
    max_age_ms: Positive
    derived_from: Name | None = None

    def __post_init__(self) -> None:
        if self.max_age_ms < self.fresh_ms:
            raise ValueError(f"max_age_ms {self.max_age_ms} is below fresh_ms {self.fresh_ms}")
        if math.prod(self.tensor_shape) > MAX_TENSOR_VALUES:
            raise ValueError(f"tensor_shape {list(self.tensor_shape)} holds more than {MAX_TENSOR_VALUES} values")


class OutputSpec(Strict):
    """One output of the head; `prior` is the answer that the model gives when no stream is left.

    Similarities are to the entries that `labels` names; a result holds the `top_k` nearest of them.
    """

    name: Name
    kind: Literal["class_logits", "regression", "similarity"]
    prior: Annotated[tuple[Finite, ...], Meta(min_length=1)]
    labels: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    top_k: Annotated[int, Meta(ge=1)] | None = None

    def __post_init__(self) -> None:
        names = self.units if self.kind == "regression" else self.labels
        if len(names) != len(self.prior):
            what = "units" if self.kind == "regression" else "labels"
            raise ValueError(f"{len(names)} {what} for {len(self.prior)} values")
        if (self.top_k is not None) != (self.kind == "similarity"):
            raise ValueError("top_k and kind 'similarity' go together")


class HeadSpec(Strict):
    """The network from the fused vector to the outputs.

    presence_bits: behind the fused vector it reads 1 for each stream that is present and 0 for the others.
    linear: every output is a matrix times what it reads, plus a constant, which many subsets at once are quicker by.
    """

    file: FileName
    outputs: Annotated[tuple[OutputSpec, ...], Meta(min_length=1)]
    presence_bits: bool = False
    linear: bool = False


MAX_IMPUTED = 8  # streams; above, a map for each of 2^N patterns is more than a device should carry


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
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
    bundle_version: Annotated[int, Meta(ge=1)] = 1
    domain: str = "unknown"
    streams: Annotated[tuple[StreamSpec, ...], Meta(min_length=1, max_length=MAX_STREAMS)]
    fusion: FusionSpec
    head: HeadSpec
    fallback: FallbackSpec = FallbackSpec()
    graph: FileName
    golden: tuple[GoldenSpec, ...] = ()
    datasheet: FileName | None = None
    requires: Requires = Requires()
    provenance: dict[str, str | int | float] = field(default_factory=dict)
    files: dict[FileName, FileSpec]

    def __post_init__(self) -> None:
        for problem in (*self._stream_problems(), *self._fusion_problems(), *self._file_problems()):
            raise ValueError(problem)

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

    def _fusion_problems(self) -> list[str]:
        spec = self.fusion
        refusal = OPERATORS[spec.operator].refusal(len(self.streams), spec.dim, spec.rank, spec.grid is not None)
        if refusal is not None:
            return [f"fusion: {refusal}"]
        if self.head.presence_bits and len(self.fused_shape) > 1:
            return ["head.presence_bits: there are none beside maps"]
        cells = math.prod(spec.grid or ())
        most = max(math.prod(self.fused_shape), *(s.embedding_dim * cells for s in self.streams))
        found = [f"fusion: {most} values are more than {MAX_TENSOR_VALUES}"] if most > MAX_TENSOR_VALUES else []
        if spec.grid is not None and OPERATORS[spec.operator].backend == "kernel":
            maps = [(s.name, s.embedding_dim) for s in self.streams if s.embedding_dim != spec.dim]
            found += [f"streams.{n}.embedding_dim: {d} channels, the fusion joins maps of {spec.dim}" for n, d in maps]
        if self.fallback.impute is not None and (spec.grid is not None or len(self.streams) > MAX_IMPUTED):
            found.append(f"fallback.impute: is of vectors, and of up to {MAX_IMPUTED} streams")
        if self.fallback.impute is not None and self.fallback.impute.folded and not self.folds:
            found.append("fallback.impute.folded: this operator and this head are not linear together")
        if spec.routes is not None:
            asked = [*spec.routes.gate_streams, *(name for b in spec.routes.branches for name in b.streams)]
            found += [f"fusion.routes: no stream {name!r}" for name in asked if name not in self.stream_names]
        return found

    def _file_problems(self) -> list[str]:
        return [f"{name} is used but not listed under files" for name in self.used_files if name not in self.files]

    @property
    def stream_names(self) -> tuple[str, ...]:
        return tuple(stream.name for stream in self.streams)

    @property
    def embedding_dims(self) -> dict[str, int]:
        return {stream.name: stream.embedding_dim for stream in self.streams}

    @property
    def fused_width(self) -> int:
        """Length of the fused vector, or its channels."""
        spec = self.fusion
        return spec.width or OPERATORS[spec.operator].width(len(self.streams), spec.dim, spec.rank)

    @property
    def fused_shape(self) -> tuple[int, ...]:
        """Of what the fusion makes: a vector, or a map where a kernel joins maps."""
        kernel = OPERATORS[self.fusion.operator].backend == "kernel"
        return (self.fused_width, *(self.fusion.grid or ())) if kernel else (self.fused_width,)

    @property
    def head_shape(self) -> tuple[int, ...]:
        """Of what the head reads: what the fusion makes, and the presence bits where it wants them."""
        fused = self.fused_shape
        return (fused[0] + len(self.streams),) if self.head.presence_bits else fused

    @property
    def stand_ins(self) -> list[int]:
        """How long what stands in for each stream is."""
        return OPERATORS[self.fusion.operator].stand_ins(self.embedding_dims, self.fusion.dim, self.fusion.rank)

    @property
    def folds(self) -> bool:
        """Is every output a sum of what each stream adds to it?"""
        return OPERATORS[self.fusion.operator].additive and self.head.linear and self.fusion.grid is None

    @property
    def imputed(self) -> list[int]:
        """How long what is imputed of each stream is."""
        spec = self.fallback.impute
        outputs = sum(len(output.prior) for output in self.head.outputs)
        return [outputs] * len(self.streams) if spec is not None and spec.folded else self.stand_ins

    @property
    def used_files(self) -> tuple[str, ...]:
        """Every file that some field refers to."""
        golden = [f for g in self.golden for f in (*g.samples.values(), *g.outputs.values())]
        imputed = None if self.fallback.impute is None else self.fallback.impute.file
        optional = [f for f in (self.fallback.file, imputed, self.datasheet) if f is not None]
        routes = self.fusion.routes
        routed = () if routes is None else (routes.gate, *(branch.file for branch in routes.branches))
        parts = (*(s.encoder for s in self.streams), self.fusion.file, *routed, self.head.file, self.graph)
        return (*parts, *optional, *golden)
