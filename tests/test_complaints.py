"""Complaints: every problem of a document is told, each where it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, field

from edgefuse.complaints import Wrong, complaint
from edgefuse.schema import Name, Positive, Strict, validate


class Part(Strict):
    kind: Literal["near", "far"] = "near"
    size_m: Positive
    shape: tuple[Annotated[int, Meta(ge=1)], ...] = ()
    at_m: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.kind == "far" and self.size_m < 1.0:
            raise Wrong((("size_m",), "is too small for what is far"))
        if len(self.shape) == 3:
            raise ValueError("of three is nothing known")


class Whole(Strict):
    parts: dict[Name, Part] = field(default_factory=dict)
    order: Annotated[tuple[Name | Part, ...], Meta(min_length=1)] = ("a",)
    share: Annotated[float, Meta(ge=0.0, le=1.0)] | dict[str, Annotated[float, Meta(ge=0.0, le=1.0)]] | None = None


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"parts": {"a": {"size_m": 0}}}, "parts.a.size_m: expected float > 0.0 (given 0)"),
        ({"parts": {"a": {}}}, "parts.a.size_m: is missing"),
        ({"parts": {"a": None}}, "parts.a: expected mapping, got null (given None)"),
        (
            {"parts": {"A": {"size_m": 1}}},
            r"parts.A: expected str matching regex '^[a-z][a-z0-9_]{0,31}\\Z' (given 'A')",
        ),
        ({"parts": []}, "parts: expected mapping, got list (given [])"),
        ({"parts": {"a": {"size_m": 1, "kind": "off"}}}, "parts.a.kind: must be one of 'near', 'far' (given 'off')"),
        ({"parts": {"a": {"size_m": 1, "kind": 3}}}, "parts.a.kind: must be one of 'near', 'far' (given 3)"),
        ({"parts": {"a": {"size_m": 1, "shape": [1, 0]}}}, "parts.a.shape.1: expected int >= 1 (given 0)"),
        ({"parts": {"a": {"size_m": 1, "at_m": [1, "2"]}}}, "parts.a.at_m.1: expected float, got str (given '2')"),
        ({"parts": {"a": {"size_m": 1, "at_m": [1]}}}, "parts.a.at_m: expected list of length 2, got 1 (given [1])"),
        ({"parts": {"a": {"size_m": 0.5, "kind": "far"}}}, "parts.a.size_m: is too small for what is far"),
        ({"parts": {"a": {"size_m": 1, "shape": [1, 1, 1]}}}, "parts.a: of three is nothing known (given "),
        ({"order": []}, "order: expected list of length >= 1 (given [])"),
        ({"order": ["a", {"size_m": -1}]}, "order.1.size_m: expected float > 0.0 (given -1)"),
        ({"order": ["a", 3]}, "order.1: expected str | mapping, got int (given 3)"),
        ({"share": 1.5}, "share: expected float <= 1.0 (given 1.5)"),
        ({"share": {"a": 1.5}}, "share.a: expected float <= 1.0 (given 1.5)"),
        ({"share": float("inf")}, "share: must be a finite number (given inf)"),
        ({"more": 1, "order": [1]}, "order.0: expected str | mapping, got int (given 1); more: unknown key"),
        ({"parts": {"a": {"sise": 1}}}, "parts.a.sise: unknown key; parts.a.size_m: is missing"),
        ([], "expected mapping, got list (given [])"),
        (None, "expected mapping, got null (given None)"),
    ],
)
def test_what_is_wrong_is_told_with_its_path(document: object, words: str) -> None:
    with pytest.raises(Wrong) as refused:
        validate(Whole, document)
    assert str(refused.value).startswith(words)


def test_a_prefix_leads_every_path() -> None:
    with pytest.raises(Wrong) as refused:
        validate(Whole, {"order": [], "more": 1})
    assert complaint(refused.value, "x") == "x.order: expected list of length >= 1 (given []); x.more: unknown key"
    assert complaint(ValueError("is odd"), "x") == "is odd"


def test_a_long_value_is_not_repeated() -> None:
    with pytest.raises(Wrong) as refused:
        validate(Whole, {"order": "x" * 100})
    assert str(refused.value) == "order: expected list, got str"


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(["near", "a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["parts", "order", "share", "size_m", "kind", "shape", "at_m", "a", "B"]), inner
        )
    ),
    max_leaves=8,
)


@given(plain)
def test_any_document_is_a_model_or_has_its_problems_told_at_places_that_it_has(document: Any) -> None:
    problems = problems_of(document)
    assert problems is None or problems
    for path, what in problems or ():
        assert what
        assert what == "is missing" or found(document, path)


def problems_of(document: Any) -> tuple[tuple[tuple[str, ...], str], ...] | None:
    try:
        validate(Whole, document)
    except Wrong as refused:
        return refused.problems
    return None


def found(document: Any, path: tuple[str, ...]) -> bool:
    for key in path:
        if isinstance(document, Mapping) and key in document:
            document = document[key]
        elif isinstance(document, list) and key.isdecimal() and int(key) < len(document):
            document = document[int(key)]
        else:
            return False
    return True
