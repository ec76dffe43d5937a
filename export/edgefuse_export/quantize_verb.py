"""The verb `quantize`: a bundle in smaller numbers, part by part, where measurement says that it pays."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgefuse.command import counted, finish, positive
from edgefuse.schema import document_of
from edgefuse_export import fitted

if TYPE_CHECKING:
    from edgefuse.bundle import Bundle
    from edgefuse_export.quantize import Ground, Tried


def options(parser: argparse.ArgumentParser) -> None:
    """Which bundle, what to calibrate and to measure on, and how much may be lost."""
    fitted.options(parser)
    parser.add_argument("--most-lost", type=positive, default=0.5, help="points that a subset may lose (default 0.5)")
    parser.add_argument("--calibration", type=counted, default=200, help="samples for the ranges (default 200)")
    parser.add_argument("--rounds", type=counted, default=300, help="of every timing (default 300)")


def quantize(arguments: argparse.Namespace) -> int:
    """Try, choose, write what was chosen, and say why the rest was not."""
    from edgefuse import bundle as bundles
    from edgefuse_export.labelled import first
    from edgefuse_export.quantize import candidates, chosen, ground
    from edgefuse_export.run import progress

    bundle = bundles.read(arguments.bundle)
    seen, held = fitted.data_of(arguments)
    output = arguments.output or bundle.manifest.head.outputs[0].name
    own = ground(bundle, output, held, arguments.most_lost, progress, arguments.rounds)
    tried = candidates(own, first(seen, arguments.calibration), progress)
    best, lost, subset = chosen(own, tried)
    print(_table(own, tried, best))
    document: dict[str, Any] = {"tried": [t.as_json() for t in tried], "taken": [t.part for t in best], "out": None}
    if not best:
        print("nothing is gained: no bundle was written")
        return finish(arguments, document)
    out = arguments.out or Path(arguments.bundle)
    document |= {"out": str(out), "lost": round(lost, 3), "subset": list(subset), **_write(own, best, out)}
    print(
        f"whole answer: {document['time']['p50']:.2f} of the time (by tenths {document['time']['low']:.2f} to "
        f"{document['time']['high']:.2f}), {document['size']:.2f} of the size; the worst subset ({', '.join(subset)}) "
        f"loses {lost:.2f} on {len(own.held)} moments\n{out} written; `edgefuse-export datasheet` measures it anew"
    )
    return finish(arguments, document)


def _write(own: Ground, best: Sequence[Tried], out: Path) -> dict[str, Any]:
    """Write the bundle; how large and how fast it is beside what it was."""
    from edgefuse_export.parts import changes_for, exchanged, portable
    from edgefuse_export.quantize import whole_time
    from edgefuse_export.rewrite import rewrite

    before, parts = own.bundle, {t.part: t.content for t in best}
    changes, files = changes_for(before, parts)
    said = ", ".join(f"{t.part} {t.precision}" for t in best)
    changes["provenance"] = {**before.manifest.provenance, "quantized": said}
    files |= _sheet(before) | {before.manifest.graph: portable(before, parts)}
    after = exchanged(before, parts)
    told = {"size": round(_size(after) / _size(before), 4), "time": whole_time(before, after, own.rounds)}
    rewrite(before, out, changes, files, other_answers=True)
    return told


def _sheet(bundle: Bundle) -> dict[str, bytes]:
    """The datasheet, which says now that it was measured before."""
    import json

    from edgefuse.datasheet import read_datasheet

    sheet, name = read_datasheet(bundle), bundle.manifest.datasheet
    if sheet is None or name is None:
        return {}
    document = {**document_of(sheet), "split": f"{sheet.split}; measured before quantization"}
    return {name: json.dumps(document, indent=1, allow_nan=False).encode()}


def _size(bundle: Bundle) -> int:
    """Bytes of what an answer needs: encoders, fusion, head."""
    manifest = bundle.manifest
    used = {*(s.encoder for s in manifest.streams), manifest.fusion.file, manifest.head.file}
    return sum(len(bundle[file]) for file in used)


def _table(own: Ground, tried: Sequence[Tried], best: Sequence[Tried]) -> str:
    lines = [f"{'part':<16}{'precision':<11}{'bytes':>10}  {'time (by tenths)':<22}{'lost':>6}  in", ""]
    for t in tried:
        time = f"{t.time['p50']:.2f} ({t.time['low']:.2f} to {t.time['high']:.2f})" if t.time else ""
        verdict = "taken" if t in best else t.refused or "another one is taken, or the sum lost too much"
        lost = f"{t.lost:6.2f}  {', '.join(t.subset)}" if t.time else " " * 6
        lines.append(f"{t.part.lower():<16}{t.precision:<11}{len(t.content):>10}  {time:<22}{lost}: {verdict}")
    unit = "points of accuracy, or percent of an error"
    return "\n".join([*lines, "", f"lost: {unit}, in the worst of {len(own.subsets)} subsets; n = {len(own.held)}"])
