"""Dynamic routing as the device runs it: the gate and every expert as a graph of its own, so that most never run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edgefuse_export.graphs.dynamic import Dynamic
from edgefuse_export.trace import traced

GATE, REST = "gate.onnx", "fusion.onnx"


def branch_file(k: int) -> str:
    """The file of branch k's expert."""
    return f"branches/b{k}.onnx"


class _Masked(nn.Module):
    """A gate or expert as a function of embeddings, the mask last."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, *inputs: Tensor) -> Tensor:
        result: Tensor = self.part(list(inputs[:-1]), inputs[-1])
        return result


class _Whole(nn.Module):
    """An expert as a function of embeddings alone: on the device it runs only where all its streams are there."""

    def __init__(self, expert: nn.Module, streams: int) -> None:
        super().__init__()
        self.expert, self.streams = expert, streams

    def forward(self, *inputs: Tensor) -> Tensor:
        present = torch.ones_like(inputs[0][:, :1], dtype=torch.bool).expand(-1, self.streams)
        result: Tensor = self.expert(list(inputs), present)
        return result


def routed_bodies(module: Dynamic, embeddings: Mapping[str, Tensor]) -> dict[str, Any]:
    """File name -> graph: `gate.onnx` to `scores` [B, M], each branch's and the rest's expert to `fused` [B, dim].

    embeddings: examples by stream name, batch 2, in the order of the streams.
    """
    names = list(embeddings)
    present = {"present": torch.ones(2, len(names), dtype=torch.bool)}
    gate = _of(embeddings, module.gate_streams) | present
    parts = {
        GATE: traced(_Masked(module.gate), gate, ["scores"], "the gate"),
        REST: traced(_Masked(module.rest), dict(embeddings) | present, ["fused"], "the expert for the rest"),
    }
    for k, branch in enumerate(module.branches):
        what = f"the expert of branch {k}"
        parts[branch_file(k)] = traced(_Whole(module.experts[k], len(names)), _of(embeddings, branch), ["fused"], what)
    return parts


def route_fields(module: Dynamic, names: Sequence[str]) -> dict[str, Any]:
    """The routes as the manifest states them."""
    return {
        "gate": GATE,
        "gate_streams": [names[i] for i in module.gate_streams],
        "branches": [
            {"streams": [names[i] for i in branch], "file": branch_file(k)} for k, branch in enumerate(module.branches)
        ],
    }


def _of(embeddings: Mapping[str, Tensor], streams: Sequence[int]) -> dict[str, Tensor]:
    names = list(embeddings)
    return {names[i]: embeddings[names[i]] for i in streams}
