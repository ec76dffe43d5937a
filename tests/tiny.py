"""A tiny real bundle for tests: vector streams, one-layer encoders and head as ONNX graphs, weights from a seed.

Nothing here comes from edgefuse_export, so that engine tests do not depend on torch or on our exporter.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgefuse import bundle as bundles
from edgefuse.bundle import Bundle
from edgefuse.operators import OPERATORS
from edgefuse.types import Array
from fusion_truth import kernel_truth

DIM = 8
KERNEL_OPERATORS = sorted(name for name, row in OPERATORS.items() if row.backend == "kernel")
CLASSES = ("left", "right", "straight")
PRIOR = (0.5, -0.25, 0.125)


def dims_for(operator: str, streams: int) -> dict[str, int]:
    """So many streams of odd lengths, or as many as the operator joins."""
    lengths = {"a": 3, "b": 17, "c": 4, "d": 1, "e": 6, "f": 2}
    return dict(list(lengths.items())[: OPERATORS[operator].exactly or streams])


def linear(
    name: str, in_name: str, out_name: str, weight: Array, bias: Array, batch: int | str = 1, then: str = "Identity"
) -> bytes:
    """An ONNX model of one Gemm, and what comes after it: float32 [batch, d] -> [batch, k]."""
    d, k = weight.shape
    graph = helper.make_graph(
        [helper.make_node("Gemm", [in_name, "w", "b"], ["z"]), helper.make_node(then, ["z"], [out_name])],
        name,
        [helper.make_tensor_value_info(in_name, TensorProto.FLOAT, [batch, d])],
        [helper.make_tensor_value_info(out_name, TensorProto.FLOAT, [batch, k])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def npy(array: Array) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


class Tiny:
    """The parts of a tiny model, kept so that a test can compute its own truth from them."""

    def __init__(self, dims: Mapping[str, int] | None = None, operator: str = "multconcat", seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.dims = dict(dims or {"a": 3, "b": 5, "c": 4})
        self.operator = OPERATORS[operator]
        self.encoders = {n: (self._draw(d, d + 1), self._draw(d + 1)) for n, d in self.dims.items()}
        embeddings = {n: d + 1 for n, d in self.dims.items()}
        sizes = (DIM, self.operator.default_rank)
        self.parameters = {n: self._draw(*s) for n, s in self.operator.parameters(embeddings, *sizes).items()}
        self.theta = {name: self.parameters[name] for name in self.operator.theta(len(self.dims), *sizes)}
        self.head = (self._draw(self.operator.width(len(self.dims), *sizes), len(CLASSES)), self._draw(len(CLASSES)))
        shape = (len(self.dims), self.operator.columns(len(self.dims), *sizes))
        self.blocks = {"mean": self._draw(*shape), "token": self._draw(*shape)}

    def _draw(self, *shape: int) -> Array:
        return self.rng.normal(0.0, 0.6, shape).astype(np.float32)

    def samples(self) -> dict[str, Array]:
        """One random payload a stream."""
        return {name: self._draw(d) for name, d in self.dims.items()}

    def fields(self, **changes: Any) -> dict[str, Any]:
        """The manifest without `files`."""
        streams = [
            {
                "name": name,
                "kind": "vector",
                "preprocess": {"shape": [d]},
                "tensor_dtype": "float32",
                "tensor_shape": [d],
                "encoder": f"encoders/{name}.onnx",
                "embedding_dim": d + 1,
                "fresh_ms": 100.0,
                "max_age_ms": 300.0,
            }
            for name, d in self.dims.items()
        ]
        fields = {
            "schema_version": 1,
            "name": "tiny",
            "domain": "test",
            "streams": streams,
            "fusion": {
                "operator": self.operator.name,
                "dim": DIM,
                "rank": self.operator.default_rank,
                "activation": self.operator.activation.name.lower(),
                "file": "fusion.bin",
            },
            "head": {
                "file": "head.onnx",
                "outputs": [{"name": "way", "kind": "class_logits", "prior": list(PRIOR), "labels": list(CLASSES)}],
            },
            "fallback": {"ladder": ["hold", "mask"], "blocks": ["mean", "token"], "file": "fallback.bin"},
            "graph": "model.onnx",
        }
        return {**fields, **changes}

    def files(self) -> dict[str, bytes]:
        encoders = {
            f"encoders/{name}.onnx": linear(name, "input", "embedding", *weights)
            for name, weights in self.encoders.items()
        }
        blocks = np.concatenate([block.reshape(-1) for block in self.blocks.values()])
        return {
            **encoders,
            "fusion.bin": np.concatenate([p.reshape(-1) for p in self.parameters.values()]).astype("<f4").tobytes(),
            "head.onnx": linear("head", "fused", "way", *self.head),
            "fallback.bin": blocks.astype("<f4").tobytes(),
            "model.onnx": linear("head", "fused", "way", *self.head),
        }

    def write(self, path: Path, **changes: Any) -> Bundle:
        return bundles.write(path, self.fields(**changes), self.files())

    def fused(self, samples: Mapping[str, Array], stand_ins: Mapping[str, Array] | None = None) -> Array:
        """The fused vector in float64 by the formula of the operator, for exactly the streams in `samples`."""
        weights = [(self.parameters[f"{n}.weight"], self.parameters[f"{n}.bias"]) for n in self.dims]
        x = [self._embedding(name, samples[name]) if name in samples else None for name in self.dims]
        rows = [(stand_ins or {}).get(name) for name in self.dims]
        return kernel_truth(self.operator.name, weights, self.theta, x, DIM, self.operator.default_rank, rows)

    def truth(self, samples: Mapping[str, Array], stand_ins: Mapping[str, Array] | None = None) -> Array:
        """The outputs in float64, for exactly the streams in `samples`."""
        weight, bias = self.head
        result: Array = self.fused(samples, stand_ins) @ weight.astype(np.float64) + bias
        return result

    def _embedding(self, name: str, payload: Array) -> Array:
        weight, bias = self.encoders[name]
        embedding: Array = payload.astype(np.float64) @ weight + bias
        return embedding
