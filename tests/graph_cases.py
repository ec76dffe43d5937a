"""The graph-run operators as tests make them: modules with random weights, inputs, masks, and how they are traced."""

from __future__ import annotations

import itertools
import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edgefuse_export.graphs import GRAPHS, GraphOperator

torch.set_num_threads(1)  # small tensors: threads on shared cores would mostly wait for each other

THREE = {"a": 3, "b": 5, "c": 2}
SIX = {"a": 3, "b": 1, "c": 4, "d": 2, "e": 5, "f": 2}
GRID = (4, 5)
MASKS = torch.tensor(list(itertools.product((True, False), repeat=3)))
CASES = [*GRAPHS, "early on maps"]  # names of operators, and what else a module can be


def made(case: str, dims: Mapping[str, int] = THREE, dim: int = 8, rank: int = 3, seed: int = 0) -> GraphOperator:
    """A module in evaluation mode whose every parameter is random, those that begin as 0 or 1 too."""
    name, grid = case.removesuffix(" on maps"), GRID if case.endswith("on maps") else None
    module = GRAPHS[name](dims, dim, rank, grid)
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        scale = max(parameter.shape[1:].numel(), 2) ** -0.5  # keeps values, and so their rounding, near 1
        parameter.data.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return module.eval()


def drawn(rows: int, case: str = "", dims: Mapping[str, int] = THREE, seed: int = 1) -> list[Tensor]:
    """An embedding [rows, d] a stream, [rows, d, *GRID] for a case on maps."""
    generator = torch.Generator().manual_seed(seed)
    grid = GRID if case.endswith("on maps") else ()
    return [torch.randn(rows, d, *grid, generator=generator) for d in dims.values()]


def traced(module: nn.Module, embeddings: list[Tensor], present: Tensor, names: Sequence[str]) -> bytes:
    """The module as ONNX with a free batch axis: inputs by name and `present`, the output is `fused`."""
    batch, logger = torch.export.Dim("batch"), logging.getLogger("torch.onnx")
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program: Any = torch.onnx.export(
            module,
            ([x[:2] for x in embeddings], present[:2]),
            dynamo=True,
            opset_version=18,
            input_names=[*names, "present"],
            output_names=["fused"],
            dynamic_shapes=([{0: batch} for _ in embeddings], {0: batch}),
            verbose=False,
        )
    return bytes(program.model_proto.SerializeToString())
