"""A graph in lower precision, by ONNX Runtime's own tools: float16, or int8 with ranges from real samples."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx

from edgefuse.types import Array
from edgefuse_export.errors import ExportError
from edgefuse_export.to_onnx import single
from edgefuse_export.trace import BATCH, anonymised

Feeds = Sequence[Mapping[str, Array]]  # samples: input -> tensor [1, ...]
QUANTIZED = ("Conv", "Gemm", "MatMul")  # what costs time; what lies between two of them stays in eight bits with them


def in_float16(model: bytes) -> bytes:
    """Weights and arithmetic in float16, inputs and outputs as they were. ExportError where the tool refuses it."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with _refusal("float16"), _quiet():
        proto = convert_float_to_float16(_free(model), keep_io_types=True, op_block_list=["Cast"])
        return _finished(proto)


def in_int8(model: bytes, feeds: Feeds) -> bytes:
    """Weights by channel and activations by tensor in eight bits, as QDQ; ranges are those seen in `feeds`.

    Jacob et al. 2018, arXiv 1712.05877. ExportError where there is nothing to quantize, or the tool refuses the graph.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    if not any(node.op_type in QUANTIZED for node in onnx.load_from_string(model).graph.node):
        raise ExportError(f"int8: the graph has no {', '.join(QUANTIZED)}")
    with _refusal("int8"), _quiet(), tempfile.TemporaryDirectory(prefix="edgefuse-quantize-") as folder:
        given, folded, done = (Path(folder) / f"{name}.onnx" for name in ("given", "folded", "int8"))
        onnx.save(_free(model), given)
        quant_pre_process(given, folded, skip_symbolic_shape=True)  # batch norms into the convolutions
        quantize_static(
            folded,
            done,
            _reader(feeds),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTIZED),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return _finished(onnx.load(done))


def _free(model: bytes) -> Any:
    """With a free batch axis, so that nothing is folded into the graph that holds for one sample only."""
    proto = onnx.load_from_string(model)
    for port in (*proto.graph.input, *proto.graph.output):
        port.type.tensor_type.shape.dim[0].Clear()
        port.type.tensor_type.shape.dim[0].dim_param = BATCH
    return proto


def _finished(proto: Any) -> bytes:
    """For one sample again, with nothing in it of the machine or of the tool's intermediate shapes."""
    del proto.graph.value_info[:]
    return bytes(single(anonymised(proto)).SerializeToString())


def _reader(feeds: Feeds) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Gives the samples once."""

        def __init__(self) -> None:
            self._left = iter(feeds)

        def get_next(self) -> dict[str, Array] | None:
            given = next(self._left, None)
            return None if given is None else dict(given)

    return Reader()


@contextmanager
def _refusal(precision: str) -> Iterator[None]:
    """Whatever the tools raise, as one line."""
    try:
        yield
    except Exception as error:
        raise ExportError(
            f"{precision}: ONNX Runtime's tools refuse it: {' '.join(str(error).split())[:300]}"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the tools' advice on what has been done already."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
