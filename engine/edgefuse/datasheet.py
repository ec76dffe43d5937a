"""The datasheet: what export measured for every subset of streams, so that each answer can say what to expect of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import Field

from edgefuse.bundle import Bundle, strict_json
from edgefuse.errors import BundleError
from edgefuse.schema import Finite, Name, Strict, complaint, validate
from edgefuse.types import Expected


class SubsetFigure(Strict):
    """The metric with exactly these streams present, over n held-out samples, within [low, high] at 95 %."""

    streams: Annotated[tuple[Name, ...], Field(min_length=1)]
    value: Finite
    low: Finite
    high: Finite
    n: Annotated[int, Field(ge=1)]


class Datasheet(Strict):
    """`datasheet.json`: one metric, the data it was measured on in words, and a figure for each subset."""

    schema_version: Literal[1] = 1
    metric: str
    split: str
    subsets: tuple[SubsetFigure, ...]

    def expected(self) -> Mapping[frozenset[str], Expected]:
        """Subset of stream names -> what to expect of it."""
        return {frozenset(f.streams): Expected(self.metric, f.value, f.low, f.high, f.n) for f in self.subsets}


def read_datasheet(bundle: Bundle) -> Datasheet | None:
    """The bundle's datasheet, None where it has none; a BundleError naming the field where it is malformed."""
    name = bundle.manifest.datasheet
    if name is None:
        return None
    place = bundle.place(name)
    try:
        sheet = validate(Datasheet, strict_json(bundle[name], place))
    except ValueError as error:
        raise BundleError(complaint(error), place=place) from error
    _check_names(sheet.subsets, bundle.manifest.stream_names, place)
    return sheet


def _check_names(figures: Iterable[SubsetFigure], known: tuple[str, ...], place: str) -> None:
    for i, figure in enumerate(figures):
        for stream in figure.streams:
            if stream not in known:
                raise BundleError(f"subsets.{i}.streams: no stream {stream!r} in the manifest", place=place)
