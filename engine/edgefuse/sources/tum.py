"""The source `tum:DIR`: colour and depth pictures in the layout of the TUM RGB-D benchmark, at the times they carry."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from edgefuse.errors import SourceError
from edgefuse.pictures import MOST_MM, decoded
from edgefuse.sources.kitti_files import what_failed
from edgefuse.sources.stamped_files import Entry, StampedFiles, from_seconds, inside
from edgefuse.types import Array

KINDS: Mapping[str, str] = {"rgb": "camera", "depth": "depth"}
UNITS_PER_M = 5000.0  # of the benchmark's depth pictures; others that use its layout count in millimetres
_LISTS: Mapping[str, str] = {"rgb.txt": "rgb", "depth.txt": "depth"}
_FOLDERS: Mapping[str, str] = {"rgb": "rgb", "color": "rgb", "colour": "rgb", "depth": "depth"}
_ASSOCIATIONS = "*assoc*.txt"
_PICTURES = (".png", ".jpg", ".jpeg")
_MOST_BYTES = 64 << 20


class TumSource(StampedFiles):
    """A recording as of the TUM RGB-D benchmark (Sturm et al., "A Benchmark for the Evaluation of RGB-D SLAM Systems").

    directory    with `rgb.txt` and `depth.txt` (lines TIME FILE), else one association list (lines TIME FILE TIME FILE,
                 in a file called like `associations.txt`), else just folders `rgb` or `color` and `depth`, whose
                 pictures are called after their time; times are in seconds since 1970
    listed       another list to play, of either form; the files in it are relative to `directory`
    units_per_m  of the depth pictures of 16 bits, which become millimetres, rounded

    Topics: `rgb` (camera) and `depth`. Stamps are as listed, to the nanosecond; nothing is brought to one rate, and
    the two are not made to fit each other. A line that is none and a picture that is not there or cannot be read are
    problems; SourceError where there is nothing to play. Ground truth and accelerations beside them are not read.
    """

    domain = "tum"

    def __init__(self, directory: Path, listed: Path | None = None, units_per_m: float = UNITS_PER_M) -> None:
        super().__init__()
        if not directory.is_dir():
            raise SourceError("no such folder", place=str(directory))
        self._folder, self._units_per_m = directory, units_per_m
        lists = [listed] if listed is not None else self._lists()
        found = [entry for path in lists for entry in self._of_list(path)] if lists else list(self._of_folders())
        self.topics = {topic: KINDS[topic] for topic in KINDS if any(entry.topic == topic for entry in found)}
        self.play(found, str(directory))

    def read(self, entry: Entry) -> Array:
        pixels = decoded(entry.path.read_bytes())
        if (pixels.dtype == np.uint16) != (entry.topic == "depth"):
            raise ValueError(f"a picture of {8 * pixels.dtype.itemsize} bits cannot be one of {entry.topic}")
        return pixels if entry.topic == "rgb" else in_millimetres(pixels, self._units_per_m)

    def _lists(self) -> list[Path]:
        own = [path for path in map(self._folder.joinpath, _LISTS) if path.is_file()]
        if own:
            return own
        pairs = sorted(path for path in self._folder.glob(_ASSOCIATIONS) if path.is_file())
        if len(pairs) > 1:
            names = ", ".join(path.name for path in pairs)
            raise SourceError(
                f"{len(pairs)} association lists, name one as ?list=FILE: {names}", place=str(self._folder)
            )
        return pairs

    def _of_list(self, path: Path) -> Iterator[Entry]:
        """What a list names and is there, each picture once."""
        seen: dict[Path, int] = {}
        for number, line in enumerate(_lines(path), 1):
            fields = re.split(r"[\s,]+", line.strip())
            if not line.strip() or line.startswith("#"):
                continue
            if len(fields) not in (2, 4):
                self.report(f"{path}:{number}", "is neither TIME FILE nor TIME FILE TIME FILE")
                continue
            for time, name in zip(fields[::2], fields[1::2], strict=True):
                entry = self._listed(f"{path}:{number}", _LISTS.get(path.name), time, name)
                if entry is not None and seen.setdefault(entry.path, number) != number:
                    self.report(f"{path}:{number}", f"names {name}, as line {seen[entry.path]} does")
                elif entry is not None:
                    yield entry

    def _listed(self, place: str, topic: str | None, time: str, name: str) -> Entry | None:
        stamp_ns, path = from_seconds(time), inside(self._folder, name)
        topic = topic or _FOLDERS.get(Path(name).parts[0] if name else "")
        if stamp_ns is None:
            self.report(place, f"{time!r} is no time in seconds")
        elif path is None or topic is None:
            self.report(place, f"{name!r} lies in none of the folders {', '.join(_FOLDERS)}")
        elif not path.is_file():
            self.report(place, f"names {name}, which is not there")
        else:
            return Entry(stamp_ns, topic, path)
        return None

    def _of_folders(self) -> Iterator[Entry]:
        for folder, topic in _FOLDERS.items():
            for path in sorted((self._folder / folder).glob("*")):
                stamp_ns = from_seconds(path.stem) if path.suffix.lower() in _PICTURES else None
                if stamp_ns is None:
                    self.report(str(path), "is no picture that is called after its time in seconds")
                else:
                    yield Entry(stamp_ns, topic, path)


def in_millimetres(pixels: Array, units_per_m: float) -> Array:
    """Depth uint16 [H, W] in such units as millimetres, rounded; 0 stays no measurement, the largest is all beyond."""
    return np.minimum(np.rint(pixels * (1000.0 / units_per_m)), MOST_MM).astype(np.uint16)


def _lines(path: Path) -> list[str]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise SourceError(f"is larger than {_MOST_BYTES} bytes", place=str(path))
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot be read: {what_failed(error)}", place=str(path)) from error
