"""The datasheet: what export measured for every subset of streams, age and rung, so that each answer can say it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta
from msgspec.structs import replace

from edgefuse.bundle import Bundle, strict_json
from edgefuse.calibration import NONE, Calibration
from edgefuse.complaints import complaint
from edgefuse.errors import BundleError
from edgefuse.manifest import OutputSpec
from edgefuse.schema import Finite, Fraction, Name, NotNegative, Positive, Strict, validate
from edgefuse.types import Expected, Rung, Trust

Z_95 = 1.959963984540054  # standard deviations on either side of a normal mean that hold 95 %
Better = Literal["higher", "lower"]


class Figure(Strict):
    """A metric over n held-out samples, within [low, high] at 95 %; of so many recordings, where samples are alike."""

    value: Finite
    low: Finite
    high: Finite
    n: Annotated[int, Meta(ge=1)]
    recordings: Annotated[int, Meta(ge=1)] | None = None


class SubsetFigure(Figure):
    """With exactly these streams present.

    temperature, bias   of the output: its probabilities are softmax(logits / temperature + bias)
    ece           their expected calibration error
    latency_ms    median of what these streams cost on `latency_of`: encoders, fusion and head, nothing cached
    """

    streams: Annotated[tuple[Name, ...], Meta(min_length=1)]
    temperature: Positive = 1.0
    bias: tuple[Finite, ...] = ()
    ece: Fraction | None = None
    latency_ms: NotNegative | None = None


class RungFigure(Figure):
    """With these streams present, and every other one on this rung of the fallback ladder."""

    streams: Annotated[tuple[Name, ...], Meta(min_length=1)]
    rung: Rung


class AgeFigure(Figure):
    """With every stream present, this one's sample older than the others' by age_ms."""

    stream: Name
    age_ms: NotNegative


class Estimate(Strict):
    """What to expect of subsets that were not measured: of k streams, base + the worth of each + curve k^2.

    error: its root mean square over measured subsets, each told from the others.
    """

    base: Finite
    worth: dict[Name, Finite]
    curve: Finite
    error: NotNegative

    def of(self, streams: Collection[str]) -> float:
        """Of a subset."""
        return self.base + sum(self.worth[name] for name in streams) + self.curve * len(streams) ** 2


class Datasheet(Strict):
    """`datasheet.json`: one metric of one output, the data it was measured on in words, and the figures.

    better           whether more of the metric or less is good
    subset_trained   was the model trained to answer from subsets? None where nobody said
    latency_of       the machine that latencies were measured on
    estimate         for the other subsets, where there are too many to measure them all
    """

    schema_version: Literal[1] = 1
    metric: str
    better: Better = "higher"
    output: Name | None = None
    split: str
    subset_trained: bool | None = None
    latency_of: str | None = None
    subsets: tuple[SubsetFigure, ...]
    rungs: tuple[RungFigure, ...] = ()
    ages: tuple[AgeFigure, ...] = ()
    estimate: Estimate | None = None

    def expected(self) -> Mapping[frozenset[str], Expected]:
        """Subset of stream names -> what to expect of it."""
        return {
            frozenset(f.streams): Expected(self.metric, f.value, f.low, f.high, f.n, self.better) for f in self.subsets
        }

    def calibrations(self) -> Mapping[frozenset[str], Calibration]:
        """Subset of stream names -> what makes its logits probabilities."""
        return {frozenset(f.streams): Calibration(f.temperature, f.bias, self.output) for f in self.subsets}

    def latency_ms(self, stream: str) -> float:
        """What an answer from this stream alone took where that was measured; else no bound is known (infinity)."""
        found = (f.latency_ms for f in self.subsets if f.streams == (stream,))
        return next((latency for latency in found if latency is not None), math.inf)

    def age_curve(self, stream: str) -> list[AgeFigure]:
        """The figures of one stream by its age, the youngest first."""
        return sorted((f for f in self.ages if f.stream == stream), key=lambda f: f.age_ms)

    def worse(self, one: float, other: float) -> bool:
        """Is one worse than the other?"""
        return one < other if self.better == "higher" else one > other

    def hold_until_ms(self, stream: str) -> float | None:
        """The age beyond which an answer was better without this stream than with its old sample; None: none measured.

        Where old samples were still worth having at the oldest age measured, it is that age.
        """
        curve, names = self.age_curve(stream), {s for f in self.subsets for s in f.streams}
        without = self.expected().get(frozenset(names - {stream}))
        if not curve or without is None:
            return None
        worth = [f.age_ms for f in curve if not self.worse(f.value, without.value)]
        lost = [f.age_ms for f in curve if self.worse(f.value, without.value)]
        return max((age for age in worth if not lost or age < min(lost)), default=0.0)


class Expectations:
    """What the datasheet says to expect of answers; without a datasheet, nothing."""

    def __init__(self, sheet: Datasheet | None) -> None:
        self._sheet, self._figures = sheet, sheet.expected() if sheet else {}
        self._least_n = min((figure.n for figure in sheet.subsets), default=0) if sheet else 0
        self._calibrations = sheet.calibrations() if sheet else {}
        self._sign = -1.0 if sheet and sheet.better == "lower" else 1.0
        curves = {f.stream: sheet.age_curve(f.stream) for f in sheet.ages} if sheet else {}
        self._curves = {
            name: (np.array([f.age_ms for f in c]), np.array([c[0].value - f.value for f in c]))
            for name, c in curves.items()
        }

    def of(self, streams: Mapping[str, Trust], standing: frozenset[str]) -> Expected | None:
        """For exactly the streams that are `standing`, less what the ages of those that are held were measured to cost.

        Costs of several old streams are added, which takes them to be independent.
        """
        whole = self._figure(standing)
        if whole is None:
            return None
        lost = sum(self._cost(name, trust.age_ms) for name, trust in streams.items() if trust.state == "held")
        if not lost:
            return whole
        return replace(whole, value=whole.value - lost, low=whole.low - lost, high=whole.high - lost)

    def worth(self, streams: Collection[str]) -> float | None:
        """The expected metric of a subset with a sign that makes more of it better."""
        known = self._figure(frozenset(streams))
        return None if known is None else self._sign * known.value

    def _figure(self, streams: frozenset[str]) -> Expected | None:
        """As measured, or else as estimated."""
        if streams in self._figures or not streams or self._sheet is None or self._sheet.estimate is None:
            return self._figures.get(streams)
        value, off = self._sheet.estimate.of(streams), Z_95 * self._sheet.estimate.error
        return Expected(self._sheet.metric, value, value - off, value + off, self._least_n, self._sheet.better)

    def calibration(self, standing: frozenset[str]) -> Calibration:
        """What makes probabilities of logits that are right as often as they say."""
        return self._calibrations.get(standing, NONE)

    def _cost(self, name: str, age_ms: float | None) -> float:
        """What is lost of the metric by this age, 0 where that was not measured; never a gain."""
        if name not in self._curves or age_ms is None:
            return 0.0
        lost = float(np.interp(age_ms, *self._curves[name]))
        return max(0.0, lost) if self._sign > 0 else min(0.0, lost)


def standing(streams: Mapping[str, Trust]) -> frozenset[str]:
    """The streams that an answer could be made from."""
    return frozenset([name for name, trust in streams.items() if trust.available])


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
    _check_names(sheet, bundle.manifest.stream_names, place)
    _check_biases(sheet, {o.name: o for o in bundle.manifest.head.outputs}, place)
    return sheet


def _check_biases(sheet: Datasheet, outputs: Mapping[str, OutputSpec], place: str) -> None:
    spec = outputs.get(sheet.output or "")
    classes = len(spec.labels) if spec is not None and spec.kind == "class_logits" else 0
    for i, figure in enumerate(sheet.subsets):
        if figure.bias and len(figure.bias) != classes:
            what = f"{len(figure.bias)} values, output {sheet.output!r} has {classes} classes"
            raise BundleError(f"subsets.{i}.bias: {what}", place=place)


def _check_names(sheet: Datasheet, known: tuple[str, ...], place: str) -> None:
    named: list[tuple[str, Iterable[str]]] = [(f"subsets.{i}.streams", f.streams) for i, f in enumerate(sheet.subsets)]
    named += [(f"rungs.{i}.streams", f.streams) for i, f in enumerate(sheet.rungs)]
    named += [(f"ages.{i}.stream", (f.stream,)) for i, f in enumerate(sheet.ages)]
    if sheet.estimate is not None:
        named.append(("estimate.worth", sheet.estimate.worth))
        missing = [name for name in known if name not in sheet.estimate.worth]
        if missing:
            raise BundleError(f"estimate.worth: nothing of stream {missing[0]!r}", place=place)
    for where, streams in named:
        for stream in streams:
            if stream not in known:
                raise BundleError(f"{where}: no stream {stream!r} in the manifest", place=place)
