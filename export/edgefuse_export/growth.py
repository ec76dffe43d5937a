"""Growth: what an answer costs as one thing grows and the rest stays: streams, embeddings, pictures, clouds, ticks."""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgefuse import bundle as bundles
from edgefuse.bench.child import paced, status_mib
from edgefuse.bench.moments import Feed
from edgefuse.bench.profile import Profile
from edgefuse.bench.races import BOUND, ENGINE, Stand, fresh
from edgefuse.engine import Engine
from edgefuse.schema import validate
from edgefuse_export.mockup import MockupSpec, StreamSize, mockup
from edgefuse_export.package import export_recipe
from edgefuse_export.training import Progress

# A small model, so that what grows is seen; the encoders are as cheap as any that are of use.
SMALL = {"tensor": (96, 96), "channels": 8, "stages": 4, "dim": 128, "sensor": (320, 240), "points": 20_000}
KINDS = ("camera", "depth", "lidar", "gps")
WARMUP = 20  # rounds that are not kept


@dataclass(frozen=True, slots=True)
class Grown:
    """One value on one axis, and what was found there: column -> what the table says."""

    axis: str
    value: int
    found: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"axis": self.axis, "value": self.value, **self.found}


@dataclass(frozen=True, slots=True)
class Axis:
    """What grows, in words; through which values; and how one of them is measured: (value, rounds) -> columns."""

    title: str
    values: tuple[int, ...]
    measure: Callable[[int, int], Mapping[str, Any]]


def grow(axes: Sequence[str], rounds: int, progress: Progress) -> Iterator[Grown]:
    """Every value of these axes, one after the other."""
    points = [(name, value) for name in axes for value in AXES[name].values]
    told: Iterator[tuple[str, int]] = progress(iter(points), len(points), "growth")
    return (Grown(name, value, AXES[name].measure(value, rounds)) for name, value in told)


def markdown(found: Sequence[Grown]) -> str:
    """A table for every axis."""
    parts = []
    for name, points in itertools.groupby(found, key=lambda point: point.axis):
        rows = list(points)
        columns = list(rows[0].found)
        parts += ["", f"| {AXES[name].title} | {' | '.join(columns)} |", "| --- " * (1 + len(columns)) + "|"]
        parts += [f"| {row.value:,} | {' | '.join(str(row.found[c]) for c in columns)} |" for row in rows]
    return "\n".join(parts).strip() + "\n"


def sized(streams: int = 4, dim: int = 128, **sizes: Any) -> MockupSpec:
    """The model with so many streams, of the four kinds in turn, joined at width dim; sizes as of `StreamSize`."""
    kinds = [KINDS[k % len(KINDS)] for k in range(streams)]
    given = {**SMALL, "dim": dim, **sizes}
    named = {f"{kind}_{k}": validate(StreamSize, {"kind": kind, **given}) for k, kind in enumerate(kinds)}
    return MockupSpec(name="growth", streams=named, dim=dim)


def _engine(spec: MockupSpec) -> Engine:
    with tempfile.TemporaryDirectory(prefix="edgefuse-growth-") as folder:
        path = Path(folder) / "growth.efb"
        export_recipe(path, mockup(spec))
        return Engine(bundles.read(path))


def _raced(spec: MockupSpec, rounds: int) -> dict[str, Any]:
    """All streams new, beside the same model as one graph."""
    with _engine(spec) as engine:
        section = fresh(Stand.of(engine, Profile(rounds=rounds, warmup=WARMUP)))
    ratio, shares = section.ratios[f"{ENGINE} / {BOUND}"], section.stages
    encode = sum(row["share"] for stage, row in shares.items() if stage.startswith("encode."))
    return {
        "an answer, ms": _ms(statistics.median(section.timings[ENGINE].ms)),
        "over one graph": f"{ratio['p50']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})",
        "copy, checks, preprocessing": _percent(sum(shares[s]["share"] for s in ("copy", "health", "preprocess"))),
        "encoders": _percent(encode),
        "fusion and head": _percent(shares["fuse"]["share"] + shares["head"]["share"]),
    }


class _Answering:
    """An engine as `paced` asks it."""

    def __init__(self, engine: Engine) -> None:
        stand = Stand.of(engine, Profile(rounds=100))
        self._feed = Feed(engine, stand.played)
        self._feed.settle()

    def answer(self) -> Any:
        return self._feed.answer()


def _rate(hz: int, rounds: int) -> dict[str, Any]:
    """Asleep between the answers."""
    with _engine(sized()) as engine:
        told = paced(_Answering(engine), float(hz), max(2.0, rounds / 100))
    share = told["cpu_s"] / told["wall_s"]
    return {
        "an answer, ms": _ms(statistics.median(told["ms"])),
        "of a processor": _percent(share),
        "processor time of an answer, ms": _ms(1e3 * share / hz),
    }


def _engines(count: int, rounds: int) -> dict[str, Any]:
    """So many engines of one bundle, each with its own samples, answering in turn in one thread."""
    with tempfile.TemporaryDirectory(prefix="edgefuse-growth-") as folder:
        path = Path(folder) / "growth.efb"
        export_recipe(path, mockup(sized()))
        bundle = bundles.read(path)
    first = _Answering(Engine(bundle))  # brings in what all of them share
    first.answer()
    before = status_mib("VmRSS")
    answering = [_Answering(Engine(bundle)) for _ in range(count)]
    times = []
    for _ in range(max(1, rounds // count)):
        for own in answering:
            start_ns = time.perf_counter_ns()
            own.answer()
            times.append((time.perf_counter_ns() - start_ns) / 1e6)
    grown = (status_mib("VmRSS") - before) / count
    return {"an answer, ms": _ms(statistics.median(times)), "memory of each, MiB": f"{grown:.1f}"}


def _ms(value: float) -> str:
    return f"{value:.3f}" if value < 1.0 else f"{value:.2f}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %"


AXES: Mapping[str, Axis] = {
    "streams": Axis("streams", (1, 2, 4, 8, 16), lambda n, rounds: _raced(sized(streams=n), rounds)),
    "embedding": Axis("embedding and fusion", (32, 128, 512, 2048), lambda d, rounds: _raced(sized(dim=d), rounds)),
    "picture": Axis(
        "columns of a raw picture, 4 : 3",
        (160, 320, 640, 1280, 1920),
        lambda w, rounds: _raced(sized(sensor=(w, w * 3 // 4)), rounds),
    ),
    "tensor": Axis(
        "side of what encoders see", (48, 96, 192, 384), lambda s, rounds: _raced(sized(tensor=(s, s)), rounds)
    ),
    "points": Axis(
        "points of a cloud",
        (1_000, 10_000, 50_000, 200_000, 500_000),
        lambda n, rounds: _raced(sized(points=n), rounds),
    ),
    "rate": Axis("answers a second", (1, 5, 20, 50, 100), _rate),
    "engines": Axis("engines in the process", (1, 2, 4, 8, 16), _engines),
}
