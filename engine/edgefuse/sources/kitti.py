"""The source `kitti:DIR`: one drive in KITTI's raw layout, played by its own time stamps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edgefuse.errors import SourceError
from edgefuse.sources.base import Problem, Source
from edgefuse.sources.kitti_files import parse_stamp, read_fix, read_png, read_points, read_projection, what_failed
from edgefuse.sources.projection import Projection, depth_image
from edgefuse.types import NS_PER_S, Array, Sample

# A sweep of 64 beams fills 4 % of the full image's pixels; at a quarter of its size 43 % (311 x 94 for 1242 x 375).
DEPTH_REDUCTION = 4

_FRAME_NAME = re.compile(r"[0-9]{10}")

Report = Callable[[Path, str], None]


@dataclass(frozen=True, slots=True)
class _Topic:
    name: str
    kind: str
    folder: str
    suffix: str
    read: Callable[[Path], Array]


@dataclass(frozen=True, slots=True, order=True)
class _Entry:
    """One file to play; the order of the fields is the order of play."""

    stamp_ns: int
    rank: int
    path: Path


class KittiSource(Source):
    """One drive of KITTI raw data (Geiger et al., "Vision meets Robotics: The KITTI Dataset", IJRR 2013).

    directory  the drive's folder (`..._sync`), a date's folder with one drive, or a folder above with one of them

    Topics: `image_02` (camera), `velodyne_points` (lidar), `oxts` (gps) and `depth_02` (depth: the sweep projected into
    `image_02` by the drive's calibration, at 1/4 of the image's size, stamped as the sweep). The engine clock is the
    recording's own, read as UTC; line N of a `timestamps.txt` (from 0) belongs to file N. The recording keeps no time
    of arrival. What cannot be read is a `Problem` and is skipped; SourceError when there is no drive or nothing usable.
    """

    domain = "kitti"

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.drive = find_drive(directory)
        self._reported: set[Problem] = set()
        self._table = [
            _Topic("image_02", "camera", "image_02", ".png", read_png),
            _Topic("velodyne_points", "lidar", "velodyne_points", ".bin", read_points),
            _Topic("oxts", "gps", "oxts", ".txt", read_fix),
        ]
        if (projection := self._projection()) is not None:
            read = partial(_read_depth, projection)
            self._table.append(_Topic("depth_02", "depth", "velodyne_points", ".bin", read))
        self._entries = sorted(self._index())
        self.topics = {self._table[rank].name: self._table[rank].kind for rank in {e.rank for e in self._entries}}
        if not self._entries:
            raise self._nothing_usable()

    @property
    def length_s(self) -> float:
        return (self._entries[-1].stamp_ns - self._entries[0].stamp_ns) / NS_PER_S

    def samples(self) -> Iterator[Sample]:
        """Every readable sample by stamp, lidar before the depth made from it; one file in memory at a time."""
        usable = False
        for entry in self._entries:
            topic = self._table[entry.rank]
            try:
                payload = topic.read(entry.path)
            except (OSError, ValueError) as error:
                self._report(entry.path, what_failed(error))
                continue
            usable = True
            yield Sample(topic.name, entry.stamp_ns, payload)
        if not usable:
            raise self._nothing_usable()

    def _index(self) -> Iterator[_Entry]:
        for rank, topic in enumerate(self._table):
            for stamp_ns, path in _stamped_files(self.drive / topic.folder, topic.suffix, self._report):
                yield _Entry(stamp_ns, rank, path)

    def _projection(self) -> Projection | None:
        try:
            return read_projection(self.drive.parent)
        except (OSError, ValueError) as error:
            self._report(self.drive.parent, f"no depth_02: {what_failed(error)}")
            return None

    def _report(self, place: Path, what: str) -> None:
        """Each problem once, though depth and lidar read the same files and a source may be played again."""
        problem = Problem(str(place), what)
        if problem not in self._reported:
            self._reported.add(problem)
            self.problems.append(problem)

    def _nothing_usable(self) -> SourceError:
        first = f"; first: {self.problems[0].place}: {self.problems[0].what}" if self.problems else ""
        return SourceError(f"nothing usable in it, {len(self.problems)} problems{first}", place=str(self.drive))


def find_drive(directory: Path) -> Path:
    """The one folder `..._sync` that `directory` is, holds, or holds one level down; SourceError otherwise."""
    if not directory.is_dir():
        raise SourceError("no such folder", place=str(directory))
    top = directory.resolve()
    for level in ([top], sorted(top.glob("*")), sorted(top.glob("*/*"))):
        drives = [path for path in level if path.name.endswith("_sync") and path.is_dir()]
        if len(drives) == 1:
            return drives[0]
        if drives:
            names = ", ".join(path.name for path in drives)
            raise SourceError(f"{len(drives)} KITTI drives, name one of them: {names}", place=str(directory))
    found = ", ".join(sorted(path.name for path in top.glob("*"))[:8]) or "nothing"
    raise SourceError(f"no KITTI drive: looked for *_sync, */*_sync; found {found}", place=str(directory))


def _read_depth(projection: Projection, path: Path) -> Array:
    return depth_image(read_points(path), projection, DEPTH_REDUCTION)


def _stamped_files(folder: Path, suffix: str, report: Report) -> Iterator[tuple[int, Path]]:
    """Stamp (ns) and path of each numbered file that has a readable stamp; what has none is reported."""
    try:
        files = _numbered_files(folder / "data", suffix)
        lines = (folder / "timestamps.txt").read_bytes().splitlines()
    except OSError as error:
        report(Path(error.filename or folder), what_failed(error))
        return
    stamped = [number for number in files if number < len(lines)]
    for number in sorted(files.keys() | set(range(min(stamped, default=0), max(stamped, default=-1)))):
        path = files.get(number)
        stamp_ns = parse_stamp(lines[number]) if number < len(lines) else None
        if path is None:
            report(folder / "data" / f"{number:010d}{suffix}", "missing")
        elif stamp_ns is None:
            report(path, f"no readable time stamp in line {number + 1} of {len(lines)} in timestamps.txt")
        else:
            yield stamp_ns, path


def _numbered_files(folder: Path, suffix: str) -> dict[int, Path]:
    paths = [path for path in folder.iterdir() if path.suffix == suffix and _FRAME_NAME.fullmatch(path.stem)]
    if not paths:
        raise FileNotFoundError(2, f"no files like {0:010d}{suffix}", str(folder))
    return {int(path.stem): path for path in paths if path.is_file()}
