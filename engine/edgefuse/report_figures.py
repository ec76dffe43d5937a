"""The figures of a report that show what was answered from what: lanes of trust and mode, answers and truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from edgefuse.drawing import INK
from edgefuse.inject_figures import MODE_COLOURS
from edgefuse.report_axes import NAME_LETTERS, framed, legend, named, plain, row_in, subplots, svg, time_axis
from edgefuse.report_run import COLUMNS, MOST_FAILURES, Run, Stretch, columns, outages, right, runs_of

# Colours that stand out from white and from near black alike; what a state and a mode share, means the same of both.
STATE_COLOURS = {
    "absent": "#c4473a",
    "imputed": MODE_COLOURS["abstain"],
    "held": MODE_COLOURS["degraded"],
    "fresh": MODE_COLOURS["full"],
}
COLOURS = {**STATE_COLOURS, **MODE_COLOURS}
OTHER = "#2f7fc1"  # of what a later version may say, and of answers whose truth is not known
_ORDER = ("fresh", "full", "held", "degraded", "imputed", "abstain", "absent", "blind")
_WORST = {name: -i for i, name in enumerate(_ORDER)}  # the lowest is shown; what is not known gives way
_WHITE_ON = frozenset({"absent", "imputed", "abstain"})
_LETTER_EM, _REASON_PT = 0.58, 7.5  # mean width of a letter, and the size of what is written into lanes
_MARGIN = 0.4  # beside it, in letters

RIGHT, WRONG, UNKNOWN, TRUTH = "right", "wrong", "truth not known", "truth"
ANSWER_COLOURS = {RIGHT: MODE_COLOURS["full"], WRONG: STATE_COLOURS["absent"], UNKNOWN: OTHER}
_VERDICTS = {True: RIGHT, False: WRONG, None: UNKNOWN}
_FIRST = {WRONG: 0, UNKNOWN: 1, RIGHT: 2}
MOST_LABELS = 24  # rows of one figure; what was said least often is left out

Bar = tuple[float, float, str]  # from and to in seconds, and what it stands for


def lanes_svg(run: Run) -> str:
    """A lane for each stream, coloured by state with the reasons written in, and one for the mode of each answer."""
    return svg(partial(_lanes, run=run))


def answers_svg(run: Run, output: str) -> str:
    """A row for each label that was given or true: the truth as a pale band, the answers as bars within."""
    return svg(partial(_answers, run=run, output=output))


def labels_of(run: Run, output: str) -> list[str]:
    """The labels that were given or true, by name; the most frequent where they are many."""
    counts = Counter(result["labels"][output] for result in run.results)
    counts.update(label for result in run.results if (label := result.get("truth", {}).get(output)) is not None)
    return sorted(label for label, _ in counts.most_common(MOST_LABELS))


def bars(run: Run, marks: Sequence[str | None], rank: Mapping[str, int]) -> list[Bar]:
    """Marks of answers as bars: where a run is thinned, of each column the mark of the lowest rank."""
    cells = columns(run)
    least = run.length_s / COLUMNS or 1.0
    shown = [_lowest(marks[begin:end], rank) for begin, end in cells]
    found: list[Bar] = []
    for (begin, end), mark in zip(cells, shown, strict=True):
        from_s, to_s = float(run.seconds[begin]), float(run.seconds[end - 1] + run.lasts_s[end - 1])
        if mark is None:
            continue
        if found and found[-1][2] == mark and from_s - found[-1][1] <= 0.01 * run.period_s + least:
            found[-1] = (found[-1][0], max(found[-1][1], to_s), mark)
        else:
            found.append((from_s, max(to_s, from_s + least), mark))
    return found


def _lowest(marks: Sequence[str | None], rank: Mapping[str, int]) -> str | None:
    known = [mark for mark in marks if mark is not None]
    return min(known, key=lambda mark: rank.get(mark, len(rank)), default=None)


def _lanes(pyplot: Any, run: Run) -> Any:
    rows = len(run.streams)
    figure, axes = subplots(pyplot, 0.5 + row_in(run.streams, 0.34) * (rows + 1))
    time_axis(axes, run)
    numbered = outages(run)[:MOST_FAILURES]
    seen = {str(result["mode"]) for result in run.results}
    for row, stream in enumerate(run.streams):
        lane = run.lane(stream)
        seen |= {one["state"] for one in lane}
        _lane(axes, row, bars(run, [one["state"] for one in lane], _WORST))
        written = _write(axes, run, row, [(one["reason"], one["state"]) for one in lane])
        own = [(f"{k}", one) for k, one in enumerate(numbered, start=1) if one.stream == stream]
        _number(axes, run, row, [(k, one) for k, one in own if not written & set(range(one.begin, one.end))])
    bottom = rows + 0.15 * bool(rows)
    _lane(axes, bottom, bars(run, [result["mode"] for result in run.results], _WORST))
    _write(axes, run, bottom, [(result.get("why"), result["mode"]) for result in run.results])
    axes.set_yticks([*range(rows), bottom], [*map(named, run.streams), "mode"])
    axes.set_ylim(bottom + 0.5, -0.5)
    framed(axes, None)
    _legend(axes, dict(_together(seen)))
    return figure


def _lane(axes: Any, row: float, found: Sequence[Bar], height: float = 0.8) -> None:
    for name in dict.fromkeys(bar[2] for bar in found):
        paint(axes, row, height, [bar for bar in found if bar[2] == name], COLOURS.get(name, OTHER))


def paint(axes: Any, row: float, height: float, found: Sequence[Bar], colour: str, **more: Any) -> None:
    """Bars of one colour as one shape, which keeps a page small."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    corners, codes = [], []
    for from_s, to_s, _ in found:
        low, high = row - height / 2, row + height / 2
        corners += [(from_s, low), (to_s, low), (to_s, high), (from_s, high), (from_s, low)]
        codes += [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    if found:
        axes.add_patch(PathPatch(Path(corners, codes), facecolor=colour, linewidth=0, **more))


def _write(axes: Any, run: Run, row: float, said: Sequence[tuple[str | None, str]]) -> set[int]:
    """Write each reason where it begins, if there is room before it or the colour changes; gives where it is."""
    written = set()
    for begin, end, (reason, state, _) in runs_of([(*one, part) for one, part in zip(said, run.parts, strict=True)]):
        if reason and _fits(axes, run, reason, begin, end):
            _text(axes, run, row, begin, reason, state)
            written.add(begin)
    return written


def _number(axes: Any, run: Run, row: float, failed: Sequence[tuple[str, Stretch]]) -> None:
    """Write the numbers of failures into the longest stretch of one colour, if there is room."""
    for number, one in failed:
        own = zip(run.lane(one.stream)[one.begin : one.end], run.parts[one.begin : one.end], strict=True)
        found = runs_of([(lane["state"], part) for lane, part in own])
        begin, end, (state, _) = max(found, key=lambda piece: piece[1] - piece[0])
        if _fits(axes, run, number, one.begin + begin, one.begin + end):
            _text(axes, run, row, one.begin + begin, number, state)


def _text(axes: Any, run: Run, row: float, at: int, text: str, state: str) -> None:
    colour = "white" if state in _WHITE_ON else "#0d1013"
    inset_s = _MARGIN * _letter_s(axes)
    axes.text(run.seconds[at] + inset_s, row, plain(text, 80), color=colour, fontsize=_REASON_PT, va="center_baseline")


def _fits(axes: Any, run: Run, text: str, begin: int, end: int) -> bool:
    return (len(text) + 2 * _MARGIN) * _letter_s(axes) <= run.span_s(begin, end)


def _letter_s(axes: Any) -> float:
    """How many seconds a letter is wide."""
    width_pt = axes.get_window_extent().width * 72.0 / axes.figure.dpi
    return float(_LETTER_EM * _REASON_PT * axes.get_xlim()[1] / width_pt)


def _together(seen: set[str]) -> Iterator[tuple[str, tuple[str, float]]]:
    """Each colour once, with all that it stands for among what was seen."""
    names: dict[str, list[str]] = {}
    for name in (*(name for name in _ORDER if name in seen), *sorted(seen - set(_ORDER))):
        names.setdefault(COLOURS.get(name, OTHER), []).append(plain(name, NAME_LETTERS))
    yield from ((", ".join(own), (colour, 1.0)) for colour, own in names.items())


def _answers(pyplot: Any, run: Run, output: str) -> Any:
    names = labels_of(run, output)
    figure, axes = subplots(pyplot, 0.5 + row_in(names, 0.26) * len(names))
    time_axis(axes, run)
    truth = [result.get("truth", {}).get(output) for result in run.results]
    given = [(result["labels"][output], _VERDICTS[right(result, output)]) for result in run.results]
    for row, name in enumerate(names):
        paint(axes, row, 0.84, bars(run, [TRUTH if true == name else None for true in truth], _FIRST), INK, alpha=0.2)
        found = bars(run, [verdict if label == name else None for label, verdict in given], _FIRST)
        for verdict, colour in ANSWER_COLOURS.items():
            paint(axes, row, 0.4, [bar for bar in found if bar[2] == verdict], colour)
    axes.set_yticks(range(len(names)), [named(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    framed(axes, None)
    used = {verdict for _, verdict in given}
    shown = {f"answer, {v}": (colour, 1.0) for v, colour in ANSWER_COLOURS.items() if v in used}
    _legend(axes, {**shown, **({"truth": (INK, 0.2)} if any(label is not None for label in truth) else {})})
    return figure


def _legend(axes: Any, colours: Mapping[str, tuple[str, float]]) -> None:
    """Names of colours, each with how opaque it is, above the axes."""
    from matplotlib.patches import Patch

    patches = [Patch(facecolor=c, alpha=alpha, label=name, linewidth=0) for name, (c, alpha) in colours.items()]
    legend(axes, 5 if len(patches) <= 5 else 3, handles=patches)
