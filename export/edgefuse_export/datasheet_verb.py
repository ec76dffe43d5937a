"""The verb `datasheet`: measure a bundle on held-out data, and write it again with what was found."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgefuse.command import finish, positive
from edgefuse.schema import document_of

if TYPE_CHECKING:
    from edgefuse.offline import Offline
    from edgefuse_export.held_out import Moments


def options(parser: argparse.ArgumentParser) -> None:
    """Which bundle, which data, and where to write."""
    parser.add_argument("bundle", help="an .efb file")
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--data", help="a task's held-out rows: site, digits[:DIR], utd-mhad:DIR, hydraulic:DIR")
    data.add_argument("--labelled", type=Path, help="a folder of STREAM.npy, labels.npy and maybe groups.npy")
    data.add_argument("--source", nargs="+", help="sequences that know the truth: 'site:seed=1..9&duration_s=20'")
    parser.add_argument("--output", help="which class output (default: the first)")
    parser.add_argument("--rate", type=positive, default=10.0, help="ticks per second of a sequence (default 10)")
    parser.add_argument("--within", type=positive, help="refuse 95 %% intervals wider than plus and minus this")
    parser.add_argument("--work", type=Path, default=Path("runs/datasheet"), help="where data that is made is kept")
    parser.add_argument("--split", help="what the data is, in words")
    parser.add_argument("--out", type=Path, help="the bundle to write (default: the same file)")


def datasheet(arguments: argparse.Namespace) -> int:
    """Measure, print the table, write the bundle."""
    from edgefuse import bundle as bundles
    from edgefuse.offline import Offline
    from edgefuse_export.datasheet import measure
    from edgefuse_export.evaluate import as_json, table
    from edgefuse_export.rewrite import rewrite
    from edgefuse_export.run import progress

    bundle = bundles.read(arguments.bundle)
    offline = Offline(bundle)
    output = arguments.output or bundle.manifest.head.outputs[0].name
    moments, aged, split = _held_out(arguments, offline, output)
    found = measure(offline, output, arguments.split or split, moments, aged, progress, arguments.within)
    print(table(found.sheet))
    for note in found.notes:
        print(f"note: {note}")
    out = arguments.out or Path(arguments.bundle)
    document = as_json(found.sheet)
    changes = {"datasheet": "datasheet.json", "fallback": _fallback(offline, found.rung)}
    rewrite(bundle, out, changes, {"datasheet.json": _packed(document)})
    print(f"ladder: hold > {found.rung}\n{out} written")
    return finish(arguments, {"out": str(out), "rung": found.rung, "notes": list(found.notes), "datasheet": document})


def _held_out(
    arguments: argparse.Namespace, offline: Offline, output: str
) -> tuple[Moments, Callable[[int, float], Moments] | None, str]:
    """The moments, the same with a stream older where time is known, and what they are in words."""
    from edgefuse.sources import numbered, open_source
    from edgefuse_export.held_out import moments_of, of_labelled, record
    from edgefuse_export.labelled import read_labelled
    from edgefuse_export.run import progress
    from edgefuse_export.settings import Settings
    from edgefuse_export.tasks import open_task

    if arguments.labelled is not None:
        return of_labelled(offline, read_labelled(arguments.labelled), progress), None, "held-out rows"
    if arguments.data is not None:
        task = open_task(arguments.data, Settings(), arguments.work, progress)
        return of_labelled(offline, task.test, progress), None, task.split
    uris = [uri for given in arguments.source for uri in numbered(given)]
    told = progress(iter(uris), len(uris), "recordings")
    kept = [record(offline, open_source(uri), output, arguments.rate) for uri in told]
    split = f"{len(kept)} recordings at {arguments.rate:g} Hz: {', '.join(arguments.source)}"
    return moments_of(kept, offline), lambda i, ms: moments_of(kept, offline, i, ms), split


def _fallback(offline: Offline, rung: str) -> dict[str, Any]:
    spec: dict[str, Any] = document_of(offline.bundle.manifest.fallback)
    return {**spec, "ladder": ["hold", rung]}


def _packed(document: dict[str, Any]) -> bytes:
    import json

    return json.dumps(document, indent=1, allow_nan=False).encode()
