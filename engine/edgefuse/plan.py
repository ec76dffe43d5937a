"""The plan of an engine: what the bundle declares and the configuration changes, merged and checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgefuse.bundle import Bundle
from edgefuse.config import RunConfig, StreamConfig
from edgefuse.errors import BundleError, ConfigError
from edgefuse.manifest import StreamSpec
from edgefuse.modalities import KINDS, Modality
from edgefuse.modalities.base import CommonChecks
from edgefuse.schema import Model, complaint, validate
from edgefuse.session import runtime_version
from edgefuse.types import NS_PER_MS, Rung
from edgefuse.version import __version__, older


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """Everything the stages know about one stream. `parent` is the index of the stream it is derived from."""

    index: int
    name: str
    topic: str
    modality: Modality
    params: Any
    checks: CommonChecks
    tensor_dtype: str
    tensor_shape: tuple[int, ...]
    encoder: str
    embedding_shape: tuple[int, ...]
    fresh_ns: int
    max_age_ns: int
    ladder: tuple[Rung, ...]
    parent: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The streams in the bundle's order, and the settings that concern them all."""

    streams: tuple[StreamPlan, ...]
    config: RunConfig

    @property
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
    specs = enumerate(bundle.manifest.streams)
    return Plan(tuple(_plan_stream(bundle, i, spec, config, config_place) for i, spec in specs), config)


def _check_versions(bundle: Bundle) -> None:
    wanted = bundle.manifest.requires
    for name, have, want in (
        ("edgefuse", __version__, wanted.edgefuse),
        ("onnxruntime", runtime_version(), wanted.onnxruntime),
    ):
        if older(have, want):
            place = bundle.place(f"manifest.json: requires.{name}")
            raise BundleError(f"the bundle needs {name} {want} or newer, here is {have}", place=place)


def _plan_stream(bundle: Bundle, index: int, spec: StreamSpec, config: RunConfig, config_place: str) -> StreamPlan:
    ours = bundle.place(f"manifest.json: streams.{spec.name}")
    theirs = f"{config_place}: streams.{spec.name}"
    change = config.streams.get(spec.name, StreamConfig())
    modality = KINDS.get(spec.kind)
    if modality is None:
        raise BundleError(f"unknown kind {spec.kind!r}; known: {', '.join(KINDS)}", place=f"{ours}.kind")
    params = _parse(modality.params, spec.preprocess, BundleError, f"{ours}.preprocess")
    if change.preprocess:
        merged = {**params.model_dump(), **change.preprocess}
        params = _parse(modality.params, merged, ConfigError, f"{theirs}.preprocess")
    tensor = modality.tensor(params)
    if tensor != (spec.tensor_dtype, spec.tensor_shape):
        said = f"{spec.tensor_dtype} {list(spec.tensor_shape)}"
        raise BundleError(f"preprocessing gives {tensor[0]} {list(tensor[1])}, the encoder takes {said}", place=ours)
    fresh_ms, max_age_ms = _ages(spec, change, theirs)
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
        embedding_shape=(spec.embedding_dim, *(bundle.manifest.fusion.grid or ())),
        fresh_ns=round(fresh_ms * NS_PER_MS),
        max_age_ns=round(max_age_ms * NS_PER_MS),
        ladder=_ladder(bundle, change, config, theirs),
        parent=_parent(bundle, spec, change, theirs),
    )


def _ages(spec: StreamSpec, change: StreamConfig, place: str) -> tuple[float, float]:
    fresh_ms = change.fresh_ms if change.fresh_ms is not None else spec.fresh_ms
    max_age_ms = change.max_age_ms if change.max_age_ms is not None else spec.max_age_ms
    if max_age_ms < fresh_ms:
        raise ConfigError(f"max_age_ms {max_age_ms} is below fresh_ms {fresh_ms}", place=place)
    return fresh_ms, max_age_ms


def _ladder(bundle: Bundle, change: StreamConfig, config: RunConfig, place: str) -> tuple[Rung, ...]:
    ladder = change.ladder or config.ladder or bundle.manifest.fallback.ladder
    for rung in ladder:
        if rung in ("mean", "token") and rung not in bundle.manifest.fallback.blocks:
            raise ConfigError(f"rung {rung!r}: the bundle holds no such embeddings", place=f"{place}.ladder")
    return ladder


def _parent(bundle: Bundle, spec: StreamSpec, change: StreamConfig, place: str) -> int | None:
    parent = change.derived_from or spec.derived_from
    if parent is None:
        return None
    names = bundle.manifest.stream_names
    if parent not in names or parent == spec.name:
        raise ConfigError(f"no other stream {parent!r} in the bundle", place=f"{place}.derived_from")
    return names.index(parent)


def _parse(model: type[Model], fields: Mapping[str, Any], blame: type[BundleError | ConfigError], place: str) -> Model:
    try:
        return validate(model, dict(fields))
    except ValueError as error:
        raise blame(complaint(error), place=place) from error
