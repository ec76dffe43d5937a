"""The verb `retrofit`: give a finished bundle the best stand-ins that can be fitted for its absent streams."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from edgefuse.command import finish
from edgefuse.schema import document_of
from edgefuse_export import fitted


def options(parser: argparse.ArgumentParser) -> None:
    """Which bundle, and which data to fit and to choose by."""
    fitted.options(parser)


def retrofit(arguments: argparse.Namespace) -> int:
    """Fit, compare, choose, write."""
    from edgefuse import bundle as bundles
    from edgefuse.offline import Offline
    from edgefuse_export.held_out import of_labelled
    from edgefuse_export.retrofit import retrofit as fit
    from edgefuse_export.rewrite import rewrite
    from edgefuse_export.run import progress

    bundle = bundles.read(arguments.bundle)
    offline = Offline(bundle)
    output = arguments.output or bundle.manifest.head.outputs[0].name
    data = fitted.data_of(arguments)
    seen, held = (of_labelled(offline, rows, progress) for rows in data)
    choice = fit(offline, output, seen, held, progress)
    print(_table(choice.accuracy))
    print(f"chosen: {choice.best.name}, on half of {len(held)} held-out moments; the figures are of the other half")
    out = arguments.out or Path(arguments.bundle)
    fallback, files = _parts(offline, choice)
    rewrite(bundle, out, {"fallback": fallback}, files)
    print(f"{out} written; `edgefuse-export datasheet` measures it")
    return finish(arguments, {"out": str(out), "chosen": choice.best.name, "accuracy": choice.accuracy})


def _parts(offline: Any, choice: Any) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The fallback of the manifest, and the files it names. The means go along: they cost next to nothing."""
    from edgefuse_export.fold import folded

    bundle = offline.bundle
    spec = document_of(bundle.manifest.fallback)
    blocks = {"mean": choice.means.astype("<f4").tobytes()}
    if "token" in spec["blocks"]:
        size = 4 * sum(bundle.manifest.stand_ins)
        begin = size * spec["blocks"].index("token")
        blocks["token"] = bundle[spec["file"]][begin : begin + size]
    spec |= {"ladder": ["hold", choice.best.rung], "blocks": list(blocks), "file": "fallback.bin"}
    files = {"fallback.bin": b"".join(blocks.values())}
    if choice.best.rung == "impute":
        thin = folded(offline, choice.best.maps)
        maps = choice.best.maps if thin is None else thin
        rank = choice.best.rank if thin is None else None
        spec["impute"] = {"file": "impute.bin", "rank": rank, "folded": thin is not None}
        files["impute.bin"] = b"".join(p.astype("<f4").tobytes() for parts in maps.values() for p in parts)
    return spec, files


def _table(accuracy: dict[str, dict[str, float]]) -> str:
    columns = list(next(iter(accuracy.values())))
    lines = ["".join(f"{column:>12}" for column in columns) + "   stand-in"]
    lines += ["".join(f"{100 * told[c]:11.1f}%" for c in columns) + f"   {name}" for name, told in accuracy.items()]
    return "\n".join(lines)
