"""Training data from the simulated site: moments through the device's own preprocessing, cached as plain .npy files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from edgefuse import modalities
from edgefuse.modalities import KINDS
from edgefuse.schema import validate
from edgefuse.sources import site
from edgefuse.types import Array
from edgefuse_export.errors import kept_in
from edgefuse_export.labelled import Labelled
from edgefuse_export.workers import worked

# Seeds of disjoint sets of sites: what is trained on, measured on, and checked with is never the same.
TRAIN_SEED, TEST_SEED, CHECK_SEED = 0, 1_000_000_000, 2_000_000_000
Made = tuple[dict[str, Array], int]  # stream -> tensor, and the label
PIECE = 8  # moments that are handed to a process at once
LATITUDE_DEG, LONGITUDE_DEG, ALTITUDE_M = site.ANCHOR

PREPROCESS: Mapping[str, Mapping[str, Any]] = {
    "camera": {"width": 64, "height": 48},
    "depth": {"width": 64, "height": 48},
    "lidar": {
        "x_min_m": -12.8,
        "y_min_m": -12.8,
        "cell_m": 0.4,
        "rows": 64,
        "cols": 64,
        "z_edges_m": [-3.2, -2.2, -1.5, -0.7, 2.4],
    },
    "gps": {"latitude_deg": LATITUDE_DEG, "longitude_deg": LONGITUDE_DEG, "altitude_m": ALTITUDE_M},
}


def site_data(
    folder: Path, first_seed: int, samples: int, workers: int, progress: Callable[[Iterator[Any]], Iterator[Any]]
) -> Labelled:
    """Moments first_seed to first_seed + samples - 1, from the cache in `folder` where it holds just these.

    `progress` is handed the iterator over moments and passes it on.
    """
    seeds = range(first_seed, first_seed + samples)
    return cached(folder, moment, tuple(PREPROCESS), {"preprocess": PREPROCESS}, seeds, workers, progress)


def cached(
    folder: Path,
    make: Callable[[int], Made],
    streams: Sequence[str],
    of: Mapping[str, Any],
    seeds: range,
    workers: int,
    progress: Callable[[Iterator[Any]], Iterator[Any]],
) -> Labelled:
    """What `make`, a function of a module, gives of these streams for each seed; from the cache if it holds just that.

    of: whatever else the result depends on, beside the seeds and the simulator, JSON-ready. ExportError naming a folder
    that cannot be written or read.
    """
    with kept_in(folder):
        wanted = {"first_seed": seeds.start, "samples": len(seeds), **of, "simulator": _fingerprint()}
        note = folder / "made_from.json"
        if not note.is_file() or json.loads(note.read_text()) != json.loads(json.dumps(wanted)):
            note.unlink(missing_ok=True)
            _generate(folder, make, seeds, workers, progress)
            note.write_text(json.dumps(wanted, indent=1))
        tensors = {stream: np.load(folder / f"{stream}.npy", mmap_mode="r", allow_pickle=False) for stream in streams}
        return Labelled(tensors, np.load(folder / "labels.npy", allow_pickle=False))


def moment(seed: int) -> Made:
    """One simulated moment as the encoders see it: stream -> tensor, and its label."""
    snapshot = site.snapshot(seed)
    return {stream: tensor_of(stream, snapshot.payloads[stream]) for stream in PREPROCESS}, snapshot.label


def tensor_of(stream: str, payload: Array) -> Array:
    """A raw payload of the site through the device's preprocessing."""
    kind = KINDS[stream]
    return kind.tensor_from(payload, validate(kind.params, PREPROCESS[stream]))


def _generate(
    folder: Path,
    make: Callable[[int], Made],
    seeds: range,
    workers: int,
    progress: Callable[[Iterator[Any]], Iterator[Any]],
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.zeros(len(seeds), np.int64)
    stores: dict[str, Array] = {}
    for row, (tensors, label) in progress(_made(make, seeds, workers)):
        if not stores:
            stores = {s: _store(folder / f"{s}.npy", t, len(seeds)) for s, t in tensors.items()}
        for stream, tensor in tensors.items():
            stores[stream][row] = tensor
        labels[row] = label
    np.save(folder / "labels.npy", labels, allow_pickle=False)


def _store(path: Path, tensor: Array, rows: int) -> Array:
    store: Array = np.lib.format.open_memmap(path, mode="w+", dtype=tensor.dtype, shape=(rows, *tensor.shape))
    return store


def _made(make: Callable[[int], Made], seeds: range, workers: int) -> Iterator[tuple[int, Made]]:
    """The row of each moment, and the moment, as they come."""
    pieces = [range(first, min(first + PIECE, len(seeds))) for first in range(0, len(seeds), PIECE)]
    with worked(partial(_piece, make, seeds), pieces, workers) as made:
        yield from chain.from_iterable(made)


def _piece(make: Callable[[int], Made], seeds: range, rows: range) -> list[tuple[int, Made]]:
    return [(row, make(seeds[row])) for row in rows]


def _fingerprint() -> str:
    """Of the sources that moments come from: a change there makes the cache worthless."""
    folders = [Path(str(module.__file__)).parent for module in (site, modalities)]
    digest = hashlib.sha256()
    for file in sorted(path for folder in folders for path in folder.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
