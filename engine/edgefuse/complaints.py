"""Complaints: everything that is wrong in a document beside its model, each with its path and in plain words."""

from __future__ import annotations

import re
import types
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

SHORT = 60  # characters of a value that is worth repeating
DEEPEST = 100  # lists and mappings in one another

Path = tuple[str, ...]
Problem = tuple[Path, str]
_INNER = (str, list, dict)
Part = tuple[str, Any, Any]  # a key, the type that it should have, and what was given

_FORMS = {"array": "list", "object": "mapping"}  # a YAML file's words for them


class Wrong(ValueError):
    """What is wrong in a document: of each problem the path to it, as keys and places, and what it is."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return complaint(self)


def complaint(error: ValueError, prefix: str = "") -> str:
    """Every problem of a validation as `path: what`, joined by `; `."""
    if not isinstance(error, Wrong):
        return str(error)
    named = [(".".join(filter(None, (prefix, *path))), what) for path, what in error.problems]
    return "; ".join(f"{path}: {what}" if path else what for path, what in named)


def unsound(document: object) -> list[Problem]:
    """What no document may hold, whatever its model: texts that are none, as JSON can escape half a pair; abysses."""
    found, waiting = list[Problem](), deque[tuple[Path, object]]([((), document)])
    while waiting:
        path, value = waiting.popleft()
        if isinstance(value, str):
            if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
                found.append((path, "holds half of a surrogate pair, which is no text"))
        elif isinstance(value, dict | list) and len(path) >= DEEPEST:
            found.append((path[:3], "is nested too deeply"))
        elif isinstance(value, dict):
            waiting += [(path, key) for key in value]
            waiting += [((*path, _shown(key)), part) for key, part in value.items() if isinstance(part, _INNER)]
        elif isinstance(value, list):
            waiting += [((*path, str(i)), part) for i, part in enumerate(value) if isinstance(part, _INNER)]
    return found


def _shown(key: str) -> str:
    return key if key.isascii() else key.encode(errors="backslashreplace").decode()


def problems(kind: Any, given: object, path: Path = ()) -> Iterator[Problem]:
    """What is wrong with a value beside its type: of its innermost parts where these are wrong by themselves."""
    try:
        msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        inner = [found for key, part, value in _parts(kind, given) for found in problems(part, value, (*path, key))]
        own = list(_keys(kind, given, path))
        yield from [*inner, *own] or _own(kind, given, path, error)


def _own(kind: Any, given: object, path: Path, error: Exception) -> Iterator[Problem]:
    """What is wrong with a value all of whose parts are right: what its model says of them together, or its type."""
    if isinstance(error.__cause__, Wrong):
        yield from (((*path, *inner), what) for inner, what in error.__cause__.problems)
    else:
        yield path, f"{error.__cause__ or _words(kind, given, error)}{_told(given)}"


def _words(kind: Any, given: object, error: Exception) -> str:
    """What msgspec says, without its own idea of the place; choices are named."""
    members = [member for member in _members(kind) if member is not type(None)]
    if float in members and isinstance(given, float) and given - given != 0.0:
        return "must be a finite number"
    choices = [choice for member in members if get_origin(member) is Literal for choice in get_args(member)]
    if choices and (isinstance(given, type(choices[0])) or len(members) == 1):
        return f"must be one of {', '.join(map(repr, choices))}"
    what = str(error).rpartition(" - at `")[0] or str(error)
    return re.sub(r"\b(array|object)\b", lambda found: _FORMS[found[0]], what[:1].lower() + what[1:].replace("`", ""))


def _told(given: object) -> str:
    shown = repr(given)
    return f" (given {shown})" if len(shown) <= SHORT else ""


def _keys(kind: Any, given: object, path: Path) -> Iterator[Problem]:
    """Keys that a model does not know, and keys that it needs."""
    model = next((member for member in _members(kind) if _is_model(member)), None)
    if model is None or not isinstance(given, Mapping):
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(model)}
    if model.__struct_config__.forbid_unknown_fields:
        yield from (((*path, str(key)), "unknown key") for key in given if key not in fields)
    yield from (((*path, n), "is missing") for n, field in fields.items() if field.required and n not in given)


def _parts(kind: Any, given: object) -> Iterator[Part]:
    """What a value is made of, by the member of a union that has its form."""
    for member in _members(kind):
        if isinstance(given, Mapping) and _is_model(member):
            hints = get_type_hints(member, include_extras=True)
            names = {field.encode_name: field.name for field in msgspec.structs.fields(member)}
            yield from ((key, hints[names[key]], value) for key, value in given.items() if key in names)
        elif isinstance(given, Mapping) and get_origin(member) is dict:
            of_key, of_value = get_args(member)
            yield from ((str(key), of_key, key) for key in given)
            yield from ((str(key), of_value, value) for key, value in given.items())
        elif isinstance(given, list | tuple) and get_origin(member) in (tuple, list):
            args = get_args(member)
            each = args * len(given) if len(args) == 1 else args[:1] * len(given) if args[-1] is ... else args
            yield from ((str(i), part, value) for i, (part, value) in enumerate(zip(each, given, strict=False)))


def _members(kind: Any) -> list[Any]:
    """The types that a union allows, each without its limits; of any other type that alone."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) not in (Union, types.UnionType):
        return [kind]
    return [inner for member in get_args(kind) for inner in _members(member)]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
