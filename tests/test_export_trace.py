"""A traced graph computes what its module computes, to the last constant, and keeps the names it was given."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `export` is not installed")
pytest.importorskip("onnxscript", reason="the extra `export` is not installed")

from torch import nn  # noqa: E402

from edgefuse.session import Session  # noqa: E402
from edgefuse_export.trace import graphs_of, traced  # noqa: E402


class Careful(nn.Module):
    """Divides by what may be zero, and scales by what is nearly one."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / (x.abs() + 1e-9) * 1.000001


class Chosen(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = torch.cond(x.sum() > 0, lambda x: x + 1.0, lambda x: x * 2.0, (x,))
        return y


def answer(module: nn.Module, x: np.ndarray) -> np.ndarray:
    proto = traced(module, {"x": torch.zeros(2, 3)}, ["y"], "the module")
    return Session(proto.SerializeToString(), "traced").compute({"x": x})["y"]


def test_an_addend_too_small_to_see_still_keeps_zero_from_dividing() -> None:
    x = np.array([[0.0, 1e-9, -3.0]], np.float32)
    np.testing.assert_array_equal(answer(Careful(), x), Careful()(torch.tensor(x)).numpy())


def test_a_module_that_does_nothing_is_a_graph_with_both_names() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(answer(nn.Identity(), x), x)


def test_nothing_of_where_it_was_made_is_left_at_any_depth() -> None:
    proto = traced(Chosen(), {"x": torch.zeros(2, 3)}, ["y"], "the module")
    graphs = list(graphs_of(proto.graph))
    assert len(graphs) == 3
    things = [thing for graph in graphs for thing in (graph, *graph.node)]
    assert not any(thing.doc_string or thing.metadata_props for thing in things)
