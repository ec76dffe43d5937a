"""Exchange the encoders or the head inside a bundle's portable graph, which holds them under names of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from edgefuse.types import F32
from edgefuse_export.errors import ExportError
from edgefuse_export.to_onnx import append

HEAD = "Head"  # no stream can be called so


def rounded(model: bytes, weights: F32) -> bytes:
    """The portable graph with the weights of its fusion rounded to float16: every tensor there that is made of them."""
    proto = onnx.load_from_string(model)
    for tensor in proto.graph.initializer:
        if tensor.name.startswith("Fusion/") and tensor.data_type == onnx.TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor)
            if np.isin(values, weights).all():
                halves = values.astype(np.float16).astype(np.float32)
                tensor.CopyFrom(numpy_helper.from_array(halves, tensor.name))
    return bytes(proto.SerializeToString())


def spliced(model: bytes, parts: Mapping[str, bytes]) -> bytes:
    """The portable graph with these parts exchanged: stream name or HEAD -> the part as its own file.

    What an encoder makes is called `Fusion/STREAM` there, what the head makes `Head/OUTPUT`; see `to_onnx.compose`.
    ExportError where the graph was put together otherwise.
    """
    proto = onnx.load_from_string(model)
    for name, part in parts.items():
        _exchange(proto, name, onnx.load_from_string(part))
    _sort(proto.graph)
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString())


def _exchange(proto: Any, name: str, part: Any) -> None:
    graph, prefix = proto.graph, f"{name}/"
    ports = {port.name for port in (*part.graph.input, *part.graph.output)}
    renamed = {} if name == HEAD else {f"{prefix}input": name, f"{prefix}embedding": f"Fusion/{name}"}
    # What others read of the part, or it of them, keeps its name there: the ports of the head.
    made = {renamed.get(prefix + port.name, prefix + port.name) for port in part.graph.output}
    old = [node for node in graph.node if any(o in made or _within(o, prefix, ports) for o in node.output)]
    if made - {output for node in old for output in node.output}:
        raise ExportError(f"the portable graph has no part {name!r} of its own")
    for node in old:
        graph.node.remove(node)
    for tensor in [t for t in graph.initializer if t.name.startswith(prefix)]:
        graph.initializer.remove(tensor)
    append(graph, part.graph, prefix, renamed)
    _import_domains(proto, part)


def _within(value: str, prefix: str, ports: set[str]) -> bool:
    return value.startswith(prefix) and value.removeprefix(prefix) not in ports


def _import_domains(proto: Any, part: Any) -> None:
    known = {own.domain for own in proto.opset_import}
    proto.opset_import.extend(own for own in part.opset_import if own.domain not in known)


def _sort(graph: Any) -> None:
    """Every node behind those whose values it reads."""
    known = {value.name for value in (*graph.input, *graph.initializer)} | {""}
    waiting, ordered = list(graph.node), []
    while waiting:
        ready = [node for node in waiting if known.issuperset(node.input)]
        if not ready:
            raise ExportError(f"the portable graph does not know {sorted(set(waiting[0].input) - known)}")
        ordered += ready
        known.update(output for node in ready for output in node.output)
        waiting = [node for node in waiting if not known.issuperset(node.output)]
    del graph.node[:]
    graph.node.extend(ordered)
