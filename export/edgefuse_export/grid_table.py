"""What the grid says: by fusion, form and depth the accuracy with its interval, the study's own figures beside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from edgefuse.types import F64
from edgefuse_export.clip_encoders import FORMS
from edgefuse_export.grid import DEPTHS, FUSIONS, Outcome
from edgefuse_export.study_table import interval

# Accuracies printed by the study (Amel et al. 2024, doi 10.3390/electronics13122294): by form, in the order of FUSIONS,
# then camera alone and depth alone. About 243 test clips, one training each, depth told from the camera.
STUDY: Mapping[str, tuple[float, ...]] = {
    "c3d": (0.741, 0.728, 0.663, 0.683, 0.720, 0.22, 0.675, 0.806, 0.786),
    "slowfast": (0.868, 0.860, 0.860, 0.860, 0.876, 0.8477, 0.893, 0.8601, 0.7984),
    "timesformer": (0.296, 0.296, 0.399, 0.428, 0.383, 0.3868, 0.465, 0.7901, 0.7572),
}
ALONE = ("camera", "depth measured", "depth estimated")
NAMES = {"gated_fusion": "gated", "sum": "addition", "camera": "camera alone"}


@dataclass(frozen=True, slots=True)
class Cell:
    """An accuracy in percent, mean over the seeds, with its 95 % interval over seeds and clips."""

    form: str
    what: str
    way: str  # "joint", "frozen" or "alone"
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1f} ({self.low:.1f} to {self.high:.1f})"


def cells(outcomes: Sequence[Outcome]) -> list[Cell]:
    """Every cell of the grid."""
    found = []
    for form in FORMS:
        own = [o for o in outcomes if o.form == form]
        found += [_cell(form, name, "alone", [o for o in own if o.fusion is None], name) for name in ALONE]
        for depth in DEPTHS:
            for fusion in FUSIONS:
                joint = [o for o in own if (o.fusion, o.depth) == (fusion, depth)]
                name = f"{fusion} {depth}"
                found.append(_cell(form, name, "joint", joint, "joint"))
                found.append(_cell(form, name, "frozen", [o for o in own if o.fusion is None], name))
    return found


def as_json(found: Sequence[Cell]) -> list[dict[str, Any]]:
    """JSON-ready."""
    return [asdict(cell) for cell in found]


def markdown(outcomes: Sequence[Outcome]) -> str:
    """Four tables: trained jointly, on finished encoders, alone, and what that comes to."""
    known = {(c.form, c.what, c.way): c for c in cells(outcomes)}
    head = _head(["streams", *(column for form in FORMS for column in (form, "the study"))])
    n, seeds = outcomes[0].n, len({o.seed for o in outcomes})
    parts = [f"Accuracy in % on {n} clips, mean of {seeds} seeds (95 % over seeds and clips)."]
    for way, title in (("joint", "Encoders and fusion trained together"), ("frozen", "Fusion on finished encoders")):
        parts += [f"\n**{title}**\n", *head]
        parts += [_line(known, f"{fusion} {depth}", way) for depth in DEPTHS for fusion in FUSIONS]
    parts += ["\n**One stream alone**\n", *head, *(_line(known, name, "alone") for name in ALONE)]
    parts += ["\n**Differences in points, paired by seed and clip**\n", *_differences(outcomes)]
    return "\n".join(parts) + "\n"


def _head(columns: Sequence[str]) -> list[str]:
    return [f"| {' | '.join(columns)} |", "| " + " | ".join(["---"] * len(columns)) + " |"]


def _line(known: Mapping[tuple[str, str, str], Cell], what: str, way: str) -> str:
    row = [_words(what)]
    for form in FORMS:
        row += [str(known[form, what, way]), _studied(form, what)]
    return f"| {' | '.join(row)} |"


def _differences(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """What can be told from three seeds: means over the fusions against each other."""
    yield from _head(["", *FORMS])
    grids = {form: _Right([o for o in outcomes if o.form == form]) for form in FORMS}
    for words, of in _comparisons():
        yield f"| {words} | {' | '.join(_signed(of(grid)) for grid in grids.values())} |"


def _comparisons() -> Iterator[tuple[str, Callable[[_Right], F64]]]:
    for depth in DEPTHS:
        for way in ("joint", "frozen"):
            what = f"{way}, depth {depth}"
            yield f"{what}: the fusions less the better stream alone", partial(_Right.gained, depth=depth, way=way)
            yield f"{what}: MultConcat less the other fusions", partial(_Right.multconcat, depth=depth, way=way)
        yield f"depth {depth}: joint less frozen", partial(_Right.joint, depth=depth)
    yield "joint: depth measured less estimated", _Right.measured


def _signed(differences: F64) -> str:
    low, high = interval(differences, None)
    return f"{100 * differences.mean():+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


class _Right:
    """What one form's models got right, float64 [seeds, n], and differences of that."""

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self._alone = [o for o in outcomes if o.fusion is None]
        self._joint = [o for o in outcomes if o.fusion is not None]

    def gained(self, depth: str, way: str) -> F64:
        """The fusions' mean, less the stream that is better alone."""
        return self._mean(FUSIONS, depth, way) - max(self._of("camera"), self._of(f"depth {depth}"), key=np.mean)

    def multconcat(self, depth: str, way: str) -> F64:
        """MultConcat less the mean of the others."""
        others = [fusion for fusion in FUSIONS if fusion != "multconcat"]
        return self._mean(["multconcat"], depth, way) - self._mean(others, depth, way)

    def joint(self, depth: str) -> F64:
        """The fusions' mean trained with their encoders, less on finished ones."""
        return self._mean(FUSIONS, depth, "joint") - self._mean(FUSIONS, depth, "frozen")

    def measured(self) -> F64:
        """The fusions' mean with the depth that was measured, less with that which the camera tells."""
        return self._mean(FUSIONS, "measured", "joint") - self._mean(FUSIONS, "estimated", "joint")

    def _of(self, name: str) -> F64:
        return np.array([o.rows(name) for o in self._alone], np.float64)

    def _mean(self, fusions: Sequence[str], depth: str, way: str) -> F64:
        if way == "frozen":
            return _mean([self._of(f"{fusion} {depth}") for fusion in fusions])
        rows = [[o.rows("joint") for o in self._joint if (o.fusion, o.depth) == (f, depth)] for f in fusions]
        return _mean([np.array(row, np.float64) for row in rows])


def _mean(parts: Sequence[F64]) -> F64:
    whole: F64 = np.stack(parts).mean(0)
    return whole


def _words(what: str) -> str:
    if what in NAMES:
        return NAMES[what]
    first, _, depth = what.partition(" ")
    return f"depth {depth} alone" if first == "depth" else f"{NAMES.get(first, first)}, depth {depth}"


def _studied(form: str, what: str) -> str:
    """The study's figure, where it has one: its depth was told from the camera."""
    order = [*(f"{fusion} estimated" for fusion in FUSIONS), "camera", "depth estimated"]
    return f"{100 * STUDY[form][order.index(what)]:.1f}" if what in order else ""


def _cell(form: str, what: str, way: str, outcomes: Sequence[Outcome], name: str) -> Cell:
    right = np.array([o.rows(name) for o in outcomes], dtype=np.float64)
    low, high = interval(right, None)
    return Cell(form, what, way, 100 * float(right.mean()), 100 * low, 100 * high)
