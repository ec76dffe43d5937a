"""Fusion operators that run as graphs on the device: those of the table, any torch module, and a ready ONNX file."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import version_converter
from torch import Tensor, nn

from edgefuse.algebra import Operator
from edgefuse.errors import EdgefuseError
from edgefuse.operators import OPERATORS
from edgefuse.session import Session
from edgefuse_export.errors import ExportError
from edgefuse_export.fusion import Grid
from edgefuse_export.graphs import GRAPHS, GraphOperator
from edgefuse_export.trace import anonymised


class GraphFusion(nn.Module):
    """N embeddings and a presence mask to one vector of `width`, by a module that is exported as one graph.

    operator    a row of the table that runs as a graph, a module of `edgefuse_export.graphs`, or any module with an
                attribute `width` whose forward(embeddings, present) takes N tensors [B, d_i] and bool [B, N] and gives
                [B, width]
    """

    tokens: None = None

    def __init__(
        self, operator: str | nn.Module, dims: Mapping[str, int], dim: int, rank: int, grid: Grid | None
    ) -> None:
        super().__init__()
        self.module = GRAPHS[operator](dims, dim, rank, grid) if isinstance(operator, str) else operator
        self.dims, self.dim, self.rank, self.grid = dict(dims), dim, 1, grid
        self.operator: Operator = OPERATORS["graph"]
        if isinstance(self.module, GraphOperator):
            self.operator, self.dim, self.grid = OPERATORS[self.module.name], self.module.dim, self.module.grid
            self.rank = self.module.rank if self.operator.rank else 1
        self.width = self._width()

    def _width(self) -> int:
        what = f"fusion {type(self.module).__name__}"
        if isinstance(self.module, GraphOperator) and self.module.dims != self.dims:
            raise ExportError(f"{what}: was made for embeddings {self.module.dims}, the streams give {self.dims}")
        if isinstance(self.module, OnnxFusion) and self.module.streams != tuple(self.dims):
            raise ExportError(f"{what}: was made for {list(self.module.streams)}, the streams are {list(self.dims)}")
        if isinstance(self.module, OnnxFusion):
            self.module.expect(self.dims)
        width = getattr(self.module, "width", None)
        if not isinstance(width, int) or width < 1:
            raise ExportError(f"{what}: needs an attribute `width`, the length of what it gives, not {width!r}")
        return width

    def forward(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        """float32 [B, width] from N embeddings [B, d_i] and present, bool [B, N]."""
        fused: Tensor = self.module(list(embeddings), present)
        if not isinstance(fused, Tensor):
            raise ExportError(f"the fusion gives {type(fused).__name__}, not [B, {self.width}]")
        # The batch is not looked at: to compare it would fix it in the exported graph.
        if fused.dim() != 2 or fused.shape[1] != self.width:
            raise ExportError(
                f"the fusion gives [{', '.join(['B', *map(str, fused.shape[1:])])}], not [B, {self.width}]"
            )
        return fused

    def auxiliary(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor | None:
        """What the operator adds to the loss of a training, a scalar; None where it adds nothing."""
        extra = getattr(self.module, "auxiliary", None)
        loss: Tensor | None = None if extra is None else extra(list(embeddings), present)
        return loss

    def named_arrays(self) -> dict[str, Tensor]:
        """Nothing: the weights are in the graph."""
        return {}

    def rows(self, embeddings: Sequence[Tensor]) -> Tensor:
        """What can stand in for a stream, of each sample: the embeddings side by side, [B, sum of d_i]."""
        return torch.cat([e.flatten(2).mean(2) if e.dim() > 2 else e for e in embeddings], dim=1)


class OnnxFusion(nn.Module):
    """A ready ONNX graph as the fusion: inputs by stream name [B, d_i] and `present` bool [B, N], output `fused`.

    It answers, and cannot be trained here. ExportError naming the file where it is not such a graph.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes, streams: Sequence[str]) -> None:
        super().__init__()
        if not isinstance(source, str | bytes | os.PathLike):
            raise ExportError(f"OnnxFusion takes a path or the bytes of an ONNX file, not {type(source).__name__}")
        self.place = "fusion.onnx" if isinstance(source, bytes) else os.fspath(source)
        self.streams = tuple(streams)
        try:
            content = source if isinstance(source, bytes) else Path(source).read_bytes()
            self.proto = onnx.load_from_string(content)
            self._session = Session(content, self.place)
        except OSError as error:
            raise ExportError(f"{self.place}: {error.strerror or error}") from error
        except (EdgefuseError, ValueError, TypeError) as error:
            raise ExportError(f"{self.place}: is no graph that ONNX Runtime takes: {error}") from error
        except Exception as error:  # protobuf's own decoding errors have no public base
            raise ExportError(f"{self.place}: is no ONNX graph: {' '.join(str(error).split())[:200]}") from error
        self.width = self._check()

    def _check(self) -> int:
        wanted = {*self.streams, "present"}
        if set(self._session.inputs) != wanted:
            raise ExportError(f"{self.place}: inputs are {sorted(self._session.inputs)}, not {sorted(wanted)}")
        if set(self._session.outputs) != {"fused"}:
            raise ExportError(f"{self.place}: outputs are {sorted(self._session.outputs)}, not ['fused']")
        for name, port in (*self._session.inputs.items(), *self._session.outputs.items()):
            if not port.shape or port.shape[0] is not None:
                raise ExportError(f"{self.place}: {name!r} has shape {list(port.shape)}: its first axis must be free")
        mask, fused = self._session.inputs["present"], self._session.outputs["fused"]
        if (mask.dtype, mask.shape[1:]) != ("bool", (len(self.streams),)):
            raise ExportError(
                f"{self.place}: 'present' is {mask.dtype} {list(mask.shape)}, not bool [B, {len(self.streams)}]"
            )
        if fused.dtype != "float32" or len(fused.shape) != 2 or not fused.shape[1]:
            raise ExportError(f"{self.place}: 'fused' is {fused.dtype} {list(fused.shape)}, not float32 [B, width]")
        return fused.shape[1]

    def __deepcopy__(self, _memo: object) -> OnnxFusion:
        """Itself: nothing of it ever changes, and ONNX Runtime copies no session."""
        return self

    def expect(self, dims: Mapping[str, int]) -> None:
        """Refuse streams whose embeddings the graph does not take; an ExportError with the stream and both shapes."""
        for name, d in dims.items():
            port = self._session.inputs[name]
            if port.dtype != "float32" or len(port.shape) != 2 or port.shape[1] not in (None, d):
                have = ", ".join("B" if k == 0 else str(axis) for k, axis in enumerate(port.shape))
                raise ExportError(f"{self.place}: {name!r} is {port.dtype} [{have}], stream {name!r} gives [B, {d}]")

    @torch.no_grad()
    def forward(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        inputs: dict[str, Any] = {n: e.detach().numpy() for n, e in zip(self.streams, embeddings, strict=True)}
        fused = self._session.compute({**inputs, "present": present.numpy()})["fused"]
        return torch.from_numpy(np.ascontiguousarray(fused))

    def graph(self, opset: int) -> Any:
        """The graph at this opset. ExportError where ONNX cannot convert it."""
        have = {o.domain: o.version for o in self.proto.opset_import}
        foreign = [domain for domain in have if domain]
        if foreign:
            raise ExportError(f"{self.place}: uses operators of {', '.join(foreign)}; only standard ONNX travels")
        try:
            same = have.get("") == opset
            return anonymised(
                copy.deepcopy(self.proto) if same else version_converter.convert_version(self.proto, opset)
            )
        except Exception as error:  # the converter raises plain RuntimeError and more
            raise ExportError(f"{self.place}: opset {have.get('')} does not convert to {opset}: {error}") from error
