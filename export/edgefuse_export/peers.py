"""Peers: what one would run instead of the engine, made from the same bundle: PyTorch eager and compiled, OpenVINO.

The torch model is the one that was exported, without its masks, which a team that expects every sensor would not write:
encoders and head rebuilt from their graphs, joined by the operator's own module. Each gets the raw payloads like the
engine and shares memory with the preprocessed tensors.
"""

from __future__ import annotations

import functools
import importlib
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgefuse.bench.contenders import Coarse, Maker, Preparing
from edgefuse.bench.timing import Contender
from edgefuse.bundle import Bundle
from edgefuse.operators import OPERATORS
from edgefuse.types import Array
from edgefuse_export.errors import ExportError
from edgefuse_export.from_onnx import GraphModule
from edgefuse_export.fusion import Fusion

BFLOAT16 = 2.0**-5  # part of the largest output: each of some layers rounds to 2^-8


def peers(bundle: Bundle) -> dict[str, Maker | str]:
    """Name -> what makes the contender, or why there is none."""
    return {
        "torch eager": _torch(bundle, lambda model: model),
        "torch.compile": _torch(bundle, torch.compile),
        "torch.compile, frozen": _torch(bundle, _frozen),
        "OpenVINO, fp32": _openvino(bundle, {"INFERENCE_PRECISION_HINT": "f32"}),
        "OpenVINO, its default": _at(BFLOAT16, _openvino(bundle, {})),  # bfloat16 on processors that multiply it
    }


class Whole(nn.Module):
    """The bundle's model with every stream present: tensors [1, ...tensor_shape] in the order of the streams."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        manifest = bundle.manifest
        spec, row = manifest.fusion, OPERATORS[manifest.fusion.operator]
        if row.backend != "kernel" or spec.grid is not None:
            raise ExportError(f"operator {row.name!r} has no torch module to rebuild it with")
        self.encoders = nn.ModuleList(GraphModule(bundle[s.encoder]) for s in manifest.streams)
        self.fusion = Fusion(row.name, manifest.embedding_dims, spec.dim, rank=spec.rank)
        _fill(self.fusion, np.frombuffer(bundle[spec.file], dtype="<f4"))
        self.head, self.bits = GraphModule(bundle[manifest.head.file]), manifest.head.presence_bits
        self.example = [torch.from_numpy(np.zeros((1, *s.tensor_shape), s.tensor_dtype)) for s in manifest.streams]
        self.register_buffer("present", torch.ones(1, len(manifest.streams), dtype=torch.bool))

    def forward(self, *tensors: Tensor) -> list[Tensor]:
        """Each output [1, K], in the order of the head's graph."""
        present = self.get_buffer("present")
        embeddings = [encoder(tensor)[0] for encoder, tensor in zip(self.encoders, tensors, strict=True)]
        fused = self.fusion(embeddings, present)
        found: list[Tensor] = self.head(torch.cat([fused, present.to(fused.dtype)], 1) if self.bits else fused)
        return found


@torch.no_grad()
def _fill(fusion: Fusion, values: Array) -> None:
    arrays = list(fusion.named_arrays().values())
    parts = np.split(values, np.cumsum([array.numel() for array in arrays])[:-1])
    for array, part in zip(arrays, parts, strict=True):
        array.copy_(torch.from_numpy(part.astype(np.float32)).reshape(array.shape))


def _torch(bundle: Bundle, made: Callable[[Whole], Any]) -> Maker | str:
    try:
        model = Whole(bundle).eval()
    except ExportError as error:
        return str(error)
    names, compiled = model.head.outputs, functools.cache(lambda: made(model))

    def make(prepare: Preparing) -> Contender:
        run = compiled()
        tensors = [torch.from_numpy(prepare.inputs[name]) for name in prepare.names]

        def answer() -> Mapping[str, Array]:
            prepare()
            with torch.inference_mode():
                found = run(*tensors)
            return {name: value.numpy()[0] for name, value in zip(names, found, strict=True)}

        return answer

    return make


def _frozen(model: Whole) -> Any:
    """Compiled with its weights as constants: by a first call here, as the setting counts when that compiles."""
    from torch._inductor import config  # there is no public name for it

    compiled = torch.compile(model)
    with config.patch(freezing=True), torch.inference_mode():
        compiled(*model.example)
    return compiled


def _at(tolerance: float, made: Maker | str) -> Maker | str:
    return made if isinstance(made, str) else Coarse(made, tolerance)


def _openvino(bundle: Bundle, settings: Mapping[str, str]) -> Maker | str:
    try:
        openvino: Any = importlib.import_module("openvino")
    except ImportError:
        return "openvino is not installed"

    def make(prepare: Preparing) -> Contender:
        core = openvino.Core()
        model = core.read_model(io.BytesIO(bundle[bundle.manifest.graph]))
        feeds = {**prepare.inputs, "present": prepare.mask}
        model.reshape({name: list(value.shape) for name, value in feeds.items()})
        compiled = core.compile_model(model, "CPU", {"PERFORMANCE_HINT": "LATENCY", **settings})
        request = compiled.create_infer_request()
        # OpenVINO reads the arrays where they lie and keeps none of them alive: `answer` does.
        shared = {name: openvino.Tensor(value, shared_memory=True) for name, value in feeds.items()}
        for name, tensor in shared.items():
            request.set_tensor(name, tensor)

        def answer(kept: object = (feeds, shared)) -> Mapping[str, Array]:
            prepare()
            request.infer()
            return {o.name: request.get_tensor(o.name).data[0] for o in bundle.manifest.head.outputs}

        return answer

    return make
