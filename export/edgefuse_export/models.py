"""FusionModel: any encoders, one fusion operator and a head, as one torch module that takes a presence mask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from edgefuse.arguments import MAX_DIM, MAX_STREAMS
from edgefuse.manifest import RESERVED_NAMES
from edgefuse_export.declare import Output, Stream, output_problems, spec_of, whole
from edgefuse_export.errors import ExportError
from edgefuse_export.fusion import Absent, Fusion, Grid, known
from edgefuse_export.graph_fusion import GraphFusion


class FusionModel(nn.Module):
    """Streams in the order of the dict, joined by `operator` at width `dim`, read by `head`.

    operator a name of `edgefuse.operators.OPERATORS`, or a module of your own (see `GraphFusion`)
    head     any module from float32 [B, width] to [B, K] (one output) or to a dict of them; `width` is
             `edgefuse.operators.OPERATORS[operator].width(len(streams), dim, rank)`, of maps [B, width, H, W]; and
             one more for each stream where it reads presence bits
    absent   what stands for an absent stream: the operator's "identity", or a learned "token" of its own
    rank     of the operators that have one; 4 where it is not said
    grid     rows and columns of the maps that are joined, for the operators that join maps
    presence_bits   the head also reads, behind the fused vector, 1 for each stream that is present and 0 for the others
    Raises ExportError naming the stream, the output or the operator that is wrong.
    """

    means: Tensor | None

    def __init__(
        self,
        streams: Mapping[str, Stream],
        operator: str | nn.Module,
        dim: int,
        head: nn.Module,
        outputs: Sequence[Output],
        absent: Absent = "identity",
        rank: int | None = None,
        grid: Grid | None = None,
        presence_bits: bool = False,
    ) -> None:
        super().__init__()
        self.streams, self.outputs, self.absent = dict(streams), tuple(outputs), absent
        self.presence_bits = presence_bits
        self.specs = tuple(spec_of(name, stream) for name, stream in self.streams.items())
        self._check()
        # Not by name: a ModuleDict refuses streams that are called `type` or `keys`.
        self.encoders = nn.ModuleList(stream.encoder for stream in self.streams.values())
        self.fusion = _fusion(operator, {n: s.dim for n, s in self.streams.items()}, dim, absent, rank, grid)
        if presence_bits and self.joins_maps:
            raise ExportError("presence bits stand beside a fused vector: there are none for maps")
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
        if problems := [*twice, *taken, *orphans, *count, *output_problems(self.outputs)]:
            raise ExportError(*problems)

    @property
    def fused_shape(self) -> tuple[int, ...]:
        """Of what the head reads: (width,), or (width, H, W) where maps are joined into maps."""
        bits = len(self.streams) if self.presence_bits else 0
        return (self.fusion.width, *(self.fusion.grid or ())) if self.joins_maps else (self.fusion.width + bits,)

    @property
    def joins_maps(self) -> bool:
        """Does a kernel join maps? On the device they then arrive projected, as a part of the encoders."""
        return self.fusion.grid is not None and isinstance(self.fusion, Fusion)

    @property
    def device(self) -> torch.device:
        return next((value.device for value in (*self.parameters(), *self.buffers())), torch.device("cpu"))

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

    def fused(self, inputs: Mapping[str, Tensor], present: Tensor | None = None) -> Tensor:
        """What the head would read, float32 [B, width]: to make the entries of a similarity head from known samples."""
        present = self._presence(inputs, present)
        return self.fuse(self.encode(inputs, present), present)

    def fuse(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        """What the head reads, [B, *fused_shape], from embeddings [B, d_i] and present, bool [B, N]."""
        fused: Tensor = self.fusion(embeddings, present)
        return torch.cat([fused, present.to(fused.dtype)], dim=1) if self.presence_bits else fused

    def answer(self, embeddings: Sequence[Tensor], present: Tensor) -> dict[str, Tensor]:
        """Output name -> float32 [B, K], from embeddings [B, d_i] and present, bool [B, N]."""
        outputs = self.heads(self.fuse(embeddings, present))
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
        """Log frequencies of the classes among training labels int64 [n]; one more is counted of each, so none is 0.

        A vote that corrects for the prior gets them too.
        """
        counts = torch.bincount(labels, minlength=self.prior(output).numel()).to(torch.float32) + 1
        self.set_prior(output, torch.log(counts / counts.sum()))
        for name, value in self.fusion.named_arrays().items():
            if name == "join.log_prior" and value.shape == self.prior(output).shape:
                value.copy_(self.prior(output))

    @torch.no_grad()
    def measure_means(self, batches: Iterable[Mapping[str, Tensor]]) -> None:
        """Set `means`: what stands in for each stream on average over batches of inputs, float32.

        [N, W] projected rows where a kernel joins them, [sum of d_i] embeddings where a graph does.
        """
        total, count = torch.zeros((), device=self.device), 0
        for inputs in batches:
            present = self._presence(inputs, None)
            if not present.all():
                raise ExportError("measure_means: a batch lacks a stream")
            total = total + self.fusion.rows(self.encode(inputs, present)).sum(0)
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
        shape = (self.streams[name].dim, *(self.fusion.grid or ()))
        embeddings = torch.zeros(len(column), *shape, device=self.device)
        rows = column.nonzero().squeeze(1)
        if tensor is None or len(rows) == 0:
            return embeddings
        # Only the rows that are there: nothing of the others can leak, nor count in the statistics of a batch norm.
        given = encoder(tensor[rows].to(torch.float32))
        _expect(f"stream {name!r}: the encoder", given, len(rows), *shape)
        return embeddings.index_copy(0, rows, given)


def _fusion(
    operator: str | nn.Module, dims: Mapping[str, int], dim: int, absent: Absent, rank: int | None, grid: Grid | None
) -> Fusion | GraphFusion:
    if operator == "graph":
        raise ExportError("operator 'graph' is a module of your own: give the module instead of the name")
    row = known(operator if isinstance(operator, str) else "graph")
    dim, rank = whole(dim), row.default_rank if rank is None else whole(rank)
    if grid is not None and not (isinstance(grid, Sequence) and len(grid) == 2):
        raise ExportError(f"grid must be rows and columns, not {grid!r}")
    sizes = {"dim": dim, "rank": rank} | {f"grid[{k}]": cells for k, cells in enumerate(grid or ())}
    if wrong := [f"{name} must be 1 to {MAX_DIM}, not {n!r}" for name, n in sizes.items() if not _countable(n)]:
        raise ExportError(*wrong)
    if isinstance(operator, str) and (refusal := row.refusal(len(dims), dim, rank, grid is not None)):
        raise ExportError(refusal)
    if isinstance(operator, str) and row.backend == "kernel":
        return Fusion(operator, dims, dim, absent, rank, grid)
    if absent == "token":
        raise ExportError(f"operator {row.name!r} says itself what an absent stream means: it takes no tokens")
    return GraphFusion(operator, dims, dim, rank, grid)


def _countable(n: object) -> bool:
    return isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= MAX_DIM


def _expect(what: str, given: object, rows: int, *shape: int) -> None:
    have = list(given.shape) if isinstance(given, Tensor) else None
    if have != [rows, *shape]:
        words = _batch(have[1:]) if have else type(given).__name__
        raise ExportError(f"{what} gives {words}, not {_batch(shape)} as declared")


def _batch(shape: Sequence[int]) -> str:
    return f"[{', '.join(['B', *map(str, shape)])}]"
