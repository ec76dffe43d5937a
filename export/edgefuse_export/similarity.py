"""Coordination: how near the fused vector is to known entries, as a head, and the loss that brings sensors together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from edgefuse_export.errors import ExportError
from edgefuse_export.joins import unit

# Coordination functions of Baltrusaitis et al. 2019, arXiv 1705.09406: (fused [B, D], entries [M, D], scale) -> [B, M].
KERNELS: Mapping[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "cosine": lambda z, e, scale: unit(z) @ unit(e).t(),
    "dot": lambda z, e, scale: z @ e.t(),
    "rbf": lambda z, e, scale: torch.exp(-_squared_distance(z, e) / (2 * scale * scale)),
    "polynomial": lambda z, e, scale: (z @ e.t() + 1) ** int(scale),
    "clip": lambda z, e, scale: scale * (unit(z) @ unit(e).t()),
}
SCALES: Mapping[str, float] = {"rbf": 1.0, "polynomial": 2.0, "clip": 1 / 0.07}


class SimilarityHead(nn.Module):
    """Similarities [B, M] of the fused vector [B, D] to M entries, for an output of kind `similarity`.

    entries   float32 [M, D], such as `FusionModel.fused` of one sample a place
    kernel    "cosine", "dot", "rbf" with width `scale`, "polynomial" of degree `scale`, or "clip": cosine times `scale`
              (Radford et al. 2021, arXiv 2103.00020)
    Raises ExportError naming what is wrong.
    """

    entries: Tensor

    def __init__(self, entries: Tensor, kernel: str = "cosine", scale: float | None = None) -> None:
        super().__init__()
        if kernel not in KERNELS:
            raise ExportError(f"unknown similarity {kernel!r}; known: {', '.join(KERNELS)}")
        entries = torch.as_tensor(entries, dtype=torch.float32)
        if entries.dim() != 2 or not torch.isfinite(entries).all():
            raise ExportError(f"the entries of a similarity head must be finite [M, D], not {list(entries.shape)}")
        self.kernel, self.scale = kernel, SCALES.get(kernel, 1.0) if scale is None else scale
        if not self.scale > 0 or math.isinf(self.scale):
            raise ExportError(f"the scale of similarity {kernel!r} must be positive, not {scale}")
        if kernel == "polynomial" and self.scale != int(self.scale):
            raise ExportError(f"the degree of a polynomial similarity must be whole, not {scale}")
        self.register_buffer("entries", entries.detach().clone())

    def forward(self, fused: Tensor) -> Tensor:
        return KERNELS[self.kernel](fused, self.entries, self.scale)


def contrastive_loss(a: Tensor, b: Tensor, temperature: float = 0.07) -> Tensor:
    """Symmetric InfoNCE of pairs of rows a, b [B, D]: row i of a belongs to row i of b and to no other.

    For example a = fused from camera and depth, b = fused from lidar, of the same moments. Radford et al. 2021,
    arXiv 2103.00020.
    """
    logits = unit(a) @ unit(b).t() / temperature
    own = torch.arange(len(a), device=a.device)
    return (nn.functional.cross_entropy(logits, own) + nn.functional.cross_entropy(logits.t(), own)) / 2


def _squared_distance(a: Tensor, b: Tensor) -> Tensor:
    return ((a[:, None, :] - b[None, :, :]) ** 2).sum(-1)
