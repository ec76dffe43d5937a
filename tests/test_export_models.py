"""A FusionModel answers as its operator's formula says, from whatever is present, and from nothing else."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the extra `export` is not installed")

from torch import nn  # noqa: E402

from edgefuse.operators import OPERATORS  # noqa: E402
from edgefuse_export import ClassOutput, ExportError, FusionModel, RegressionOutput, Stream  # noqa: E402
from edgefuse_export.dropout import close_derived, modality_dropout  # noqa: E402
from small_model import LABELS, NAMES, encoders, small_model, tensors  # noqa: E402

MASKS = list(itertools.product((True, False), repeat=3))
ROWS = [row for row in OPERATORS.values() if row.name != "graph"]
POLICIES = [(row.name, "identity") for row in ROWS] + [(row.name, "token") for row in ROWS if row.backend == "kernel"]


def moments(model: FusionModel) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Inputs and masks: one row for every subset of the model's streams."""
    masks = list(itertools.product((True, False), repeat=len(model.streams)))
    inputs = {name: tensor for name, tensor in tensors(len(masks)).items() if name in model.streams}
    return inputs, torch.tensor(masks)


def loss_and_gradients(
    model: FusionModel, inputs: dict[str, torch.Tensor], present: torch.Tensor
) -> list[torch.Tensor]:
    model.zero_grad()
    torch.manual_seed(5)  # some operators draw in training
    answers = model(inputs, present)
    sum(a.square().sum() for a in answers.values()).backward()
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in model.parameters()]
    return [*(a.detach() for a in answers.values()), *gradients]


@pytest.mark.parametrize(("operator", "absent"), POLICIES)
@pytest.mark.parametrize("training", [False, True])
def test_what_lies_in_absent_inputs_changes_neither_outputs_nor_gradients(
    operator: str, absent: str, training: bool
) -> None:
    model = small_model(operator, absent).train(training)
    (clean, present), (poisoned, _) = moments(model), moments(model)
    for i, name in enumerate(model.streams):
        poisoned[name].numpy()[~present[:, i].numpy()] = math.nan if poisoned[name].is_floating_point() else 65535
    before = loss_and_gradients(model, clean, present)
    after = loss_and_gradients(model, poisoned, present)
    assert all(torch.isfinite(value).all() for value in before)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("operator", [row.name for row in ROWS])
def test_a_full_mask_is_no_mask(operator: str) -> None:
    model = small_model(operator)
    inputs, present = moments(model)
    masked = model(inputs, torch.ones_like(present))
    assert all(torch.equal(masked[name], values) for name, values in model(inputs).items())


@pytest.mark.parametrize(("operator", "absent"), POLICIES)
def test_nothing_present_gives_the_prior_and_no_gradient(operator: str, absent: str) -> None:
    model = small_model(operator, absent)
    answers = model({}, torch.zeros(2, len(model.streams), dtype=torch.bool))
    np.testing.assert_allclose(answers["way"][1].detach().exp(), [3 / 9, 2 / 9, 4 / 9], rtol=1e-6)
    assert answers["speed"].tolist() == [[1.5], [1.5]]
    sum(a.sum() for a in answers.values()).backward()
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


def test_a_stream_that_is_not_given_is_absent() -> None:
    model, inputs = small_model(), tensors(2)
    without = torch.tensor([[True, False, True]] * 2)
    given = {name: tensor for name, tensor in inputs.items() if name != "depth"}
    assert torch.equal(model(given)["way"], model(inputs, without)["way"])


def test_a_batch_norm_counts_present_rows_only() -> None:
    whole, part = small_model(), small_model()
    inputs = tensors(6)
    present = torch.ones(6, 3, dtype=torch.bool)
    present[4:, 1] = False
    whole.train()({name: tensor[:4] for name, tensor in inputs.items()})
    part.train()(inputs, present)
    norms = [m for model in (whole, part) for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert torch.equal(norms[0].running_mean, norms[1].running_mean)
    assert norms[0].running_mean.any()


def test_measured_means_are_the_mean_projections() -> None:
    model, inputs = small_model("concat"), tensors(5)
    model.measure_means([{k: v[:3] for k, v in inputs.items()}, {k: v[3:] for k, v in inputs.items()}])
    u = model.fusion.project([e(inputs[n].float()) for n, e in zip(NAMES, model.encoders, strict=True)])
    torch.testing.assert_close(model.means, u.mean(0))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6), st.integers(0, 2**31))
def test_dropout_never_drops_everything(rates: list[float], seed: int) -> None:
    if math.prod(rates) > 0.9:
        rates = [rate / 2 for rate in rates]
    present = modality_dropout(rates, 50, torch.Generator().manual_seed(seed))
    assert present.shape == (50, len(rates))
    assert present.any(1).all()


@pytest.mark.parametrize("rates", [[0.5, 0.1, 0.3, 0.0], [0.7, 0.7], [0.9, 0.2, 0.6]])
def test_dropout_meets_its_rates(rates: list[float]) -> None:
    n = 40_000
    dropped = 1 - modality_dropout(rates, n, torch.Generator().manual_seed(7)).double().mean(0)
    everything = math.prod(rates)
    for have, rate in zip(dropped.tolist(), rates, strict=True):
        want = (rate - everything) / (1 - everything)  # P(i absent | not all absent)
        assert abs(have - want) <= 4.5 * math.sqrt(want * (1 - want) / n)


def test_dropout_repeats_with_its_generator() -> None:
    first, again = (modality_dropout([0.4, 0.4], 30, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, again)


@pytest.mark.parametrize("rates", [[1.0, 1.0], [-0.1, 0.2], [1.2, 0.0], [math.nan, 0.0]])
def test_rates_that_leave_nothing_or_are_no_rates_are_refused(rates: list[float]) -> None:
    with pytest.raises(ExportError, match="drop rates"):
        modality_dropout(rates, 2, torch.Generator())


def test_a_derived_stream_is_never_present_without_its_parent() -> None:
    closed = close_derived(torch.tensor(MASKS), NAMES, {"depth": "imu"})
    assert not (closed[:, 1] & ~closed[:, 0]).any()
    assert torch.equal(closed[:, [0, 2]], torch.tensor(MASKS)[:, [0, 2]])


def vector(dim: int = 2) -> Stream:
    return Stream("vector", nn.Linear(3, dim), dim, {"shape": [3]})


WAY = ClassOutput("way", LABELS)
REFUSED: dict[str, Callable[[], FusionModel]] = {
    "unknown operator 'mean'": lambda: FusionModel({"a": vector()}, "mean", 4, nn.Linear(4, 3), [WAY]),
    "stream 'a': unknown kind 'sonar'": lambda: FusionModel(
        {"a": Stream("sonar", nn.Linear(3, 2), 2)}, "sum", 4, nn.Linear(4, 3), [WAY]
    ),
    "stream 'a': shape: is missing": lambda: FusionModel(
        {"a": Stream("vector", nn.Linear(3, 2), 2)}, "sum", 4, nn.Linear(4, 3), [WAY]
    ),
    "stream 'Front': name": lambda: FusionModel({"Front": vector()}, "sum", 4, nn.Linear(4, 3), [WAY]),
    "'present' is a name": lambda: FusionModel({"present": vector()}, "sum", 4, nn.Linear(4, 3), [WAY]),
    "'way' names two things": lambda: FusionModel({"way": vector()}, "sum", 4, nn.Linear(4, 3), [WAY]),
    "17 streams": lambda: FusionModel({f"s{i}": vector() for i in range(17)}, "sum", 4, nn.Linear(4, 3), [WAY]),
    "0 streams": lambda: FusionModel({}, "sum", 4, nn.Linear(4, 3), [WAY]),
    "at least one output": lambda: FusionModel({"a": vector()}, "sum", 4, nn.Linear(4, 3), []),
    "stream 'a': max_age_ms 10.0 is below fresh_ms 50.0": lambda: FusionModel(
        {"a": Stream("vector", nn.Linear(3, 2), 2, {"shape": [3]}, 50.0, 10.0)}, "sum", 4, nn.Linear(4, 3), [WAY]
    ),
    "derived_from: no stream 'b'": lambda: FusionModel(
        {"a": Stream("vector", nn.Linear(3, 2), 2, {"shape": [3]}, derived_from="b")}, "sum", 4, nn.Linear(4, 3), [WAY]
    ),
    "output 'Way': name": lambda: FusionModel(
        {"a": vector()}, "sum", 4, nn.Linear(4, 1), [RegressionOutput("Way", ["m"])]
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_a_model_that_no_bundle_can_hold_is_refused_by_name(message: str) -> None:
    with pytest.raises(ExportError) as caught:
        REFUSED[message]()
    assert message in str(caught.value)


def test_an_encoder_of_another_width_is_named_with_both_shapes() -> None:
    model = small_model(parts={**encoders(), "radar": nn.Linear(3, 7)})
    with pytest.raises(ExportError, match=r"stream 'radar': the encoder gives \[B, 7\], not \[B, 2\]"):
        model(tensors(2))


def test_streams_may_be_called_like_attributes_of_modules() -> None:
    model = FusionModel({"type": vector(), "keys": vector()}, "gated", 4, nn.Linear(4, 3), [WAY])
    assert model({"type": torch.zeros(2, 3), "keys": torch.zeros(2, 3)})["way"].shape == (2, 3)
