"""Strict, frozen pydantic models and one way to say what is wrong in them: the base of manifest and configuration."""

from __future__ import annotations

import json
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,31}$"

FILE_PATTERN = r"^([a-z][a-z0-9_]{0,31}/){0,2}[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
FileName = Annotated[str, Field(pattern=FILE_PATTERN)]
Dim = Annotated[int, Field(ge=1, le=1 << 16)]


def _finite(value: float) -> float:
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError("must be a finite number")
    return value


Finite = Annotated[float, AfterValidator(_finite)]
Positive = Annotated[float, Field(gt=0.0), AfterValidator(_finite)]
NotNegative = Annotated[float, Field(ge=0.0), AfterValidator(_finite)]
# Durations that a program can count in nanoseconds: from a microsecond up to some eleven days.
Milliseconds = Annotated[float, Field(ge=1e-3, le=1e9)]
WaitMs = Annotated[float, Field(ge=0.0, le=1e9)]
Bounded = Annotated[float, Field(gt=0.0, le=1e6)]  # metres, seconds, metres per second of anything on this planet
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class Strict(BaseModel):
    """Frozen; unknown keys and loose types are refused, never mended."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


Model = TypeVar("Model", bound=Strict)


def validate(model: type[Model], document: object) -> Model:
    """Check a document that came from a text format (so lists stand for tuples) against a model.

    Raises ValidationError, or ValueError for values that no JSON can hold, such as YAML dates.
    """
    try:
        return model.model_validate_json(json.dumps(document))
    except TypeError as error:
        raise ValueError(str(error)) from error


def complaint(error: ValueError, prefix: str = "") -> str:
    """Every problem of a validation as `path: what`, joined by `; `, with what was given where it is short."""
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(_one(problem, prefix) for problem in error.errors(include_url=False))


def _one(problem: ErrorDetails, prefix: str) -> str:
    path = ".".join([prefix, *(str(part) for part in problem["loc"])]).strip(".")
    if problem["type"] == "extra_forbidden":
        return f"{path}: unknown key"
    message = str(problem["msg"]).removeprefix("Value error, ")
    given = repr(problem["input"])
    tail = f" (given {given})" if len(given) <= 60 and problem["type"] != "missing" else ""
    return f"{path}: {message}{tail}" if path else f"{message}{tail}"
