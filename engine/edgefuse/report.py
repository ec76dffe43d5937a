"""Report: the result lines of a run, read and checked, and a picture of it: trust in each stream, mode, answers."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct, field, to_builtins

from edgefuse.colours import MODE_COLOURS, STATE_COLOURS
from edgefuse.complaints import complaint
from edgefuse.errors import SinkError, SourceError
from edgefuse.files import write_whole
from edgefuse.schema import parse
from edgefuse.types import NS_PER_S


def read_results(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The results of a JSONL file; a SourceError naming the line that is not one."""
    lines: list[dict[str, Any]] = []
    try:
        with Path(path).open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                lines.append(_result(line, f"{os.fspath(path)}:{number}"))
    except (OSError, UnicodeDecodeError) as error:
        what = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise SourceError(f"cannot be read: {what}", place=os.fspath(path)) from error
    if not lines:
        raise SourceError("holds no results", place=os.fspath(path))
    _check_alike(lines, os.fspath(path))
    return lines


def draw(results: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Draw the lanes of a run into a PNG, SVG or PDF file, by its ending."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with matplotlib.rc_context({"text.parse_math": False}):  # a label may hold a dollar
        figure, picture = _figure(pyplot, results), io.BytesIO()
    try:
        figure.savefig(picture, dpi=120, bbox_inches="tight", format=out.suffix.lstrip(".").lower() or "png")
        write_whole(out, picture.getvalue())
    except OSError as error:
        raise SinkError(f"cannot be written: {error.strerror or error}", place=str(out)) from error
    except ValueError as error:
        raise SinkError(f"cannot be drawn: {error}", place=str(out)) from error
    finally:
        pyplot.close(figure)


_Stamp = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_Number = Annotated[float, Meta(gt=-1e39, lt=1e39)]  # what float32 holds, and any age


_Latitude = Annotated[float, Meta(ge=-90.0, le=90.0)]
_Longitude = Annotated[float, Meta(ge=-180.0, le=180.0)]


# Other fields may come and go, so these are plain.
class _Lane(Struct, kw_only=True):
    state: str
    reason: str | None
    health: str | None = None
    age_ms: _Number | None = None


class _Bundle(Struct, kw_only=True):
    name: str
    version: int | None = None


class _Expected(Struct, kw_only=True):
    metric: str
    value: _Number
    low: _Number | None = None
    high: _Number | None = None
    better: str = "higher"


class _Line(Struct, kw_only=True):
    """What a report needs of a result line, and what it shows where a line has it."""

    t_ns: _Stamp
    mode: str
    streams: dict[str, _Lane]
    labels: dict[str, str]
    bundle: _Bundle
    why: str | None = None
    in_domain: bool | None = None
    outputs: dict[str, list[_Number]] = field(default_factory=dict)
    probabilities: dict[str, list[_Number]] = field(default_factory=dict)
    expected: _Expected | None = None
    timing_ms: dict[str, _Number] = field(default_factory=dict)
    attribution: dict[str, dict[str, list[_Number]]] = field(default_factory=dict)
    truth: dict[str, str] = field(default_factory=dict)
    fixes: dict[str, tuple[_Latitude, _Longitude]] = field(default_factory=dict)


def _result(line: str, place: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = to_builtins(parse(_Line, line))
        return found
    except ValueError as error:
        raise SourceError(f"is not a result line of edgefuse run: {complaint(error)}", place=place) from error


def _check_alike(results: Sequence[Mapping[str, Any]], place: str) -> None:
    """Lines of one run name the same streams and outputs, and their time never goes back."""
    for number, (before, result) in enumerate(zip((results[0], *results), results, strict=False), start=1):
        if result["t_ns"] < before["t_ns"]:
            raise SourceError("lies before the line above it: these are two runs", place=f"{place}:{number}")
        if any(result[field].keys() != results[0][field].keys() for field in ("streams", "labels")):
            raise SourceError("names other streams or outputs than line 1", place=f"{place}:{number}")


def _figure(pyplot: Any, results: Sequence[Mapping[str, Any]]) -> Any:
    rows = len(results[0]["streams"]) + 1
    figure, (lanes, answers) = pyplot.subplots(2, 1, figsize=(10, 4.5), sharex=True, height_ratios=[rows, 3])
    draw_lanes(lanes, results)
    draw_answers(answers, results)
    return figure


def draw_lanes(axes: Any, results: Sequence[Mapping[str, Any]]) -> None:
    """One lane a stream, coloured by its state with its reasons written in, and one for the mode."""
    streams, seconds = list(results[0]["streams"]), _seconds(results)
    for row, stream in enumerate(streams):
        _lane(axes, row, seconds, [r["streams"][stream]["state"] for r in results], STATE_COLOURS)
        _reasons(axes, row, seconds, [r["streams"][stream]["reason"] for r in results])
    _lane(axes, len(streams), seconds, [r["mode"] for r in results], MODE_COLOURS)
    axes.set_yticks(range(len(streams) + 1), [*streams, "mode"])
    axes.invert_yaxis()
    axes.set_title(f"{results[0]['bundle']['name']}: trust in each stream, and the mode of each answer", fontsize=10)
    _legend(axes)


def _seconds(results: Sequence[Mapping[str, Any]]) -> list[float]:
    return [(result["t_ns"] - results[0]["t_ns"]) / NS_PER_S for result in results]


def _lane(axes: Any, row: int, seconds: Sequence[float], states: Sequence[str], colours: Mapping[str, str]) -> None:
    period = seconds[1] - seconds[0] if len(seconds) > 1 else 0.1
    for state, colour in colours.items():
        bars = [(s, period) for s, have in zip(seconds, states, strict=True) if have == state]
        axes.broken_barh(bars, (row - 0.4, 0.8), color=colour, linewidth=0)


def _reasons(axes: Any, row: int, seconds: Sequence[float], reasons: Sequence[str | None]) -> None:
    """Write each reason once, where it begins and stays for more than a moment."""
    begin = 0
    for i in range(1, len(reasons) + 1):
        if i < len(reasons) and reasons[i] == reasons[begin]:
            continue
        if reasons[begin] is not None and i - begin >= 5:
            axes.text(seconds[begin], row, f" {reasons[begin]}", color="white", fontsize=7, va="center", clip_on=True)
        begin = i


def _legend(axes: Any) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(color=colour, label=name) for name, colour in (*STATE_COLOURS.items(), *MODE_COLOURS.items())]
    axes.legend(handles=patches, ncol=1, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def draw_answers(axes: Any, results: Sequence[Mapping[str, Any]]) -> None:
    """The answer at each tick as a dot, over the truth as a grey line where the source knew it."""
    output = next(iter(results[0]["labels"]), None)
    if output is None:
        return
    seconds, given = _seconds(results), [r["labels"][output] for r in results]
    truth = [r.get("truth", {}).get(output) for r in results]
    names = sorted({name for name in (*given, *truth) if name is not None})
    rows = {name: i for i, name in enumerate(names)}
    if any(truth):
        levels = [rows.get(name, float("nan")) for name in truth]
        axes.step(seconds, levels, where="post", color="#9e9e9e", lw=5, label="truth")
    axes.plot(seconds, [rows[name] for name in given], ".", color="#1565c0", ms=4, label="answer")
    axes.set_yticks(range(len(names)), names)
    note = "" if results[0].get("in_domain") is not False else " (another world than the model's: no meaning here)"
    axes.set_xlabel(f"seconds{note}")
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
