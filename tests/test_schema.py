"""Models: what is no model of its kind cannot be made, and what is one survives as JSON."""

from __future__ import annotations

import datetime
import json
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, field

from edgefuse.complaints import Wrong
from edgefuse.config import LadderStep, RunConfig, StreamConfig
from edgefuse.schema import FileName, Finite, Name, Positive, Strict, changed, document_of, parse, validate


class Leaf(Strict):
    name: Name
    weight: Finite = 1.0
    rates_hz: tuple[Positive, ...] = ()


class Tree(Strict):
    leaves: dict[Name, Leaf] = field(default_factory=dict)
    count: Annotated[int, Meta(ge=0, le=9)] = 0
    file: FileName | None = None
    more: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.count > len(self.leaves):
            raise ValueError(f"count {self.count} is more than there are leaves")


names = st.from_regex(r"\A[a-z][a-z0-9_]{0,5}\Z")
finite = st.floats(allow_nan=False, allow_infinity=False)
leaves = st.builds(Leaf, name=names, weight=finite, rates_hz=st.lists(st.floats(1e-9, 1e9), max_size=3).map(tuple))
trees = st.builds(Tree, leaves=st.dictionaries(names, leaves, max_size=3), file=st.none() | names)


@given(trees)
def test_a_model_survives_as_json(tree: Tree) -> None:
    text = json.dumps(document_of(tree))
    assert validate(Tree, json.loads(text)) == parse(Tree, text) == parse(Tree, text.encode()) == tree


def test_a_document_may_be_asked_for_without_some_fields() -> None:
    assert document_of(Leaf(name="a", rates_hz=(1.0,)), "weight") == {"name": "a", "rates_hz": [1.0]}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tick_hz": "fast"}, "tick_hz: expected float, got str (given 'fast')"),
        ({"tick_hz": True}, "tick_hz: expected float, got bool (given True)"),
        ({"tick_hz": float("nan")}, "tick_hz: must be a finite number (given nan)"),
        ({"threads": 1.0}, "threads: expected int, got float (given 1.0)"),
        ({"seed": 1, "sede": 1}, "sede: unknown key"),
        ({"executor": "outline"}, "executor: must be one of 'inline', 'workers' (given 'outline')"),
    ],
)
def test_a_constructor_checks_what_it_is_given(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(Wrong) as refused:
        RunConfig(**fields)
    assert str(refused.value) == words


def test_a_whole_number_is_a_number() -> None:
    assert type(RunConfig(tick_hz=5).tick_hz) is float


def test_models_made_before_are_parts_of_others() -> None:
    lidar = StreamConfig(fresh_ms=5.0)
    assert RunConfig(streams={"lidar": lidar}).streams["lidar"] is lidar


def test_a_model_cannot_be_changed_but_as_a_copy_that_is_checked() -> None:
    tree = Tree(leaves={"a": Leaf(name="a")}, count=1)
    with pytest.raises(AttributeError):
        tree.count = 0  # type: ignore[misc]
    assert changed(tree, file="a.onnx") == Tree(leaves={"a": Leaf(name="a")}, count=1, file="a.onnx")
    with pytest.raises(Wrong, match="count 1 is more than there are leaves"):
        changed(tree, leaves={})
    assert tree.file is None


def test_an_instance_of_another_model_is_no_model() -> None:
    with pytest.raises(Wrong, match=r"leaves\.a: expected Leaf, got Tree|leaves\.a: expected mapping, got Tree"):
        Tree(leaves={"a": Tree()})  # type: ignore[dict-item]


@pytest.mark.parametrize("name", ["a\n", "A", "", "a" * 33, "ä", "a b", "\na"])
def test_a_name_is_a_name_to_its_last_character(name: str) -> None:
    with pytest.raises(Wrong, match=r"^name: expected str matching regex"):
        Leaf(name=name)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_named_in_text_too(number: str) -> None:
    with pytest.raises(Wrong, match=r"^leaves\.a\.weight: must be a finite number"):
        parse(Tree, f'{{"leaves": {{"a": {{"name": "a", "weight": {number}}}}}}}')


HALF = '"\\ud800"'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f'{{"more": {{"a": ["b", {HALF}]}}}}', "more.a.1: holds half of a surrogate pair, which is no text"),
        (
            f'{{{HALF}: {HALF}, "more": {{{HALF}: 1}}}}',
            "holds half of a surrogate pair, which is no text; \\ud800: holds",
        ),
        (f'{{"leaves": {{"a": {{"name": {HALF}}}}}}}', "leaves.a.name: holds half of a surrogate pair"),
    ],
)
def test_what_is_no_text_is_told_in_words_that_can_be_printed(text: str, words: str) -> None:
    for refusal in (lambda: parse(Tree, text), lambda: validate(Tree, json.loads(text))):
        with pytest.raises(Wrong) as refused:
            refusal()
        assert str(refused.value).startswith(words)
        str(refused.value).encode()


@pytest.mark.parametrize("depth", [150, 990, 100_000])
def test_what_has_no_end_is_a_value_error(depth: int) -> None:
    abyss: Any = []
    for _ in range(depth):
        abyss = [abyss]
    with pytest.raises(ValueError, match="is nested too deeply"):
        validate(Tree, {"more": {"a": abyss}})


def test_a_whole_pair_is_text() -> None:
    assert parse(Tree, '{"more": {"a": "\\ud83d\\ude80"}}').more == {"a": "\U0001f680"}


def test_numpys_numbers_are_numbers_and_a_set_is_no_order() -> None:
    assert RunConfig(tick_hz=np.float64(5.0), seed=np.int64(3)) == RunConfig(tick_hz=5.0, seed=3)  # type: ignore[arg-type]
    with pytest.raises(Wrong, match=r"^providers: expected list, got set"):
        RunConfig(providers={"cuda", "cpu"})  # type: ignore[arg-type]


def test_a_number_that_no_float_holds_is_refused() -> None:
    with pytest.raises(Wrong, match=r"^leaves\.a\.weight: "):
        validate(Tree, {"leaves": {"a": {"name": "a", "weight": 10**400}}})


def test_a_ladder_has_one_form_however_it_was_written() -> None:
    step = LadderStep(rung="hold")
    assert RunConfig(ladder=("hold",)) == RunConfig(ladder=(step,))
    assert StreamConfig(ladder=("hold", step)).ladder == (step, step)
    assert document_of(RunConfig(ladder=("hold",)))["ladder"] == [document_of(step)]


@pytest.mark.parametrize("text", ["", "{", "nan", '{"leaves": {}', "[" * 100_000, b"\xff", "'a'"])
def test_what_is_no_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        parse(Tree, text)


def test_what_no_json_can_hold_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="date is not JSON serializable"):
        validate(Tree, {"more": {"day": datetime.date(2026, 1, 1)}})
