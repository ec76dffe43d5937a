"""The source `folder:DIR`: pictures and arrays in a folder, with a `stamps.csv` that says when each was taken."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from tokenize import TokenError

import numpy as np

from edgefuse.errors import SourceError
from edgefuse.pictures import decoded, kind_of
from edgefuse.sources.kitti_files import what_failed
from edgefuse.sources.stamped_files import Entry, StampedFiles, from_nanoseconds, from_seconds, inside
from edgefuse.types import Array

STAMPS = "stamps.csv"
_TIMES = {"stamp_s": from_seconds, "stamp_ns": from_nanoseconds}
_GPS_SHAPE = (7,)


class FolderSource(StampedFiles):
    """A folder with `stamps.csv`: columns `file`, `stamp_s` or `stamp_ns`, and `topic` if one likes; others are left.

    Files are relative to the folder: PNG and JPEG are camera pictures, or, of 16 bits, depth in millimetres; `.npy`
    holds float32 of any shape ([n, 4] is taken for lidar, others for a vector) or a fix of GPS, float64 [7]. Where no
    topic is named it is the file's sub-folder, or the folder's own name. What does not fit is a problem that names the
    file and the line: a stamp without a file, a file without a stamp, a bad number, a file that is named twice.
    SourceError where there is no such table, or nothing in it to play.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._folder, self._table = directory, directory / STAMPS
        entries = list(self._listed())
        known = {entry.path for entry in entries} | self._refused
        for path in sorted(directory.rglob("*")):
            if path.suffix.lower() in _READ and path not in known:
                self.report(str(path), f"has no stamp in {STAMPS}")
        self.play(entries, str(directory))
        self.topics = {topic: self._kind(topic) for topic in sorted({entry.topic for entry in entries})}

    def read(self, entry: Entry) -> Array:
        return _READ[entry.path.suffix.lower()](entry.path)

    def _listed(self) -> Iterator[Entry]:
        """The rows that can be played; what they name and what others name is no file without a stamp."""
        self._refused: set[Path] = set()
        seen: dict[Path, int] = {}
        for number, row in self._rows():
            place, name = f"{self._table}:{number}", row.get("file") or ""
            path = inside(self._folder, name)
            stamp_ns = next(read(row.get(column) or "") for column, read in _TIMES.items() if column in row)
            what = self._wrong(path, name, stamp_ns)
            if what is None and path is not None and path in seen:
                what = f"names {name}, as line {seen[path]} does"
            if what is not None or path is None or stamp_ns is None:
                self.report(place, what or "is no row")
                self._refused |= {path} if path is not None else set()
                continue
            seen[path] = number
            yield Entry(stamp_ns, row.get("topic") or self._topic(path), path)

    def _wrong(self, path: Path | None, name: str, stamp_ns: int | None) -> str | None:
        if path is None or path == self._folder:
            return f"{name!r} is no file in the folder"
        if path.suffix.lower() not in _READ:
            return f"{name} is of no kind that is read: {', '.join(_READ)}"
        if not path.is_file():
            return f"names {name}, which is not there"
        return None if stamp_ns is not None else "has no stamp that is a number of its unit"

    def _rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Each row with the number of its line; SourceError where it is no such table."""
        place = str(self._table)
        try:
            with self._table.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file)
                columns = reader.fieldnames or ()
                if "file" not in columns or len(_TIMES.keys() & set(columns)) != 1:
                    what = f"needs the columns file and stamp_s or stamp_ns; it has {', '.join(columns) or 'none'}"
                    raise SourceError(what, place=place)
                for row in reader:
                    yield reader.line_num, row
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            what = str(error) if isinstance(error, csv.Error) else what_failed(error)
            raise SourceError(f"cannot be read: {what}", place=place) from error

    def _topic(self, path: Path) -> str:
        own = path.parent.relative_to(self._folder).as_posix()
        return own if own != "." else self._folder.resolve().name

    def _kind(self, topic: str) -> str:
        """By the first file of it that can be read; what is wrong with others is told when they are played."""
        for entry in (entry for entry in self._entries if entry.topic == topic):
            with suppress(OSError, ValueError):
                return _kind_of(self.read(entry))
        return "vector"


def _kind_of(payload: Array) -> str:
    if payload.dtype in (np.uint8, np.uint16):
        return kind_of(payload)
    if payload.dtype == np.float64:
        return "gps"
    return "lidar" if payload.ndim == 2 and payload.shape[1] == 4 else "vector"


def _picture(path: Path) -> Array:
    return decoded(path.read_bytes())


def _array(path: Path) -> Array:
    """A `.npy` file as it is; ValueError where it holds other numbers, or objects, which are never loaded."""
    # Mapped, so that a header that lies about its size is refused and not allocated.
    try:
        mapped = np.lib.format.open_memmap(path, mode="r")
    except (SyntaxError, TokenError) as error:  # of a header that is damaged
        raise ValueError("has no header of an array") from error
    if mapped.dtype != np.float32 and (mapped.dtype != np.float64 or mapped.shape != _GPS_SHAPE):
        raise ValueError(f"holds {mapped.dtype} {list(mapped.shape)}, not float32, nor float64 [7] as a fix is")
    return np.array(mapped, order="C", subok=False)


_READ: Mapping[str, Callable[[Path], Array]] = {".png": _picture, ".jpg": _picture, ".jpeg": _picture, ".npy": _array}
