"""How a bundle is run: YAML to frozen models, every unknown key and bad value refused with its path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, field
from msgspec.structs import force_setattr

from edgefuse.complaints import complaint
from edgefuse.errors import ConfigError
from edgefuse.schema import Finite, Fraction, Milliseconds, Model, Name, NotNegative, Positive, Strict, WaitMs, validate
from edgefuse.types import Reason, Rung

MAX_CONFIG_BYTES = 1 << 20


class LadderStep(Strict):
    """One rung and when it may be taken: a name alone, or `{rung: hold, max_age_ms: 300, unless: [stuck]}`.

    max_age_ms   hold only up to this age, where the stream's own `max_age_ms` is longer
    only         take it for these reasons alone; unless: for all but these
    """

    rung: Rung
    max_age_ms: Milliseconds | None = None
    only: tuple[Reason, ...] = ()
    unless: tuple[Reason, ...] = ()


Ladder = Annotated[tuple[Rung | LadderStep, ...], Meta(min_length=1)]


def steps_of(ladder: Ladder) -> tuple[LadderStep, ...]:
    """The rungs of a ladder in their order, where a name alone stands for a step without conditions."""
    return tuple(step if isinstance(step, LadderStep) else LadderStep(rung=step) for step in ladder)


def _put_steps(config: StreamConfig | RunConfig) -> None:
    """One form for a ladder, however it was written."""
    if config.ladder is not None:
        force_setattr(config, "ladder", steps_of(config.ladder))


class AnyOf(Strict):
    """A demand that any one of these streams meets."""

    any_of: Annotated[tuple[Name, ...], Meta(min_length=1)]


class StreamConfig(Strict):
    """What this device changes for one stream; None keeps what the bundle says.

    topic        name of the topic at the source, where it differs from the stream's name
    fresh_ms     up to this age a sample counts as fresh; max_age_ms up to this age it may be held
    ladder       fallback rungs in the order tried
    preprocess   parameters to override, such as the GPS origin
    checks       content thresholds by name, see the kind's file in `edgefuse.modalities`
    period_ms    time between two samples; learned from the first of them where it is not said
    silent_periods  periods without a sample after which the stream is told to be silent
    min_rate     share of the known rate below which it is told to be slow; 0 switches that off
    choose       which sample a tick takes: the newest, the nearest, or one interpolated between two (gps, vector)
    clock        name of the sensor's own clock, where stamps are not on the engine clock; streams may share one
    latency_ms   least time from capture to arrival of a sensor with a clock of its own
    agrees_with  another stream that this one must agree with, see `edgefuse.modalities.agreement`
    """

    topic: str | None = None
    fresh_ms: Milliseconds | None = None
    max_age_ms: Milliseconds | None = None
    period_ms: Milliseconds | None = None
    silent_periods: Annotated[float, Meta(ge=1.0, le=1000.0)] = 3.0
    min_rate: Fraction = 0.7
    choose: Literal["newest", "nearest", "interpolated"] = "newest"
    clock: Name | None = None
    latency_ms: WaitMs = 0.0
    agrees_with: dict[str, Any] | None = None
    ladder: Ladder | None = None
    derived_from: Name | None = None
    preprocess: dict[str, Any] = field(default_factory=dict)
    checks: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _put_steps(self)


class FaultConfig(Strict):
    """One injected fault: what happens to a stream between two times after the first sample, see `edgefuse.faults`."""

    stream: Name
    kind: str
    from_s: NotNegative
    to_s: Positive
    delay_ms: WaitMs = 300.0
    jump_s: Annotated[float, Meta(ge=-1e9, le=1e9)] = 100.0
    severity: Annotated[int, Meta(ge=1, le=5)] = 3
    share: Fraction = 0.3
    drift_ppm: Annotated[float, Meta(ge=-1e6, le=1e6)] = 100.0


Provider = Literal["tensorrt", "cuda", "cpu"]


class RunConfig(Strict):
    """The whole configuration; every key has a default, so no file is needed.

    tick_hz              answers per second in `edgefuse run`
    threads              size of the ONNX Runtime thread pools; 0 is one a core
    device               cpu, or cuda:N, where everything from a payload to the answer then lies and is computed
    providers            who computes the graphs, in the order tried; on a GPU cuda alone where not said. With cpu as
                         the last one the engine goes on there when the GPU cannot be had, or is lost
    cuda_graphs          a graph whose nodes all run on the GPU is launched as a whole; say false to look into one
    cache_dir            where TensorRT's engines are kept; .cache/edgefuse in the home folder where not said
    shared_pool          with ONNX Runtime before 1.26: one pool for all sessions of the process. Say false where the
                         application makes sessions of its own after the engine: with a shared pool those are refused
    recover_samples      good samples in a row before a stream that failed is trusted again
    future_tolerance_ms  a stamp this far ahead of the tick waits for its time; beyond it is a fault
    fusion_weights       float16 halves what the fusion kernel reads, at three digits of precision; sums stay float32
    wait_ms              `edgefuse run` steps this long after a tick's time, so that samples late by less still count
    executor             inline encodes inside `step`; workers encode on arrival, and a tick waits for no encoder
    deadline_ms          time from the start of a tick to its answer: encoders that do not fit are left out (inline)
    require              streams that an answer must be made from: names, or {any_of: [camera, depth]}; else it abstains
    min_expected         an answer of which the datasheet expects less abstains; max_expected: of an error, more
    explain              every result says how much each stream made of each output, by exact Shapley values
    max_tick_gap_ms      a longer silence of the ticks is a fault; ten times their longest recent gap where not said
    """

    tick_hz: Annotated[float, Meta(ge=1e-3, le=1000.0)] = 10.0
    threads: Annotated[int, Meta(ge=0, le=256)] = 0
    device: Annotated[str, Meta(pattern=r"^(cpu|cuda(:[0-9]{1,2})?)\Z")] = "cpu"
    providers: tuple[Provider, ...] = ()
    cuda_graphs: bool = True
    cache_dir: str | None = None
    shared_pool: bool = True
    recover_samples: Annotated[int, Meta(ge=1, le=10_000)] = 5
    future_tolerance_ms: WaitMs = 50.0
    fusion_weights: Literal["float32", "float16"] = "float32"
    wait_ms: WaitMs = 0.0
    executor: Literal["inline", "workers"] = "inline"
    deadline_ms: Milliseconds | None = None
    require: tuple[Name | AnyOf, ...] = ()
    min_expected: Finite | None = None
    max_expected: Finite | None = None
    explain: bool = False
    max_tick_gap_ms: Milliseconds | None = None
    ladder: Ladder | None = None
    streams: dict[Name, StreamConfig] = field(default_factory=dict)
    faults: tuple[FaultConfig, ...] = ()
    seed: Annotated[int, Meta(ge=0)] = 0

    def __post_init__(self) -> None:
        _put_steps(self)


def load_config(path: str | os.PathLike[str]) -> RunConfig:
    """Read a YAML configuration. Anything wrong is a ConfigError naming the file and the key."""
    return load_as(RunConfig, path)


def parse_config(data: bytes, place: str) -> RunConfig:
    """Parse YAML bytes; `place` is what error messages call them."""
    return _as(RunConfig, parse_document(data, place), place)


def read_document(path: str | os.PathLike[str]) -> dict[Any, Any]:
    """The mapping that a YAML file holds, not checked any further; a ConfigError where it is none."""
    place = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", place=place) from error
    if len(data) > MAX_CONFIG_BYTES:
        raise ConfigError(f"is larger than {MAX_CONFIG_BYTES} bytes", place=place)
    return parse_document(data, place)


def parse_document(data: bytes, place: str) -> dict[Any, Any]:
    """The mapping that YAML bytes hold, an empty one where they hold nothing."""
    from edgefuse.plain_yaml import plain

    try:
        document = plain(data)
    except ValueError as error:
        raise ConfigError(str(error), place=place) from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError("is not a mapping of keys to values", place=place)
    return document


def load_as(model: type[Model], path: str | os.PathLike[str]) -> Model:
    """What a YAML file holds, as such a model. Anything wrong is a ConfigError naming the file and the key."""
    return _as(model, read_document(path), os.fspath(path))


def _as(model: type[Model], document: dict[Any, Any], place: str) -> Model:
    try:
        return validate(model, document)
    except ValueError as error:
        raise ConfigError(complaint(error), place=place) from error
