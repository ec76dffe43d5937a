"""The plan of an engine: what the bundle declares and the configuration changes, merged and checked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from edgefuse.asked import demands_of, refuse
from edgefuse.bundle import Bundle
from edgefuse.choice import Choice, choice_of
from edgefuse.complaints import complaint
from edgefuse.config import LadderStep, RunConfig, StreamConfig, steps_of
from edgefuse.datasheet import Datasheet, read_datasheet
from edgefuse.errors import BundleError, ConfigError
from edgefuse.manifest import StreamSpec
from edgefuse.modalities import KINDS, Modality
from edgefuse.modalities.agreement import Agreement
from edgefuse.modalities.base import CommonChecks
from edgefuse.modes import Demands
from edgefuse.pools import runtime_version
from edgefuse.schema import Model, validate
from edgefuse.types import NS_PER_MS, Judged, Reason, Rung
from edgefuse.version import __version__, older

SMALL_MS = 0.25  # of an answer from one stream alone; a thread that sleeps takes a tenth of that to wake


class Step(Struct, frozen=True):
    """One rung of a ladder, and when it carries."""

    rung: Rung
    max_age_ns: int | None = None
    only: frozenset[Reason] = frozenset()
    unless: frozenset[Reason] = frozenset()

    def carries(self, judged: Judged) -> bool:
        """Can it stand in for this stream now?"""
        if judged.reason in self.unless or (self.only and judged.reason not in self.only):
            return False
        if self.rung != "hold":
            return True
        old = self.max_age_ns is not None and judged.age_ms is not None and judged.age_ms * NS_PER_MS > self.max_age_ns
        return judged.sample is not None and not old


class StreamPlan(Struct, frozen=True):
    """Everything the stages know about one stream. `parent` is the index of the stream it is derived from.

    small: the encoder is not worth a second thread. The datasheet says so, not this device: the number of threads can
    change the last bit of an answer.
    """

    index: int
    name: str
    topic: str
    modality: Modality
    params: Any
    checks: CommonChecks
    tensor_dtype: str
    tensor_shape: tuple[int, ...]
    encoder: str
    small: bool
    embedding_shape: tuple[int, ...]
    fresh_ns: int
    max_age_ns: int
    period_ns: int | None
    silent_periods: float
    min_rate: float
    choice: Choice
    clock: str | None
    latency_ms: float
    ladder: tuple[Step, ...]
    parent: int | None
    agreement: Agreement | None
    partner: int | None


class Plan(Struct, frozen=True, dict=True):
    """The streams in the bundle's order, the settings that concern them all, and what was measured of them."""

    streams: tuple[StreamPlan, ...]
    config: RunConfig
    demands: Demands
    datasheet: Datasheet | None

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(stream.name for stream in self.streams)


def make_plan(bundle: Bundle, config: RunConfig, config_place: str = "configuration") -> Plan:
    """Merge and check. A BundleError or ConfigError names the field that does not fit."""
    _check_versions(bundle)
    names = bundle.manifest.stream_names
    for name in config.streams:
        if name not in names:
            known = ", ".join(names)
            raise ConfigError(f"no such stream in the bundle; it has {known}", place=f"{config_place}: streams.{name}")
    sheet = read_datasheet(bundle)
    specs = enumerate(bundle.manifest.streams)
    streams = tuple(_plan_stream(bundle, i, spec, config, config_place, sheet) for i, spec in specs)
    _refuse_cycles(streams, config_place)
    refuse(config, names, config_place)
    return Plan(streams, config, demands_of(config, names, sheet, config_place), sheet)


def _check_versions(bundle: Bundle) -> None:
    wanted = bundle.manifest.requires
    for name, have, want in (
        ("edgefuse", __version__, wanted.edgefuse),
        ("onnxruntime", runtime_version(), wanted.onnxruntime),
    ):
        if older(have, want):
            place = bundle.place(f"manifest.json: requires.{name}")
            raise BundleError(f"the bundle needs {name} {want} or newer, here is {have}", place=place)


def _plan_stream(
    bundle: Bundle, index: int, spec: StreamSpec, config: RunConfig, config_place: str, sheet: Datasheet | None
) -> StreamPlan:
    ours = bundle.place(f"manifest.json: streams.{spec.name}")
    theirs = f"{config_place}: streams.{spec.name}"
    change = config.streams.get(spec.name, StreamConfig())
    modality = KINDS.get(spec.kind)
    if modality is None:
        raise BundleError(f"unknown kind {spec.kind!r}; known: {', '.join(KINDS)}", place=f"{ours}.kind")
    params = _parse(modality.params, spec.preprocess, BundleError, f"{ours}.preprocess")
    if change.preprocess:
        merged = {**asdict(params), **change.preprocess}
        params = _parse(modality.params, merged, ConfigError, f"{theirs}.preprocess")
    tensor = modality.tensor(params)
    if tensor != (spec.tensor_dtype, spec.tensor_shape):
        said = f"{spec.tensor_dtype} {list(spec.tensor_shape)}"
        raise BundleError(f"preprocessing gives {tensor[0]} {list(tensor[1])}, the encoder takes {said}", place=ours)
    fresh_ms, max_age_ms = _ages(spec, change, theirs, sheet)
    agreement, partner = _agreement(bundle, modality, change, theirs)
    return StreamPlan(
        index=index,
        name=spec.name,
        topic=change.topic or spec.name,
        modality=modality,
        params=params,
        checks=_parse(modality.checks, change.checks, ConfigError, f"{theirs}.checks"),
        tensor_dtype=spec.tensor_dtype,
        tensor_shape=spec.tensor_shape,
        encoder=spec.encoder,
        small=sheet is not None and sheet.latency_ms(spec.name) <= SMALL_MS,
        embedding_shape=(spec.embedding_dim, *(bundle.manifest.fusion.grid or ())),
        fresh_ns=round(fresh_ms * NS_PER_MS),
        max_age_ns=round(max_age_ms * NS_PER_MS),
        period_ns=None if change.period_ms is None else round(change.period_ms * NS_PER_MS),
        silent_periods=change.silent_periods,
        min_rate=change.min_rate,
        choice=_choice(modality, change, config, round(max_age_ms * NS_PER_MS), theirs),
        clock=change.clock,
        latency_ms=change.latency_ms,
        ladder=_ladder(bundle, change, config, theirs),
        parent=_parent(bundle, spec, change, theirs),
        agreement=agreement,
        partner=partner,
    )


def _ages(spec: StreamSpec, change: StreamConfig, place: str, sheet: Datasheet | None) -> tuple[float, float]:
    """fresh_ms and max_age_ms: the configuration's, else the bundle's, within what was measured to be worth holding."""
    fresh_ms = change.fresh_ms if change.fresh_ms is not None else spec.fresh_ms
    measured_ms = None if sheet is None else sheet.hold_until_ms(spec.name)
    held_ms = spec.max_age_ms if measured_ms is None else max(fresh_ms, min(spec.max_age_ms, measured_ms))
    max_age_ms = change.max_age_ms if change.max_age_ms is not None else held_ms
    if change.latency_ms and change.clock is None:
        raise ConfigError("is of a sensor with a `clock` of its own", place=f"{place}.latency_ms")
    if max_age_ms < fresh_ms:
        raise ConfigError(f"max_age_ms {max_age_ms} is below fresh_ms {fresh_ms}", place=place)
    return fresh_ms, max_age_ms


def _choice(modality: Modality, change: StreamConfig, config: RunConfig, max_gap_ns: int, place: str) -> Choice:
    choice = choice_of(change.choose, modality.between, max_gap_ns)
    if choice is None:
        raise ConfigError(f"nothing lies between two samples of kind {modality.kind}", place=f"{place}.choose")
    if choice.looks_ahead and (config.executor == "workers" or config.deadline_ms is not None):
        what = f"{change.choose!r} is known at the tick only: it needs executor inline, without a deadline"
        raise ConfigError(what, place=f"{place}.choose")
    return choice


def _ladder(bundle: Bundle, change: StreamConfig, config: RunConfig, place: str) -> tuple[Step, ...]:
    ladder = change.ladder or config.ladder
    if ladder is None:
        return tuple(Step(rung) for rung in bundle.manifest.fallback.ladder)
    steps = steps_of(ladder)
    for step in steps:
        spec = bundle.manifest.fallback
        if step.rung not in ("hold", "mask", *spec.blocks, *(("impute",) if spec.impute else ())):
            raise ConfigError(f"rung {step.rung!r}: the bundle holds no such embeddings", place=f"{place}.ladder")
    return tuple(_step(step) for step in steps)


def _step(step: LadderStep) -> Step:
    max_age_ns = None if step.max_age_ms is None else round(step.max_age_ms * NS_PER_MS)
    return Step(step.rung, max_age_ns, frozenset(step.only), frozenset(step.unless))


def _parent(bundle: Bundle, spec: StreamSpec, change: StreamConfig, place: str) -> int | None:
    parent = change.derived_from or spec.derived_from
    if parent is None:
        return None
    names = bundle.manifest.stream_names
    if parent not in names or parent == spec.name:
        raise ConfigError(f"no other stream {parent!r} in the bundle", place=f"{place}.derived_from")
    return names.index(parent)


def _refuse_cycles(streams: Sequence[StreamPlan], config_place: str) -> None:
    for own in streams:
        above, generations = own.parent, 0
        while above is not None and generations < len(streams):
            above, generations = streams[above].parent, generations + 1
        if above is not None:
            what = "is derived from itself, by way of others"
            raise ConfigError(what, place=f"{config_place}: streams.{own.name}.derived_from")


def _agreement(
    bundle: Bundle, modality: Modality, change: StreamConfig, place: str
) -> tuple[Agreement | None, int | None]:
    """What a depth stream must agree with, and the index of that lidar."""
    if change.agrees_with is None:
        return None, None
    agreement = _parse(Agreement, change.agrees_with, ConfigError, f"{place}.agrees_with")
    kinds = {stream.name: stream.kind for stream in bundle.manifest.streams}
    if modality.kind != "depth" or kinds.get(agreement.stream) != "lidar":
        theirs = kinds.get(agreement.stream, "no stream of the bundle")
        what = f"a depth stream can agree with a lidar; this is {modality.kind}, {agreement.stream!r} is {theirs}"
        raise ConfigError(what, place=f"{place}.agrees_with")
    return agreement, bundle.manifest.stream_names.index(agreement.stream)


def _parse(model: type[Model], fields: Mapping[str, Any], blame: type[BundleError | ConfigError], place: str) -> Model:
    try:
        return validate(model, dict(fields))
    except ValueError as error:
        raise blame(complaint(error), place=place) from error
