"""What a device asks of its answers, checked against what the bundle can give."""

from __future__ import annotations

from collections.abc import Sequence

from edgefuse.config import RunConfig
from edgefuse.datasheet import Datasheet
from edgefuse.errors import ConfigError
from edgefuse.modes import Demands
from edgefuse.shapley import MAX_PLAYERS


def demands_of(config: RunConfig, names: Sequence[str], sheet: Datasheet | None, config_place: str) -> Demands:
    """What must hold for an answer not to be an abstention; a ConfigError naming what nothing can be known of."""
    require = tuple((d,) if isinstance(d, str) else d.any_of for d in config.require)
    for i, name in ((i, name) for i, some in enumerate(require) for name in some):
        if name not in names:
            known = ", ".join(names)
            raise ConfigError(f"no stream {name!r} in the bundle; it has {known}", place=f"{config_place}: require.{i}")
    for key, better, other in (("min_expected", "higher", "max_expected"), ("max_expected", "lower", "min_expected")):
        if getattr(config, key) is None:
            continue
        if sheet is None:
            raise ConfigError("the bundle has no datasheet to expect from", place=f"{config_place}: {key}")
        if sheet.better != better:
            what = f"of {sheet.metric}, {sheet.better} is better: say {other}"
            raise ConfigError(what, place=f"{config_place}: {key}")
    return Demands(require, config.min_expected, config.max_expected)


def refuse(config: RunConfig, names: Sequence[str], config_place: str) -> None:
    """Refuse what cannot be asked together, or of this many streams; ConfigError."""
    if config.max_tick_gap_ms is not None:
        refuse_gap(config.max_tick_gap_ms, config.tick_hz, config_place)
    if config.executor == "workers" and config.deadline_ms is not None:
        what = "with executor workers a tick waits for no encoder: there is nothing to leave out"
        raise ConfigError(what, place=f"{config_place}: deadline_ms")
    if config.explain and len(names) > MAX_PLAYERS:
        what = f"exact Shapley values are for up to {MAX_PLAYERS} streams, the bundle has {len(names)}"
        raise ConfigError(what, place=f"{config_place}: explain")


def refuse_gap(max_tick_gap_ms: float, tick_hz: float, config_place: str) -> None:
    """Refuse ticks that are further apart than the longest gap allowed; ConfigError."""
    if max_tick_gap_ms * tick_hz <= 1e3:
        what = f"{max_tick_gap_ms:g} ms is no longer than the period of {tick_hz:g} ticks per second"
        raise ConfigError(what, place=f"{config_place}: max_tick_gap_ms")
