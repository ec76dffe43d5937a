"""Where samples come from: a URI names a source, and this table says which class reads it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from edgefuse.errors import SourceError
from edgefuse.sources.base import Problem, Source

__all__ = ["SCHEMES", "Problem", "Source", "numbered", "open_source"]


def _site(rest: str, uri: str) -> Source:
    from edgefuse.sources.site import SiteSource

    options = _options(rest, uri, {"seed": 0, "duration_s": 20.0, "stamps": ""})
    if not 0.0 < options["duration_s"] <= 86_400.0 or options["seed"] < 0:
        raise SourceError("seed must not be negative, duration_s lies in (0, 86400]", place=uri)
    if options["stamps"]:
        from edgefuse.sources.site.stamps import StampedSite

        return StampedSite(Path(options["stamps"]), options["seed"])
    return SiteSource(seed=options["seed"], duration_s=options["duration_s"])


def _kitti(rest: str, uri: str) -> Source:
    from edgefuse.sources.kitti import KittiSource

    return KittiSource(Path(rest))


def _drill(rest: str, uri: str) -> Source:
    from edgefuse.sources.drill import DrillSource

    options = _options(rest, uri, {"seed": 0, "samples": 10_000})
    if options["seed"] < 0 or not 1 <= options["samples"] <= 10**9:
        raise SourceError("seed must not be negative, samples lies in [1, 1e9]", place=uri)
    return DrillSource(options["seed"], options["samples"])


def _bag(rest: str, uri: str) -> Source:
    from edgefuse.sources.bag import BagSource

    return BagSource(Path(rest))


def _nmea(rest: str, uri: str) -> Source:
    from edgefuse.sources.nmea import NmeaDevice, NmeaLog, midnight_of

    path, options = _path_and_options(rest)
    if Path(path).is_char_device():
        return NmeaDevice(path, _options(options, uri, {"baud": 9600})["baud"])
    return NmeaLog(Path(path), midnight_of(_options(options, uri, {"date": ""})["date"], uri))


def _tum(rest: str, uri: str) -> Source:
    from edgefuse.sources.tum import UNITS_PER_M, TumSource

    path, text = _path_and_options(rest)
    options = _options(text, uri, {"list": "", "units_per_m": UNITS_PER_M})
    if not 1.0 <= options["units_per_m"] <= 1e6:
        raise SourceError("units_per_m lies in [1, 1e6]", place=uri)
    return TumSource(Path(path), Path(options["list"]) if options["list"] else None, options["units_per_m"])


def _folder(rest: str, uri: str) -> Source:
    from edgefuse.sources.folder import FolderSource

    return FolderSource(Path(rest))


def _video(rest: str, uri: str) -> Source:
    from edgefuse.sources.video import VideoSource

    return VideoSource(Path(rest))


def _device(rest: str, uri: str) -> Source:
    from edgefuse.sources.video import DeviceSource

    name, text = _path_and_options(rest)
    if not (re.fullmatch(r"\d{1,3}", name) or Path(name).is_char_device()):
        raise SourceError("is no camera: device:0, or the path of a device", place=uri)
    asked = _options(text, uri, {"width": 0, "height": 0, "fps": 0.0})
    if not all(0 <= value <= 1 << 16 for value in asked.values()):
        raise SourceError("width, height and fps lie in [0, 65536]", place=uri)
    asked = {"FRAME_WIDTH": asked["width"], "FRAME_HEIGHT": asked["height"], "FPS": asked["fps"]}
    return DeviceSource(int(name) if name.isdigit() else name, {key: value for key, value in asked.items() if value})


def _ros2(rest: str, uri: str) -> Source:
    from edgefuse.sources.ros2 import join

    return join(_options(rest, uri, {"domain": ""})["domain"], uri)


SCHEMES: Mapping[str, Callable[[str, str], Source]] = {
    "site": _site,
    "kitti": _kitti,
    "drill": _drill,
    "bag": _bag,
    "nmea": _nmea,
    "tum": _tum,
    "folder": _folder,
    "video": _video,
    "device": _device,
    "ros2": _ros2,
}


def open_source(uri: str) -> Source:
    """Open a source by its URI, as `site:seed=3`, `bag:PATH`, `nmea:/dev/ttyUSB0?baud=9600`; docs/sources.md lists all.

    A SourceError names the URI or the path.
    """
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme not in SCHEMES:
        known = ", ".join(f"{name}:" for name in SCHEMES)
        raise SourceError(f"is not a source; sources begin with {known}", place=uri or "''")
    return SCHEMES[scheme](rest, uri)


def numbered(uri: str) -> list[str]:
    """`site:seed=5..7` as `site:seed=5`, `site:seed=6` and `site:seed=7`; every other URI as it is. SourceError."""
    span = re.search(r"(\d+)\.\.(\d+)", uri)
    if span is None:
        return [uri]
    first, last = int(span[1]), int(span[2])
    if last < first:
        raise SourceError(f"{span[0]} counts downwards", place=uri)
    return [f"{uri[: span.start()]}{k}{uri[span.end() :]}" for k in range(first, last + 1)]


def _path_and_options(rest: str) -> tuple[str, str]:
    """`PATH` or `PATH?KEY=VALUE&...`, parted."""
    path, _, options = rest.partition("?")
    return path, options


def _options(rest: str, uri: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What the URI says, each of the type of its default."""
    options = dict(defaults)
    try:
        for key, value in parse_qsl(rest.lstrip("?"), keep_blank_values=True, strict_parsing=True) if rest else ():
            if key not in options:
                raise SourceError(f"unknown option {key!r}; there are {', '.join(options)}", place=uri)
            options[key] = type(defaults[key])(value)
    except ValueError as error:
        raise SourceError(f"options are KEY=VALUE, joined by &: {error}", place=uri) from error
    return options
