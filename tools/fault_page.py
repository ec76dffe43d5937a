"""Write docs/faults.md from the table of faults; `make docs` runs it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from edgefuse.faults import FAMILIES, KINDS, Kind

PAGE = Path(__file__).resolve().parents[1] / "docs" / "faults.md"

_TEXT = """# Faults

{count} ways in which sensors fail can be put between any source and the engine, each for a while and on one stream:
in the configuration, or in Python as `FaultySource(source, [Fault(...)], seed)`. They say what a model and its fallback
are worth before a sensor says so in the field.

```yaml
seed: 7
faults:
  - {{stream: camera, kind: fog, severity: 4, from_s: 5.0, to_s: 20.0}}
  - {{stream: gps, kind: delayed, delay_ms: 600, from_s: 10.0, to_s: 15.0}}
```

`from_s` and `to_s` count from the first sample of the source. Several faults of one stream act in the order in which
they stand. All chance comes from the seed, the stream and the stamp: the same samples fail in the same way, bit for
bit, and of what is lost by chance a worse severity loses the same things and more. Samples are never written to, and no
fault brings one early. What an earlier fault has made unreadable passes unchanged through the corruptions of content.

| key | default | of |
| --- | --- | --- |
| `severity` | 3 | every kind with levels: 1 is the mildest, 5 the worst |
| `share` | 0.3 | `intermittent` |
| `delay_ms` | 300 | `delayed` |
| `jump_s` | 100 | `stamp_jump` |
| `drift_ppm` | 100 | `clock_drift` |
{sections}"""

_TITLES = {
    "transport": "Delivery and format",
    "time": "Time",
    "camera": "Camera",
    "depth": "Depth",
    "lidar": "Lidar",
    "gps": "GPS",
}

_WORDS = {
    "transport": "Of any stream, unless the last column says otherwise.",
    "time": "Of any stream, in five severities.",
    "camera": "Where levels come from: ImageNet-C for pictures; `dark` and `quantise` from RoboBEV.",
    "depth": "There is no common benchmark of depth; holes and scale are the usual ones, the others were chosen.",
    "lidar": "Where levels come from: Robo3D, MultiCorrupt and 3D Corruptions in Autonomous Driving.",
    "gps": "There is no common benchmark of receivers; levels lie around the gates of PX4 and ArduPilot.",
}


def page() -> str:
    """The whole page."""
    return _TEXT.format(count=len(KINDS), sections="".join(_section(family) for family in FAMILIES))


def _section(family: str) -> str:
    rows = {name: kind for name, kind in KINDS.items() if kind.family == family}
    last = "for" if family == "transport" else "severities 1 to 5"
    lines = [f"| `{name}` | {kind.what} | {_last(kind)} |" for name, kind in _sorted(rows).items()]
    table = "\n".join([f"| kind | what happens | {last} |", "| --- | --- | --- |", *lines])
    return f"\n## {_TITLES[family]}\n\n{_WORDS[family]}\n\n{table}\n"


def _sorted(rows: Mapping[str, Kind]) -> dict[str, Kind]:
    """As the table has them, those without levels first."""
    return dict(sorted(rows.items(), key=lambda row: row[1].graded))


def _last(kind: Kind) -> str:
    if kind.family == "transport":
        return ", ".join(sorted(kind.fits)) if kind.fits else "any"
    return ", ".join(_level(level) for level in kind.levels)


def _level(level: float | tuple[float, ...]) -> str:
    parts = level if isinstance(level, tuple) else (level,)
    return " / ".join(f"{part:.4g}" for part in parts)


def main() -> int:
    """Write the page."""
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
