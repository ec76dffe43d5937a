"""FusionModel: any encoders, one fusion operator and a head, as one torch module that takes a presence mask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from edgefuse.arguments import MAX_STREAMS
from edgefuse.manifest import RESERVED_NAMES, OutputSpec, StreamSpec
from edgefuse.modalities import KINDS
from edgefuse.schema import complaint, validate
from edgefuse_export.errors import ExportError
from edgefuse_export.fusion import Absent, Fusion


@dataclass(frozen=True, eq=False)
class Stream:
    """One sensor: its kind, and an encoder from the preprocessed tensor to an embedding.

    kind         a key of `edgefuse.modalities.KINDS`
    encoder      any module from float32 [B, ...tensor_shape] to float32 [B, dim]; the cast from the tensor's dtype
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


Output = ClassOutput | RegressionOutput


class FusionModel(nn.Module):
    """Streams in the order of the dict, joined by `operator` at width `dim`, read by `head`.

    head     any module from float32 [B, width] to [B, K] (one output) or to a dict of them; `width` is
             `edgefuse.operators.OPERATORS[operator].width(len(streams), dim)`
    absent   what stands for an absent stream: the operator's "identity", or a learned "token" of its own
    Raises ExportError naming the stream, the output or the operator that is wrong.
    """

    means: Tensor | None

    def __init__(
        self,
        streams: Mapping[str, Stream],
        operator: str,
        dim: int,
        head: nn.Module,
        outputs: Sequence[Output],
        absent: Absent = "identity",
    ) -> None:
        super().__init__()
        self.streams, self.outputs, self.absent = dict(streams), tuple(outputs), absent
        self.specs = tuple(_spec(name, stream) for name, stream in self.streams.items())
        self._check()
        # Not by name: a ModuleDict refuses streams that are called `type` or `keys`.
        self.encoders = nn.ModuleList(stream.encoder for stream in self.streams.values())
        self.fusion = Fusion(operator, {name: stream.dim for name, stream in self.streams.items()}, dim, absent)
        self.head = head
        for k, output in enumerate(self.outputs):
            self.register_buffer(f"prior_{k}", torch.zeros(output.size))
        self.register_buffer("means", None)

    def _check(self) -> None:
        names = [*self.streams, *(output.name for output in self.outputs)]
        twice = [f"{name!r} names two things" for name in dict.fromkeys(names) if names.count(name) > 1]
        taken = [
            f"{name!r} is a name that the exported graphs need themselves" for name in names if name in RESERVED_NAMES
        ]
        parents = [(name, stream.derived_from) for name, stream in self.streams.items() if stream.derived_from]
        orphans = [f"stream {n!r}: derived_from: no stream {p!r}" for n, p in parents if p not in self.streams]
        many = len(self.streams)
        count = [] if 1 <= many <= MAX_STREAMS else [f"{many} streams, not 1 to {MAX_STREAMS}"]
        if problems := [*twice, *taken, *orphans, *count, *_output_problems(self.outputs)]:
            raise ExportError(*problems)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def forward(self, inputs: Mapping[str, Tensor], present: Tensor | None = None) -> dict[str, Tensor]:
        """Output name -> float32 [B, K]; inputs: stream -> [B, ...tensor_shape], present: bool [B, N], None for all.

        A stream that is not in `inputs` is absent. Rows where a stream is absent are never read: whatever lies there
        changes neither outputs nor gradients. A row with no stream present gives the priors.
        """
        present = self._presence(inputs, present)
        return self.answer(self.encode(inputs, present), present)

    def encode(self, inputs: Mapping[str, Tensor], present: Tensor) -> list[Tensor]:
        """N embeddings float32 [B, d_i], zeros in rows where the stream is absent."""
        columns = zip(self.streams, self.encoders, present.unbind(1), strict=True)
        return [self._encode(name, encoder, inputs.get(name), column) for name, encoder, column in columns]

    def answer(self, embeddings: Sequence[Tensor], present: Tensor) -> dict[str, Tensor]:
        """Output name -> float32 [B, K], from embeddings [B, d_i] and present, bool [B, N]."""
        outputs = self.heads(self.fusion(embeddings, present))
        some = present.any(1, keepdim=True)
        return {o.name: torch.where(some, outputs[o.name], self.prior(o.name)) for o in self.outputs}

    def heads(self, fused: Tensor) -> dict[str, Tensor]:
        """Output name -> float32 [B, K], what the head makes of fused [B, width], in the order of `outputs`."""
        given = self.head(fused)
        found = {self.outputs[0].name: given} if isinstance(given, Tensor) else dict(given)
        if set(found) != {output.name for output in self.outputs}:
            raise ExportError(f"the head gives {sorted(found)}, the outputs are {[o.name for o in self.outputs]}")
        for output in self.outputs:
            _expect(f"output {output.name!r}: the head", found[output.name], fused.shape[0], output.size)
        return {output.name: found[output.name] for output in self.outputs}

    def prior(self, output: str) -> Tensor:
        """The answer to nothing at all, float32 [K]."""
        return self.get_buffer(f"prior_{self._index(output)}")

    def set_prior(self, output: str, values: Tensor) -> None:
        """State the answer to nothing at all, [K]: the mean of the training targets, for a regression."""
        self.prior(output).copy_(values)

    def fit_prior(self, output: str, labels: Tensor) -> None:
        """Log frequencies of the classes among training labels int64 [n]; one more is counted of each, so none is 0."""
        counts = torch.bincount(labels, minlength=self.prior(output).numel()).to(torch.float32) + 1
        self.set_prior(output, torch.log(counts / counts.sum()))

    @torch.no_grad()
    def measure_means(self, batches: Iterable[Mapping[str, Tensor]]) -> None:
        """Set `means`, float32 [N, dim]: the mean projected embedding of each stream over batches of inputs."""
        total, count = torch.zeros(len(self.streams), self.fusion.dim, device=self.device), 0
        for inputs in batches:
            present = self._presence(inputs, None)
            if not present.all():
                raise ExportError("measure_means: a batch lacks a stream")
            total += self.fusion.project(self.encode(inputs, present)).sum(0)
            count += len(present)
        if count == 0:
            raise ExportError("measure_means: no batches")
        self.means = total / count

    def _index(self, output: str) -> int:
        return [o.name for o in self.outputs].index(output)

    def _presence(self, inputs: Mapping[str, Tensor], present: Tensor | None) -> Tensor:
        if unknown := [name for name in inputs if name not in self.streams]:
            raise ExportError(f"no stream {unknown[0]!r}; the model has {', '.join(self.streams)}")
        if not inputs and present is None:
            raise ExportError("no inputs, and no presence mask to say how many rows to answer")
        rows = len(next(iter(inputs.values()))) if present is None else len(present)
        given = torch.tensor([name in inputs for name in self.streams], device=self.device).expand(rows, -1)
        if present is not None and present.shape != given.shape:
            raise ExportError(f"present is {list(present.shape)}, not [{rows}, {len(self.streams)}]")
        return given if present is None else present.to(self.device) & given

    def _encode(self, name: str, encoder: nn.Module, tensor: Tensor | None, column: Tensor) -> Tensor:
        dim = self.streams[name].dim
        embeddings = torch.zeros(len(column), dim, device=self.device)
        rows = column.nonzero().squeeze(1)
        if tensor is None or len(rows) == 0:
            return embeddings
        # Only the rows that are there: nothing of the others can leak, nor count in the statistics of a batch norm.
        given = encoder(tensor[rows].to(torch.float32))
        _expect(f"stream {name!r}: the encoder", given, len(rows), dim)
        return embeddings.index_copy(0, rows, given)


def _spec(name: str, stream: Stream) -> StreamSpec:
    """The stream as the manifest will state it; an ExportError naming the field."""
    if stream.kind not in KINDS:
        raise ExportError(f"stream {name!r}: unknown kind {stream.kind!r}; known: {', '.join(KINDS)}")
    try:
        params = validate(KINDS[stream.kind].params, dict(stream.preprocess))
        dtype, shape = KINDS[stream.kind].tensor(params)
        fields = {
            "name": name,
            "kind": stream.kind,
            "preprocess": params.model_dump(mode="json"),
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


def _output_problems(outputs: Sequence[Output]) -> list[str]:
    found = [_output_problem(output) for output in outputs] or ["a model needs at least one output"]
    return [problem for problem in found if problem]


def _output_problem(output: Output) -> str | None:
    try:
        validate(OutputSpec, {"name": output.name, **output.words, "prior": [0.0] * output.size})
    except ValueError as error:
        return f"output {output.name!r}: {complaint(error)}"
    return None


def _expect(what: str, given: object, rows: int, size: int) -> None:
    shape = list(given.shape) if isinstance(given, Tensor) else None
    if shape != [rows, size]:
        words = f"[{', '.join(['B', *map(str, shape[1:])])}]" if shape else type(given).__name__
        raise ExportError(f"{what} gives {words}, not [B, {size}] as declared")
