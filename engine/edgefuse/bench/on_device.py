"""On the device: where its time goes by its own clock, and what goes between it and the host for one answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import asdict

from edgefuse.bench.meters import NOT_AVAILABLE
from edgefuse.bench.moments import Feed
from edgefuse.bench.races import Stand
from edgefuse.bench.section import Section
from edgefuse.bench.stages import WHOLE, table
from edgefuse.device import Device
from edgefuse.laps import Laps

TITLE = "on the device"


def on_device(stand: Stand) -> Section:
    """All streams new at every answer, timed by marks in the device's queue."""
    feed = stand.feed()
    device = feed.engine.parts.on.device
    if device is None:
        why = f"{NOT_AVAILABLE}: answers are computed by {feed.engine.parts.provider}"
        return Section(TITLE, figures={"device": {"told": why}})
    for _ in range(stand.profile.warmup):
        feed.answer()
    before = asdict(device.traffic)
    rows = _timed(device, feed, stand.profile.rounds)
    figures: dict[str, Mapping[str, Any]] = {"device": {"name": device.facts["name"], "place": device.place}}
    count = len(rows)
    figures["of an answer"] = {name: (now - before[name]) / count for name, now in asdict(device.traffic).items()}
    return Section(TITLE, stages=table(rows), figures=figures)


def _timed(device: Device, feed: Feed, rounds: int) -> list[dict[str, float]]:
    laps = device.laps = Laps(device)
    try:
        return [_row(feed, laps) for _ in range(rounds)]
    finally:
        device.laps = None


def _row(feed: Feed, laps: Laps) -> dict[str, float]:
    laps.begin()
    feed.answer()
    spent = dict(laps.read())
    return {**spent, WHOLE: sum(spent.values())}
