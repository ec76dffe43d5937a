"""The task `hydraulic`: how full a test rig's accumulator is, from seven kinds of sensors over one load cycle.

Helwig, Pignanelli and Schuetze 2015, doi 10.1109/I2MTC.2015.7151267; UCI set 447: 2205 cycles of 60 s, while cooler,
valve, pump and accumulator are made worse. Each stream is a window over a whole cycle, one value a second.

Conditions change in blocks: neighbouring cycles are nearly the same, and a random split would measure memory. Here a
block is a run of cycles of one condition of all four parts, mostly ten of them, and whole blocks are held out, see
`held_out`: of each of the 36 ways that cooler, pump and accumulator can be, one valve condition of four is never
trained on. This is harder than a random split.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgefuse.types import F32, Array
from edgefuse_export.declare import ClassOutput, Stream
from edgefuse_export.errors import ExportError
from edgefuse_export.labelled import Labelled
from edgefuse_export.samples import Sample
from edgefuse_export.sequences import cycle_encoder
from edgefuse_export.settings import Settings
from edgefuse_export.task import Task
from edgefuse_export.training import Progress

STEPS = 60  # seconds of a cycle, one value each
PROFILE = "profile.txt"
# What each column of the profile may say: cooler %, valve %, pump leakage, accumulator bar, whether still settling.
COOLER, VALVE, PUMP, ACCUMULATOR, SETTLING = (3, 20, 100), (100, 90, 80, 73), (0, 1, 2), (130, 115, 100, 90), (0, 1)
CONDITIONS = (COOLER, VALVE, PUMP, ACCUMULATOR, SETTLING)
PARTS = 4  # of the rig: all columns but the last

FILES: Mapping[str, tuple[str, ...]] = {
    "pressure": tuple(f"PS{k}_1hz.csv.gz" for k in range(1, 7)),  # bar
    "power": ("EPS1_1hz.csv.gz",),  # W
    "flow": ("FS1_1hz.csv.gz", "FS2_1hz.csv.gz"),  # l/min
    "temperature": tuple(f"TS{k}.txt.gz" for k in range(1, 5)),  # degrees C
    "vibration": ("VS1.txt.gz",),  # mm/s
    "efficiency": ("SE.txt.gz",),  # %
    "cooling": ("CE.txt.gz", "CP.txt.gz"),  # efficiency in %, power in kW; both computed by the rig
}
DEFAULTS = {
    "operator": "multconcat",
    "epochs": 60,
    "batch": 64,
    "label_smoothing": 0.1,
    "weight_decay": 0.05,
    "drop_rate": 0.6,
}
CHECKED = 8  # cycles that the gate checks a bundle with
HIDDEN, EMBEDDING, DROPOUT = 64, 32, 0.3


def open_task(place: Path | None, settings: Settings, work: Path, progress: Progress) -> Task:
    """ExportError naming file and line: nothing there, malformed, or at odds with the others."""
    if place is None:
        raise ExportError("data 'hydraulic' is read from its folder: name it, as hydraulic:DIR")
    if not place.is_dir():
        raise ExportError(f"{place}: no such folder")
    profile = read_profile(place / PROFILE)
    labels = np.array([ACCUMULATOR.index(bar) for bar in profile[:, 3]], np.int64)
    block, held = blocks(profile), held_out(profile)
    data = Labelled(read_cycles(place, len(profile), progress), labels, block)
    train, test = (_rows(data, np.flatnonzero(held == side)) for side in (False, True))
    for part, side in ((train, "to train on"), (test, "held out")):
        if len(np.unique(part.labels)) < len(ACCUMULATOR):
            raise ExportError(f"{place / PROFILE}: not every accumulator condition is {side}")
    return Task(
        name="hydraulic",
        output=ClassOutput("accumulator", [f"{bar} bar" for bar in ACCUMULATOR]),
        train=train,
        test=test,
        split=f"{len(test)} cycles of {len(np.unique(block[held]))} blocks, of conditions unseen in training",
        streams=streams,
        samples=lambda: _samples(test),
        defaults=DEFAULTS,
    )


def streams() -> Mapping[str, Stream]:
    """Fresh encoders, one for each kind of sensor.

    Nothing is augmented: what tells the conditions apart is less than any noise or shift that would make a difference.
    """
    return {
        name: Stream("vector", cycle_encoder(STEPS, len(files), HIDDEN, EMBEDDING, DROPOUT), EMBEDDING, _shape(files))
        for name, files in FILES.items()
    }


def held_out(profile: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool [n]: which cycles are measured on, whole blocks by their condition.

    Of cooler i of COOLER, pump leakage j of PUMP and accumulator k of ACCUMULATOR, from 0, those of valve
    (i + j + k + 1) mod 4 of VALVE. The three long blocks at the beginning of each cooler's time are trained on.
    """
    parts = zip(CONDITIONS[:PARTS], profile.T, strict=False)
    cooler, valve, pump, accumulator = (np.array([known.index(x) for x in column]) for known, column in parts)
    held: NDArray[np.bool_] = valve == (cooler + pump + accumulator + 1) % len(VALVE)
    return held


def _shape(files: Sequence[str]) -> dict[str, list[int]]:
    return {"shape": [STEPS, len(files)]}


def blocks(profile: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 [n]: the number of each cycle's block, from 0, in the order of the rig's time."""
    changes = (np.diff(profile[:, :PARTS], axis=0) != 0).any(1)
    return np.concatenate([[0], np.cumsum(changes)]).astype(np.int64)


def read_cycles(folder: Path, cycles: int, progress: Progress) -> dict[str, F32]:
    """Stream -> float32 [cycles, STEPS, channels], in the units of FILES. ExportError naming file and line."""
    names = [name for files in FILES.values() for name in files]
    tables = {}
    for name in progress(iter(names), len(names), "sensors"):
        table = _table(folder / name, STEPS)
        if len(table) != cycles:
            raise ExportError(f"{folder / name}: {len(table)} cycles, but {PROFILE} has {cycles}")
        tables[name] = table.astype(np.float32)
    return {stream: np.stack([tables[name] for name in files], axis=2) for stream, files in FILES.items()}


def read_profile(path: Path) -> NDArray[np.int64]:
    """int64 [n, 5]: cooler, valve, pump, accumulator, settling, as CONDITIONS has them. ExportError naming the line."""
    table = _table(path, len(CONDITIONS))
    for column, known in enumerate(CONDITIONS):
        if len(odd := np.flatnonzero(~np.isin(table[:, column], known))):
            value = table[odd[0], column]
            raise ExportError(f"{path}: line {odd[0] + 1}: column {column + 1}: {value:g} is none of {known}")
    return table.astype(np.int64)


def _table(path: Path, columns: int) -> Array:
    """float64 [n, columns] of a text file, gzipped where its name says so: values apart by tabs or commas."""
    try:
        text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode("ascii")
    except (OSError, EOFError, zlib.error) as error:
        raise ExportError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    except UnicodeDecodeError as error:
        raise ExportError(f"{path}: byte {error.start}: not ASCII text") from error
    if not (lines := text.splitlines()):
        raise ExportError(f"{path}: no lines")
    return np.stack([_row(f"{path}: line {i}", line, columns) for i, line in enumerate(lines, 1)])


def _row(place: str, line: str, columns: int) -> Array:
    fields = line.replace(",", "\t").split("\t")
    if len(fields) != columns:
        raise ExportError(f"{place}: {len(fields)} values, not {columns}")
    try:
        row = np.array([float(field) for field in fields])
    except ValueError as error:
        raise ExportError(f"{place}: {error}") from error
    if not (np.abs(row) <= np.finfo(np.float32).max).all():  # NaN is not below anything either
        raise ExportError(f"{place}: a value that is not finite as float32")
    return row


def _rows(data: Labelled, index: Array) -> Labelled:
    assert data.groups is not None
    return Labelled(data.rows(index), data.labels[index], data.groups[index])


def _samples(test: Labelled) -> Sequence[Sample]:
    """Cycles spread over all held-out blocks."""
    index = np.linspace(0, len(test) - 1, CHECKED).astype(np.int64)
    return [{name: tensor[i] for name, tensor in test.tensors.items()} for i in index]
