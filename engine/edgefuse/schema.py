"""Strict, frozen models that cannot be made wrong, and one way to say what is: base of manifest and configuration."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import numpy as np
from msgspec import Meta
from msgspec.structs import asdict

from edgefuse.complaints import Wrong, problems, unsound

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:  # what type checkers read is not needed to run

    def dataclass_transform(**_):  # noqa: D103
        return lambda model: model


# Ends in \Z, as $ lets a newline pass.
NAME_PATTERN = r"^[a-z][a-z0-9_]{0,31}\Z"

FILE_PATTERN = r"^([a-z][a-z0-9_]{0,31}/){0,2}[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"

LARGEST = sys.float_info.max

Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
FileName = Annotated[str, Meta(pattern=FILE_PATTERN)]
Dim = Annotated[int, Meta(ge=1, le=1 << 16)]
Finite = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
Positive = Annotated[float, Meta(gt=0.0, le=LARGEST)]
NotNegative = Annotated[float, Meta(ge=0.0, le=LARGEST)]
# Durations that a program can count in nanoseconds: from a microsecond up to some eleven days.
Milliseconds = Annotated[float, Meta(ge=1e-3, le=1e9)]
WaitMs = Annotated[float, Meta(ge=0.0, le=1e9)]
Bounded = Annotated[float, Meta(gt=0.0, le=1e6)]  # metres, seconds, metres per second of anything on this planet
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]


class _Checking(msgspec.StructMeta):
    """Of frozen models, whose constructor takes names alone and checks what it is given as a document is checked."""

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any], **options: Any) -> Any:
        return super().__new__(mcs, name, bases, body, **{**options, "kw_only": True})  # what no child inherits

    if not TYPE_CHECKING:  # which would take it for the signature of every model

        def __call__(cls, **fields):
            return _checked(cls, {name: _plain(name, value) for name, value in fields.items()})


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, metaclass=_Checking):
    """Frozen; unknown keys and loose types are refused, never mended. A constructor raises `Wrong`."""


Model = TypeVar("Model", bound=msgspec.Struct)


def validate(model: type[Model], document: object) -> Model:
    """Check a document that came from a text format (so lists stand for tuples) against a model.

    Raises `Wrong`, or ValueError for values that no JSON can hold, such as YAML dates.
    """
    try:
        plain = json.loads(json.dumps(document))
    except TypeError as error:
        raise ValueError(str(error)) from error
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    return _sound(model, plain)


def parse(model: type[Model], text: str | bytes) -> Model:
    """A model that JSON text holds. Raises `Wrong`, or ValueError for text that is no JSON."""
    try:
        return msgspec.json.decode(text, type=model)
    except (msgspec.DecodeError, RecursionError):
        return _sound(model, _read(text))


def _read(text: str | bytes) -> object:
    """By Python's reader, which takes NaN, so that the field which holds it can be named."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error


def _sound(model: type[Model], document: object) -> Model:
    if found := unsound(document):
        raise Wrong(*found)
    return _checked(model, document)


def _plain(name: str, value: object) -> object:
    """What a constructor was given, NumPy's numbers as Python's; a set is refused, which has no order."""
    if isinstance(value, set | frozenset):
        raise Wrong(((name,), f"expected list, got {type(value).__name__}"))
    return value.item() if isinstance(value, np.generic) else value


def _checked(model: type[Model], document: object) -> Model:
    try:
        return msgspec.convert(document, model)
    except msgspec.ValidationError as error:
        raise Wrong(*problems(model, document)) from error


def changed(model: Model, **fields: Any) -> Model:
    """A copy with some fields of other values, checked as a whole."""
    return type(model)(**{**asdict(model), **fields})


def document_of(model: msgspec.Struct, *without: str) -> dict[str, Any]:
    """The model as JSON would hold it, lists for tuples; without some of its fields."""
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(model))
    return {name: value for name, value in document.items() if name not in without}
