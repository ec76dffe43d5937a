"""Dynamic fusion: a gate that looks at a few cheap streams picks which expert, and so which streams, answer a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edgefuse_export.errors import ExportError
from edgefuse_export.graphs.base import GraphOperator, rows, select

HIDDEN = 64  # of the gate


class Dynamic(GraphOperator):
    """Branches, each an expert over a subset of the streams, of which one answers each row: [B, D].

    A branch can win only where all its streams are present. Evaluation takes the one with the largest gate value (the
    first of equals), and `rest` where no branch can win. Training mixes the experts with the softmax of gate / tau.
    Modality-level DynMM: Xue and Marculescu 2023 (arXiv 2204.00102).

    branches      names of each branch's streams; left out: each stream alone, and all
    gate_streams  names of the streams that the gate looks at; left out: the first
    Both are kept as indices in the model's order; ExportError for a name that is none, an empty or a repeated branch.
    """

    name = "dynamic"

    def __init__(
        self,
        dims: Mapping[str, int],
        dim: int,
        rank: int = 4,
        grid: tuple[int, int] | None = None,
        branches: Sequence[Sequence[str]] | None = None,
        gate_streams: Sequence[str] | None = None,
    ) -> None:
        super().__init__(dims, dim, rank, grid)
        names = list(dims)
        given = [[name] for name in names] + [names] * (len(names) > 1) if branches is None else branches
        self.branches = tuple(_indices(branch, names) for branch in given)
        self.gate_streams = _indices(names[:1] if gate_streams is None else gate_streams, names)
        if len(set(self.branches)) < max(len(self.branches), 1):
            raise ExportError("operator 'dynamic': it needs at least one branch, and none of them twice")
        self.width, self.tau = dim, 1.0
        self.gate = Gate(dims, self.gate_streams, len(self.branches))
        self.experts = nn.ModuleList(Expert(dims, branch, dim) for branch in self.branches)
        self.rest = Rest(dims, dim)
        self._probabilities: Tensor | None = None

    def forward(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        values = self.gate([embeddings[i] for i in self.gate_streams], present)
        made = [self.expert(k, embeddings, present) for k in range(len(self.branches))]
        rest: Tensor = self.rest(embeddings, present)
        feasible = self.feasible(present)
        return self._mix(values, feasible, made, rest) if self.training else _pick(values, feasible, made, rest)

    def expert(self, k: int, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        """What branch k makes of all N embeddings: [B, D]; it means something only where the branch is feasible."""
        answer: Tensor = self.experts[k]([embeddings[i] for i in self.branches[k]], present)
        return answer

    def feasible(self, present: Tensor) -> Tensor:
        """bool [B, M]: whether all streams of each branch are present."""
        return torch.stack([_all_of(present, branch) for branch in self.branches], dim=1)

    def cost_loss(self) -> Tensor:
        """The mean over rows and branches of probability times the branch's share of the streams, of the last forward.

        ExportError unless that was in training mode. A row that no branch can answer costs nothing.
        """
        if self._probabilities is None:
            raise ExportError("operator 'dynamic': cost_loss needs a forward in training mode before it")
        shares = [len(branch) / len(self.dims) for branch in self.branches]
        return (self._probabilities * self._probabilities.new_tensor(shares)).mean()

    def train(self, mode: bool = True) -> Dynamic:
        self._probabilities = None  # of a graph that is over, which it would keep alive
        return super().train(mode)

    def __getstate__(self) -> dict[str, Any]:
        """All but the tensor that belongs to a graph: torch copies no such tensor."""
        return {**self.__dict__, "_probabilities": None}

    def _mix(self, values: Tensor, feasible: Tensor, made: Sequence[Tensor], rest: Tensor) -> Tensor:
        some = feasible.any(1, keepdim=True)
        logits = (values / self.tau).masked_fill(~feasible & some, -float("inf"))
        self._probabilities = torch.where(some, torch.softmax(logits, dim=1), 0.0)
        answers = torch.stack(select(made, feasible), dim=1)
        return torch.where(some, (self._probabilities[..., None] * answers).sum(1), rest)


class Gate(nn.Module):
    """forward(embeddings of the gate streams, present [B, N]) gives a value for each branch: [B, M]."""

    def __init__(self, dims: Mapping[str, int], streams: Sequence[int], branches: int) -> None:
        super().__init__()
        self.streams = tuple(streams)
        self.hidden = nn.Linear(_total(dims, streams) + len(dims), HIDDEN)
        self.out = nn.Linear(HIDDEN, branches)

    def forward(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        given = [*_chosen(embeddings, present, self.streams), present.to(embeddings[0].dtype)]
        values: Tensor = self.out(torch.relu(self.hidden(torch.cat(given, dim=1))))
        return values


class Expert(nn.Module):
    """forward(embeddings of its own streams, present [B, N]) gives one layer over them: [B, D]."""

    def __init__(self, dims: Mapping[str, int], streams: Sequence[int], dim: int) -> None:
        super().__init__()
        self.streams = tuple(streams)
        self.layer = nn.Linear(_total(dims, streams), dim)

    def forward(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        return torch.relu(self.layer(torch.cat(_chosen(embeddings, present, self.streams), dim=1)))


class Rest(nn.Module):
    """forward(all N embeddings, present [B, N]) answers where no branch can: one layer over all, zeros where absent."""

    def __init__(self, dims: Mapping[str, int], dim: int) -> None:
        super().__init__()
        self.layer = nn.Linear(sum(dims.values()) + len(dims), dim)

    def forward(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        given = [*select(embeddings, present), present.to(embeddings[0].dtype)]
        return torch.relu(self.layer(torch.cat(given, dim=1)))


def _pick(values: Tensor, feasible: Tensor, made: Sequence[Tensor], rest: Tensor) -> Tensor:
    """Of each row the expert that wins. Compared one by one: no value, not even -inf, lets an infeasible one win."""
    answer, best = rest, torch.full_like(values[:, 0], -float("inf"))
    open_rows = torch.ones_like(feasible[:, 0])
    for k, expert in enumerate(made):
        wins = feasible[:, k] & (open_rows | (values[:, k] > best))
        answer = torch.where(rows(wins, answer), expert, answer)
        best, open_rows = torch.where(wins, values[:, k], best), open_rows & ~wins
    return answer


def _chosen(embeddings: Sequence[Tensor], present: Tensor, streams: Sequence[int]) -> list[Tensor]:
    return select(embeddings, torch.stack([present[:, i] for i in streams], dim=1))


def _all_of(present: Tensor, branch: Sequence[int]) -> Tensor:
    return torch.stack([present[:, i] for i in branch], dim=1).all(1)


def _total(dims: Mapping[str, int], streams: Sequence[int]) -> int:
    return sum(list(dims.values())[i] for i in streams)


def _indices(given: Sequence[str], names: Sequence[str]) -> tuple[int, ...]:
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise ExportError(f"operator 'dynamic': a branch, and the gate, is a list of streams, not {given!r}")
    if unknown := [name for name in given if name not in names]:
        raise ExportError(f"operator 'dynamic': no stream {unknown[0]!r}; the model has {', '.join(names)}")
    if not given:
        raise ExportError("operator 'dynamic': a branch, and the gate, needs at least one stream")
    return tuple(sorted({names.index(name) for name in given}))
