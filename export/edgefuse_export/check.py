"""What can be said against a model before anything is exported: weights, shapes, and parts that do not run."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping

import torch

from edgefuse.types import Array
from edgefuse_export.errors import ExportError
from edgefuse_export.models import FusionModel


@torch.no_grad()
def check_model(model: FusionModel, tensors: Mapping[str, Array]) -> None:
    """Raise an ExportError with everything that is wrong; tensors: stream -> [S, ...tensor_shape], preprocessed."""
    model.eval()
    if problems := [*_weights(model), *_encoders(model, tensors), *_fusion(model), *_head(model)]:
        raise ExportError(*problems)


def _weights(model: FusionModel) -> Iterator[str]:
    for name, value in (*model.named_parameters(), *model.named_buffers()):
        if not bool(torch.isfinite(value).all()):
            yield f"weight {name!r} holds values that are not finite"


def _encoders(model: FusionModel, tensors: Mapping[str, Array]) -> Iterator[str]:
    for i, name in enumerate(model.streams):
        tensor = torch.from_numpy(tensors[name]).to(model.device)
        present = (torch.arange(len(model.streams)).expand(len(tensor), -1) == i).to(model.device)
        shape = ", ".join(map(str, tensor.shape[1:]))
        what = f"stream {name!r}: the encoder fails on a tensor [B, {shape}]"
        yield from _complaints(what, functools.partial(model.encode, {name: tensor}, present))


def _fusion(model: FusionModel) -> Iterator[str]:
    shapes = {name: (stream.dim, *(model.fusion.grid or ())) for name, stream in model.streams.items()}
    embeddings = [torch.zeros(2, *shape, device=model.device) for shape in shapes.values()]
    present = torch.ones(2, len(shapes), dtype=torch.bool, device=model.device)
    words = ", ".join(f"{name} [B, {', '.join(map(str, shape))}]" for name, shape in shapes.items())
    what = f"the fusion fails on embeddings {words}"
    yield from _complaints(what, functools.partial(model.fusion, embeddings, present))


def _head(model: FusionModel) -> Iterator[str]:
    words = ", ".join(map(str, model.fused_shape))
    fused = torch.zeros(2, *model.fused_shape, device=model.device)
    what = f"the head fails on a fused vector [B, {words}]"
    yield from _complaints(what, functools.partial(model.heads, fused))


def _complaints(what: str, run: Callable[[], object]) -> Iterator[str]:
    try:
        _run(what, run)
    except ExportError as error:
        yield from error.problems


def _run(what: str, run: Callable[[], object]) -> None:
    try:
        run()
    except ExportError:
        raise
    except Exception as error:  # modules of users raise what they like
        raise ExportError(f"{what}: {type(error).__name__}: {' '.join(str(error).split())[:200]}") from error
