"""What each stream made of an answer: Shapley values against permutations and the axioms; and what-if answers."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefuse import bundle as bundles
from edgefuse import kernels
from edgefuse.attribution import Attribution
from edgefuse.config import RunConfig
from edgefuse.engine import Engine
from edgefuse.errors import ConfigError, UsageError
from edgefuse.session import Session
from tiny import CLASSES, KERNEL_OPERATORS, PRIOR, Tiny, dims_for, linear

EXPLAIN = RunConfig(explain=True)
NEAR: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture
def tiny() -> Tiny:
    return Tiny({"a": 3, "b": 5, "c": 4, "d": 2})


@pytest.fixture
def engine(tiny: Tiny, tmp_path: Path) -> Engine:
    return Engine(tiny.write(tmp_path / "t.efb"), EXPLAIN)


def permutation_truth(tiny: Tiny, samples: Mapping[str, Any]) -> dict[str, Any]:
    """The mean over all orders of what each stream adds when it joins, in float64 by the formula of the model."""

    def value(names: tuple[str, ...]) -> Any:
        return tiny.truth({n: samples[n] for n in sorted(names)}) if names else np.array(PRIOR)

    phi = {name: np.zeros(len(CLASSES)) for name in samples}
    orders = list(itertools.permutations(samples))
    for order in orders:
        for k, name in enumerate(order):
            phi[name] += (value(order[: k + 1]) - value(order[:k])) / len(orders)
    return phi


@pytest.mark.parametrize("operator", KERNEL_OPERATORS)
def test_every_operator_shares_out_as_the_average_over_all_orders(operator: str, tmp_path: Path) -> None:
    tiny = Tiny(dims_for(operator, 4), operator)
    samples = tiny.samples()
    engine = Engine(tiny.write(tmp_path / "t.efb"), EXPLAIN)
    result = engine.answer(samples)
    truth = permutation_truth(tiny, samples)
    assert list(result.attribution["way"]) == list(tiny.dims)
    for name, phi in truth.items():
        np.testing.assert_allclose(result.attribution["way"][name], phi, **NEAR)


def with_head(tiny: Tiny, path: Path, then: str = "Identity") -> Engine:
    """Behind a head that takes many rows at once and is declared linear."""
    fields, files = tiny.fields(), tiny.files()
    fields["head"]["linear"] = True
    files["head.onnx"] = linear("head", "fused", "way", *tiny.head, "B", then)
    return Engine(bundles.write(path, fields, files), EXPLAIN)


@pytest.mark.parametrize("operator", KERNEL_OPERATORS)
def test_behind_a_linear_head_every_operator_shares_out_the_same(operator: str, tmp_path: Path) -> None:
    tiny = Tiny(dims_for(operator, 4), operator)
    samples = tiny.samples()
    result = with_head(tiny, tmp_path / "t.efb").answer(samples)
    for name, phi in permutation_truth(tiny, samples).items():
        np.testing.assert_allclose(result.attribution["way"][name], phi, **NEAR)


def test_behind_a_linear_head_one_kernel_answers_all_subsets_and_one_where_it_is_not_does_not(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    kernel = kernels.subset_head
    monkeypatch.setattr(kernels, "subset_head", lambda *given: (asked.append(len(given[1])), kernel(*given)))
    samples = tiny.samples()
    with_head(tiny, tmp_path / "t.efb").answer(samples)
    assert asked == [14]
    lying = with_head(tiny, tmp_path / "u.efb", then="Tanh").answer(samples)
    assert asked == [14]
    total = sum(lying.attribution["way"].values())
    np.testing.assert_allclose(total, np.tanh(tiny.truth(samples)) - np.array(PRIOR), **NEAR)


def test_the_first_explained_answer_waits_for_nothing_that_could_be_known_before(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = with_head(tiny, tmp_path / "t.efb")
    monkeypatch.setattr(Attribution, "_drawn_up", lambda *_: pytest.fail("drawn up at a tick"))
    monkeypatch.setattr(Session, "compute", lambda *_: pytest.fail("asked at a tick"))
    assert engine.answer(tiny.samples()).attribution


def test_behind_a_linear_head_garbage_of_an_absent_stream_changes_nothing(tiny: Tiny, tmp_path: Path) -> None:
    samples = tiny.samples()
    there = {name: samples[name] for name in ("b", "d")}
    engine = with_head(tiny, tmp_path / "t.efb")
    first = engine.answer(there).attribution["way"]
    engine.answer({**samples, "a": samples["a"] * np.float32(1e30)})
    again = engine.answer(there).attribution["way"]
    assert all(again[name].tobytes() == first[name].tobytes() for name in samples)
    assert (again["a"] == 0.0).all()


def test_the_parts_sum_to_what_the_answer_adds_to_the_prior(engine: Engine, tiny: Tiny) -> None:
    samples = tiny.samples()
    for names in itertools.chain.from_iterable(itertools.combinations(samples, k) for k in range(5)):
        result = engine.answer({name: samples[name] for name in names})
        total = sum(result.attribution["way"].values())
        np.testing.assert_allclose(total, result.outputs["way"] - np.array(PRIOR), **NEAR)


def test_an_absent_stream_has_made_exactly_nothing_and_the_rest_is_a_game_of_its_own(
    engine: Engine, tiny: Tiny
) -> None:
    samples = {name: value for name, value in tiny.samples().items() if name in ("b", "d")}
    attribution = engine.answer(samples).attribution["way"]
    assert (attribution["a"] == 0.0).all() and (attribution["c"] == 0.0).all()
    for name, phi in permutation_truth(tiny, samples).items():
        np.testing.assert_allclose(attribution[name], phi, **NEAR)


def test_two_equal_streams_have_made_the_same(tmp_path: Path) -> None:
    tiny = Tiny({"a": 3, "b": 3, "c": 4}, "sum")
    tiny.encoders["b"] = tiny.encoders["a"]
    for key in ("weight", "bias"):
        tiny.parameters[f"b.{key}"] = tiny.parameters[f"a.{key}"]
    samples = tiny.samples()
    samples["b"] = samples["a"]
    made = Engine(tiny.write(tmp_path / "t.efb"), EXPLAIN).answer(samples).attribution["way"]
    np.testing.assert_allclose(made["a"], made["b"], **NEAR)


def test_a_derived_stream_never_plays_without_its_parent(tiny: Tiny, tmp_path: Path) -> None:
    streams = tiny.fields()["streams"]
    streams[1]["derived_from"] = "a"
    samples = tiny.samples()
    made = Engine(tiny.write(tmp_path / "t.efb", streams=streams), EXPLAIN).answer(samples).attribution["way"]

    def value(names: frozenset[str]) -> Any:
        there = names - (frozenset() if "a" in names else {"b"})
        return tiny.truth({n: samples[n] for n in sorted(there)}) if there else np.array(PRIOR)

    phi = np.zeros(len(CLASSES))
    orders = list(itertools.permutations(samples))
    for order in orders:
        before = frozenset(order[: order.index("b")])
        phi += (value(before | {"b"}) - value(before)) / len(orders)
    np.testing.assert_allclose(made["b"], phi, **NEAR)


def test_what_stands_in_for_a_lost_stream_stands_in_here_too(tiny: Tiny, tmp_path: Path) -> None:
    fallback = {"ladder": ["hold", "mean"], "blocks": ["mean", "token"], "file": "fallback.bin"}
    engine = Engine(tiny.write(tmp_path / "t.efb", fallback=fallback), EXPLAIN)
    samples = tiny.samples()
    made = engine.answer(samples).attribution["way"]
    means = dict(zip(tiny.dims, tiny.blocks["mean"], strict=True))

    def value(names: tuple[str, ...]) -> Any:
        if not names:
            return np.array(PRIOR)
        return tiny.truth({n: samples[n] for n in sorted(names)}, {n: means[n] for n in samples if n not in names})

    phi = np.zeros(len(CLASSES))
    orders = list(itertools.permutations(samples))
    for order in orders:
        k = order.index("c")
        phi += (value(order[: k + 1]) - value(order[:k])) / len(orders)
    np.testing.assert_allclose(made["c"], phi, **NEAR)


def test_explaining_changes_no_answer(engine: Engine, tiny: Tiny, tmp_path: Path) -> None:
    plain = Engine(tiny.write(tmp_path / "p.efb"))
    for k in range(5):
        samples = {n: v for i, (n, v) in enumerate(tiny.samples().items()) if (k >> i) % 2 == 0}
        asked, unasked = engine.answer(samples), plain.answer(samples)
        assert asked.outputs["way"].tobytes() == unasked.outputs["way"].tobytes()
        assert unasked.attribution == {}
        assert "attribution" not in unasked.as_json()


def test_a_line_holds_the_parts_as_numbers(engine: Engine, tiny: Tiny) -> None:
    result = engine.answer(tiny.samples())
    told = result.as_json()["attribution"]
    assert told == {"way": {name: [float(v) for v in phi] for name, phi in result.attribution["way"].items()}}


def test_too_many_streams_for_exact_values_are_refused(tmp_path: Path) -> None:
    tiny = Tiny({f"s{k}": 1 for k in range(13)}, "sum")
    with pytest.raises(ConfigError, match="explain: exact Shapley values are for up to 12 streams"):
        Engine(tiny.write(tmp_path / "t.efb"), EXPLAIN)


def test_what_if_is_what_the_answer_would_have_been(engine: Engine, tiny: Tiny) -> None:
    samples = tiny.samples()
    engine.answer(samples)
    for lost in (("a",), ("b", "d"), ("a", "b", "c"), ()):
        supposed = engine.what_if(*lost)
        engine.answer(samples)
        real = engine.answer({n: v for n, v in samples.items() if n not in lost})
        np.testing.assert_allclose(supposed.outputs["way"], real.outputs["way"], **NEAR)
        assert supposed.mode == real.mode
        assert all(supposed.streams[n].reason == "what_if" for n in lost)
        engine.answer(samples)


def test_what_if_nothing_were_left_is_blind(engine: Engine, tiny: Tiny) -> None:
    engine.answer(tiny.samples())
    supposed = engine.what_if(*tiny.dims)
    assert supposed.mode == "blind"
    np.testing.assert_array_equal(supposed.outputs["way"], np.array(PRIOR, np.float32))


def test_asking_what_if_changes_nothing_of_the_engine(tiny: Tiny, tmp_path: Path) -> None:
    asked, unasked = (Engine(tiny.write(tmp_path / f"{k}.efb")) for k in range(2))
    samples = tiny.samples()
    for engine in (asked, unasked):
        for name, value in samples.items():
            engine.push(name, 0, value)
        engine.step(10)
    asked.what_if("a", "c")
    one, other = asked.step(20), unasked.step(20)
    assert one.outputs["way"].tobytes() == other.outputs["way"].tobytes()
    assert asked.accounts() == unasked.accounts()


def test_what_if_needs_an_answer_and_a_stream_that_there_is(engine: Engine, tiny: Tiny) -> None:
    with pytest.raises(UsageError, match="what_if: no answer has been made yet"):
        engine.what_if("a")
    engine.answer(tiny.samples())
    with pytest.raises(UsageError, match="what_if: no stream 'zebra'"):
        engine.what_if("zebra")
