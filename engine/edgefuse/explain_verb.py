"""The verb `explain`: how much camera and depth carry of the answers over a source, patch by patch."""

from __future__ import annotations

import argparse
from pathlib import Path

from edgefuse.command import counted, finish, natural, positive


def options(parser: argparse.ArgumentParser) -> None:
    """Which bundle and source, how many moments, and how finely."""
    add = parser.add_argument
    add("--bundle", help="an .efb file (default: the reference bundle that edgefuse ships)")
    add("--source", required=True, nargs="+", help="as of `run`: site:seed=3&duration_s=60, or many: site:seed=1..9")
    add("--output", help="which class output (default: the first)")
    add("--streams", help="pictures to share out among, as camera,depth (default: all of the bundle)")
    add("--without", help="streams that are absent from all answers, as lidar,gps")
    add("--moments", type=counted, default=40, help="at most so many (default 40)")
    add("--every", type=positive, default=1.0, help="seconds between two moments (default 1)")
    add("--grid", type=counted, default=4, help="patches along each side of a picture (default 4)")
    add("--walks", type=counted, default=8, help="pairs of random orders for each moment, from 2 (default 8)")
    add("--seed", type=natural, default=0, help="of the orders (default 0)")
    add("--out", type=Path, help="write one HTML page (needs the extra `report`)")


def explain(arguments: argparse.Namespace) -> int:
    """Explain, print the table, write the page."""
    from edgefuse import bundle as bundles
    from edgefuse.doctor import shipped_bundle
    from edgefuse.errors import UsageError
    from edgefuse.explain import describe
    from edgefuse.explain import explain as explained
    from edgefuse.offline import Offline
    from edgefuse.sources import numbered, open_source

    if arguments.walks < 2:
        raise UsageError("explain: --walks must be at least 2: the error comes from their spread")
    write = None
    if arguments.out is not None:
        from edgefuse.explain_page import page_writer

        write = page_writer(arguments.out, ", ".join(arguments.source))
    offline = Offline(bundles.read(arguments.bundle or shipped_bundle()))
    given = {name: getattr(arguments, name) for name in ("moments", "grid", "walks", "seed")}
    streams, without = _listed(arguments.streams), _listed(arguments.without)
    sources = [open_source(uri) for said in arguments.source for uri in numbered(said)]
    found = explained(offline, sources, arguments.output, streams, without=without, every_s=arguments.every, **given)
    print(describe(found))
    if write is not None:
        write(found)
    return finish(arguments, found.as_json(), 0 if found.whole else 2)


def _listed(said: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in said.split(",")) if said else ()
