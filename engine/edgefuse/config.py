"""How a bundle is run: YAML to frozen models, every unknown key and bad value refused with its path."""

from __future__ import annotations

import os
from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field

from edgefuse.errors import ConfigError
from edgefuse.schema import Finite, Name, NotNegative, Positive, Strict, complaint, validate
from edgefuse.types import Rung

MAX_CONFIG_BYTES = 1 << 20

Ladder = Annotated[tuple[Rung, ...], Field(min_length=1)]


class StreamConfig(Strict):
    """What this device changes for one stream; None keeps what the bundle says.

    topic        name of the topic at the source, where it differs from the stream's name
    fresh_ms     up to this age a sample counts as fresh; max_age_ms up to this age it may be held
    ladder       fallback rungs in the order tried
    preprocess   parameters to override, such as the GPS origin
    checks       content thresholds by name, see the kind's file in `edgefuse.modalities`
    """

    topic: str | None = None
    fresh_ms: Positive | None = None
    max_age_ms: Positive | None = None
    ladder: Ladder | None = None
    derived_from: Name | None = None
    preprocess: dict[str, Any] = Field(default_factory=dict)
    checks: dict[str, Any] = Field(default_factory=dict)


class FaultConfig(Strict):
    """One injected fault: what happens to a stream between two times after the first sample, see `edgefuse.faults`."""

    stream: Name
    kind: str
    from_s: NotNegative
    to_s: Positive
    delay_ms: NotNegative = 300.0
    jump_s: Finite = 100.0


class RunConfig(Strict):
    """The whole configuration; every key has a default, so no file is needed.

    tick_hz              answers per second in `edgefuse run`
    threads              size of the ONNX Runtime thread pool; 0 is one a core
    shared_pool          one pool for all sessions of the process. Say false where the application makes ONNX Runtime
                         sessions of its own after the engine: with a shared pool ONNX Runtime refuses those
    recover_samples      good samples in a row before a stream that failed is trusted again
    future_tolerance_ms  a stamp this far ahead of the tick waits for its time; beyond it is a fault
    fusion_weights       float16 halves what the fusion kernel reads, at three digits of precision; sums stay float32
    """

    tick_hz: Annotated[float, Field(gt=0.0, le=1000.0)] = 10.0
    threads: Annotated[int, Field(ge=0, le=256)] = 0
    shared_pool: bool = True
    recover_samples: Annotated[int, Field(ge=1, le=10_000)] = 5
    future_tolerance_ms: NotNegative = 50.0
    fusion_weights: Literal["float32", "float16"] = "float32"
    ladder: Ladder | None = None
    streams: dict[Name, StreamConfig] = Field(default_factory=dict)
    faults: tuple[FaultConfig, ...] = ()
    seed: Annotated[int, Field(ge=0)] = 0


def load_config(path: str | os.PathLike[str]) -> RunConfig:
    """Read a YAML configuration. Anything wrong is a ConfigError naming the file and the key."""
    place = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", place=place) from error
    if len(data) > MAX_CONFIG_BYTES:
        raise ConfigError(f"is larger than {MAX_CONFIG_BYTES} bytes", place=place)
    return parse_config(data, place)


def parse_config(data: bytes, place: str) -> RunConfig:
    """Parse YAML bytes; `place` is what error messages call them."""
    try:
        document = yaml.load(data, Loader=_SafeUniqueLoader)
    except (yaml.YAMLError, RecursionError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"is not plain YAML: {' '.join(str(error).split())}", place=place) from error
    if document is None:
        return RunConfig()
    if not isinstance(document, dict):
        raise ConfigError("is not a mapping of keys to values", place=place)
    try:
        return validate(RunConfig, document)
    except ValueError as error:
        raise ConfigError(complaint(error), place=place) from error


class _SafeUniqueLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which would let the last of two equal keys win, and read `off` as a boolean."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (as the base class has it)
        first: [(tag, regexp) for tag, regexp in resolvers if first in "tTfF" or tag != "tag:yaml.org,2002:bool"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)
