"""A small FusionModel for tests: three streams of different kinds and widths, two outputs, weights from a seed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from edgefuse.operators import OPERATORS
from edgefuse.types import Array
from edgefuse_export import ClassOutput, DepthInput, FusionModel, RegressionOutput, Stream

torch.set_num_threads(1)  # small tensors: threads on shared cores would mostly wait for each other

DIM = 4
NAMES = ("imu", "depth", "radar")
LABELS = ("stop", "go", "turn")


class TwoHeads(nn.Module):
    """A head with two outputs, given in another order than the model declares."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.way, self.speed = nn.Linear(width, len(LABELS)), nn.Linear(width, 1)

    def forward(self, fused: Tensor) -> dict[str, Tensor]:
        return {"speed": self.speed(fused), "way": self.way(fused)}


def encoders(seed: int = 0) -> dict[str, nn.Module]:
    """One encoder a stream: a window of an IMU, a depth image (uint16), a short vector."""
    torch.manual_seed(seed)
    depth = nn.Sequential(DepthInput(10.0), nn.Conv2d(2, 3, 3, stride=2), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten())
    return {
        "imu": nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Tanh()),
        "depth": depth,
        "radar": nn.Linear(3, 2),
    }


def small_model(
    operator: str = "multconcat",
    absent: str = "identity",
    parts: Mapping[str, nn.Module] | None = None,
    head: nn.Module | None = None,
) -> FusionModel:
    """Three streams of different kinds and widths, two outputs; in evaluation mode, weights from a seed."""
    made = dict(parts or encoders())
    torch.manual_seed(1)
    streams = {
        "imu": Stream("vector", made["imu"], 5, {"shape": [4, 3]}, 50.0, 200.0),
        "depth": Stream("depth", made["depth"], 18, {"width": 7, "height": 5}, 100.0, 400.0),
        "radar": Stream("vector", made["radar"], 2, {"shape": [3]}, 100.0, 400.0),
    }
    row = OPERATORS[operator]
    streams = dict(list(streams.items())[: row.exactly])
    head = head or TwoHeads(row.width(len(streams), DIM, row.default_rank))
    outputs: list[ClassOutput | RegressionOutput] = [ClassOutput("way", LABELS), RegressionOutput("speed", ["m/s"])]
    model = FusionModel(streams, operator, DIM, head, outputs, absent="token" if absent == "token" else "identity")
    model.fit_prior("way", torch.tensor([0, 0, 1, 2, 2, 2]))
    model.set_prior("speed", torch.tensor([1.5]))
    return model.eval()


def raw_samples(n: int = 3, seed: int = 0) -> list[dict[str, Array]]:
    """Raw payloads of every stream, as a device would get them."""
    rng = np.random.default_rng(seed)
    return [
        {
            "imu": rng.normal(size=(4, 3)).astype(np.float32),
            "depth": rng.integers(4000, 5500, (10, 14)).astype(np.uint16),
            "radar": rng.normal(size=3).astype(np.float32),
        }
        for _ in range(n)
    ]


def tensors(rows: int, seed: int = 0) -> dict[str, Tensor]:
    """Preprocessed inputs of so many rows."""
    rng = np.random.default_rng(seed)
    return {
        "imu": torch.from_numpy(rng.normal(size=(rows, 4, 3)).astype(np.float32)),
        "depth": torch.from_numpy(rng.integers(0, 9000, (rows, 5, 7)).astype(np.uint16)),
        "radar": torch.from_numpy(rng.normal(size=(rows, 3)).astype(np.float32)),
    }
