"""The site at the real times of a recording: its camera and depth measure when another pair of sensors did."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgefuse.errors import SourceError
from edgefuse.sources.site.source import START_NS, Capture, SiteSource
from edgefuse.types import NS_PER_MS, NS_PER_S

LATENCY_MS = 30.0  # from capture to arrival; the file tells captures alone
MOST_BYTES = 16 << 20


class StampedSite(SiteSource):
    """A site whose camera and depth samples carry the stamps of an association file, as of the TUM RGB-D recordings.

    path  lines `rgb_time rgb_file depth_time depth_file`, times in seconds; lines that begin with # are left out
    The file names do not matter. Lidar and GPS keep their own times. SourceError naming the file and the line.
    """

    def __init__(self, path: Path, seed: int = 0) -> None:
        times_s = read_stamps(path)
        self._true_ns = {name: _from_start(own, min(times_s["camera"])) for name, own in times_s.items()}
        self._stamps_ns = {name: [round(t * NS_PER_S) for t in own] for name, own in times_s.items()}
        last_ns = max(max(own) for own in self._true_ns.values())
        super().__init__(seed, (last_ns - START_NS) / NS_PER_S)

    def captures(self) -> list[Capture]:
        """When each sample is taken, stamped and delivered, in order of arrival."""
        own = [capture for capture in super().captures() if capture.topic not in self._true_ns]
        for topic, true_ns in self._true_ns.items():
            arrived = np.maximum.accumulate([t + round(LATENCY_MS * NS_PER_MS) for t in true_ns]).tolist()
            rows = zip(true_ns, self._stamps_ns[topic], arrived, strict=True)
            own += [Capture(topic, *row) for row in rows]
        return sorted(own, key=lambda c: (c.arrival_ns, c.topic))


def read_stamps(path: Path) -> dict[str, list[float]]:
    """Capture times in seconds, in order: of `camera` and `depth`. SourceError naming the file and the line."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SourceError(f"is larger than {MOST_BYTES} bytes", place=str(path))
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        what = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise SourceError(f"cannot be read: {what}", place=str(path)) from error
    rows = [_times(line, f"{path}:{k}") for k, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    if not rows:
        raise SourceError("holds no times", place=str(path))
    return {"camera": sorted(row[0] for row in rows), "depth": sorted(row[1] for row in rows)}


def _times(line: str, place: str) -> tuple[float, float]:
    fields = line.split()
    try:
        camera, depth = float(fields[0]), float(fields[2])
    except (IndexError, ValueError) as error:
        raise SourceError("is not `rgb_time rgb_file depth_time depth_file`", place=place) from error
    if not 0.0 <= min(camera, depth) <= max(camera, depth) < 9e9:
        raise SourceError("times must be seconds, from 0 to 9e9", place=place)
    return camera, depth


def _from_start(times_s: list[float], first_s: float) -> list[int]:
    """Times on the engine clock: the first picture is taken a tenth of a second after the episode begins."""
    return [START_NS + round((t - first_s + 0.1) * NS_PER_S) for t in times_s]
