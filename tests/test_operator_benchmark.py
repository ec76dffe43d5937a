"""The operator benchmark gives every operator the same, repeats bit for bit, and never trains twice what it has."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `export` is not installed")

from edgefuse.operators import OPERATORS  # noqa: E402
from edgefuse_export import ExportError, FusionModel, benchmark_training  # noqa: E402
from edgefuse_export import benchmark as benchmarks  # noqa: E402
from edgefuse_export.benchmark import benchmark, chosen, fingerprint  # noqa: E402
from edgefuse_export.benchmark_store import NAME, Outcome, Store, Unit  # noqa: E402
from edgefuse_export.benchmark_training import (  # noqa: E402
    OUTPUT,
    Protocol,
    Shape,
    _batches,
    fresh_model,
    measure,
    trained,
)
from edgefuse_export.digits import split, stratified_folds  # noqa: E402
from edgefuse_export.labelled import Labelled  # noqa: E402
from edgefuse_export.workers import _in_turn  # noqa: E402
from small_digits import FILES, small_digits  # noqa: E402

torch.set_num_threads(1)  # small tensors: threads on shared cores would mostly wait for each other

TINY = Protocol(folds=2, seeds=1, epochs=2, batch=16)
PAIR = ["sum", "multconcat"]


@pytest.fixture(scope="module")
def data() -> Labelled:
    views, labels = small_digits()
    return Labelled({name: view.astype(np.float32) for name, view in views.items()}, labels)


def quiet(outcomes: Iterator[Outcome], total: int) -> Iterator[Outcome]:
    return outcomes


def forbidden(*_: object) -> Outcome:
    raise AssertionError("trained again")


def test_every_operator_of_the_table_is_compared_but_those_that_cannot_join_six() -> None:
    names = chosen(None)
    assert names == [name for name in OPERATORS if name not in ("gmu", "gated_fusion", "graph")]
    assert chosen("sum, product,sum") == ["sum", "product"]


def test_an_unknown_operator_is_refused_by_name() -> None:
    with pytest.raises(ExportError, match="unknown operator 'mean'; known: concat, sum"):
        chosen("sum,mean")
    with pytest.raises(ExportError, match="operator 'gmu' cannot join 6 vectors"):
        chosen("concat,gmu")


@pytest.mark.parametrize("operator", chosen(None))
def test_a_model_takes_six_views_to_ten_classes(operator: str, data: Labelled) -> None:
    model = fresh_model(operator, TINY).eval()
    inputs = {name: torch.from_numpy(view[:3]) for name, view in data.tensors.items()}
    some = torch.tensor([[True] * 6, [False] * 5 + [True], [True, False] * 3])
    logits = model(inputs, some)[OUTPUT]
    assert logits.shape == (3, 10)
    assert torch.isfinite(logits).all()


def test_all_operators_begin_with_the_same_encoders() -> None:
    models = []
    for operator in PAIR:
        torch.manual_seed(5)
        models.append(fresh_model(operator, TINY))
    weights = [{k: v for k, v in model.state_dict().items() if k.startswith("encoders.")} for model in models]
    assert len(weights[0]) == 24
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_shape_of_its_own_belongs_to_an_operator_that_needs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(benchmark_training.SHAPES, "average", Shape(10, "identity"))  # type: ignore[index]
    model = fresh_model("average", TINY)
    assert model.fusion.dim == 10
    assert isinstance(model.head, torch.nn.Identity)
    assert fresh_model("sum", TINY).fusion.dim == 32


def test_what_is_measured_is_the_model_itself_in_evaluation_mode(
    data: Labelled, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[FusionModel] = []

    def watched(*arguments: Any) -> tuple[FusionModel, float]:
        model, loss = trained(*arguments)
        assert not model.training
        seen.append(model)
        return model, loss

    monkeypatch.setattr(benchmark_training, "trained", watched)
    outcome = measure(data, TINY, Unit("multconcat", 0, 1))
    _, test = split(data, stratified_folds(data.labels, 2, 0)[1])
    (model,) = seen
    assert type(model) is FusionModel
    assert len(outcome.accuracy) == 63
    for subset in ("fourier+profiles+karhunen+pixels+zernike+morphology", "pixels+morphology", "zernike"):
        inputs = {name: torch.from_numpy(test.tensors[name]) for name in subset.split("+")}
        right = model(inputs)[OUTPUT].argmax(1).numpy() == test.labels
        assert outcome.accuracy[subset] == pytest.approx(right.mean())


def test_an_epoch_shows_every_row_once_with_views_dropped(data: Labelled) -> None:
    protocol = Protocol(batch=16, drop_rate=0.4)
    generator = torch.Generator().manual_seed(0)
    epochs = [list(_batches(data, protocol, generator)) for _ in range(100)]
    for batches in epochs:
        assert [len(labels) for _, _, labels in batches] == [16, 16, 16, 12]
        pixels = torch.cat([inputs["pixels"] for inputs, _, _ in batches])
        assert sorted(pixels[:, 0].tolist()) == sorted(data.tensors["pixels"][:, 0].tolist())
    present = torch.cat([masks for batches in epochs for _, masks, _ in batches])
    assert present.any(1).all()
    # 36,000 coins; a row that lost all is drawn again, which raises 0.6 to 0.6 / (1 - 0.4^6).
    assert abs(float(present.float().mean()) - 0.6 / (1 - 0.4**6)) < 0.02


def test_training_learns(data: Labelled) -> None:
    outcome = measure(data, replace(TINY, epochs=40), Unit("concat", 0, 0))
    assert outcome.loss is not None and outcome.loss < 1.0
    assert outcome.accuracy["+".join(FILES)] > 0.6


def test_one_worker_and_two_give_the_same(data: Labelled, tmp_path: Path) -> None:
    alone = benchmark(data, PAIR, TINY, tmp_path / "one", 1, quiet)
    assert benchmark(data, PAIR, TINY, tmp_path / "two", 2, quiet) == alone
    assert [o.unit for o in alone] == [Unit(name, 0, fold) for name in PAIR for fold in (0, 1)]
    assert alone[0].accuracy != alone[1].accuracy


def test_a_training_leaves_torch_as_it_found_it(data: Labelled) -> None:
    torch.set_num_threads(2)
    try:
        before = torch.random.get_rng_state()
        measure(data, TINY, Unit("sum", 0, 0))
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.random.get_rng_state(), before)
    finally:
        torch.set_num_threads(1)


def test_workers_are_begun_deaf_to_ctrl_c() -> None:
    heard = []
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background begins deaf itself

    def begin(units: Iterator[Unit]) -> set[Any]:
        heard.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        return set()

    try:
        assert list(_in_turn(iter(()), 2, begin)) == []
        assert signal.SIGINT in heard[0]
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        signal.signal(signal.SIGINT, inherited)


def test_a_ctrl_c_while_workers_are_begun_is_heard_right_after() -> None:
    inherited, begun = signal.signal(signal.SIGINT, signal.default_int_handler), []

    def begin(units: Iterator[Unit]) -> set[Any]:
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        begun.append("all of them")
        return set()

    try:
        with pytest.raises(KeyboardInterrupt):
            list(_in_turn(iter(()), 2, begin))
    finally:
        signal.signal(signal.SIGINT, inherited)
    assert begun == ["all of them"]


def test_what_is_finished_is_not_trained_again(data: Labelled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = benchmark(data, ["sum"], TINY, tmp_path, 1, quiet)
    with monkeypatch.context() as patched:
        patched.setattr(benchmarks, "measure", forbidden)
        assert benchmark(data, ["sum"], TINY, tmp_path, 1, quiet) == first
        with pytest.raises(AssertionError, match="trained again"):
            benchmark(data, ["sum"], replace(TINY, epochs=3), tmp_path, 1, quiet)
    more = benchmark(data, PAIR, replace(TINY, seeds=2), tmp_path, 1, quiet)
    assert more[:2] == first
    assert len((tmp_path / NAME).read_text().splitlines()) == 8


def test_the_fingerprint_tells_data_and_protocol_apart_but_not_how_often(data: Labelled) -> None:
    changed = Labelled({name: view + 1.0 for name, view in data.tensors.items()}, data.labels)
    assert fingerprint(data, TINY) == fingerprint(data, replace(TINY, seeds=7))
    assert len({fingerprint(data, TINY), fingerprint(data, replace(TINY, folds=3)), fingerprint(changed, TINY)}) == 3


def test_an_interruption_keeps_what_was_finished(
    data: Labelled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(outcomes: Iterator[Outcome], total: int) -> Iterator[Outcome]:
        yield next(outcomes)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        benchmark(data, PAIR, TINY, tmp_path, 1, interrupted)
    assert len(Store(tmp_path, fingerprint(data, TINY)).outcomes) == 1
    assert len(benchmark(data, PAIR, TINY, tmp_path, 1, quiet)) == 4


def killed(*_: object) -> Outcome:
    os._exit(9)


def test_a_worker_that_is_killed_ends_the_run_instead_of_hanging_it(
    data: Labelled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmarks, "measure", killed)
    with pytest.raises(ExportError, match="a worker process was killed; what was finished is kept"):
        benchmark(data, PAIR, TINY, tmp_path, 2, quiet)
