"""The verb `replay`: a bundle on recordings with faults, and whether its expectations hold there."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edgefuse.command import finish, log, positive
from edgefuse.progress import until_stopped

if TYPE_CHECKING:
    from edgefuse.sources import Source
    from edgefuse_export.replayed import Faults


def options(parser: argparse.ArgumentParser) -> None:
    """Which bundle, which recordings, and what goes wrong."""
    parser.add_argument("bundle", help="an .efb file")
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--source", nargs="+", help="recordings that know the truth: 'site:seed=1..9&duration_s=20'")
    data.add_argument("--clips", type=Path, help="folder of UTD-MHAD: the clips of people with even numbers, in a row")
    wrong = parser.add_mutually_exclusive_group()
    wrong.add_argument("--campaign", type=Path, help="faults for each recording, as `edgefuse inject` takes them")
    wrong.add_argument("--lose", help="streams `a,b` that send nothing any more from --at on")
    parser.add_argument("--at", type=positive, help="seconds (default: half of the clips; of other sources 10)")
    parser.add_argument("--config", help="of the run, YAML")
    parser.add_argument("--output", help="which class output (default: the first)")
    parser.add_argument("--rate", type=positive, help="ticks per second (default 10; of clips 20)")


def replay(arguments: argparse.Namespace) -> int:
    """Replay, count by mode, print."""
    import edgefuse
    from edgefuse_export.errors import ExportError
    from edgefuse_export.replayed import answered, figures, table
    from edgefuse_export.run import progress

    engine = edgefuse.load(arguments.bundle, arguments.config)
    output = arguments.output or engine.bundle.manifest.head.outputs[0].name
    sources = _sources(arguments)
    faults = _faults(arguments, {plan.name: plan.topic for plan in engine.plan.streams}, sources)
    rate = arguments.rate or (20.0 if arguments.clips else 10.0)
    told = progress(iter(sources), len(sources), "recordings")
    answers, stopped = until_stopped(answered(engine, told, faults, output, rate))
    if not answers:
        raise ExportError(f"no answer of {output!r} has both a truth and an expectation: is there a datasheet?")
    found, begun = figures(answers), answers[-1].recording + 1
    if stopped:
        log(f"stopped in recording {begun} of {len(sources)}")
    print(table(found))
    document = {"recordings": begun, "modes": [figure.as_json() for figure in found]}
    return finish(arguments, document, 2 if stopped else 0)


def _sources(arguments: argparse.Namespace) -> list[Source]:
    from edgefuse.sources import numbered, open_source
    from edgefuse_export.errors import ExportError
    from edgefuse_export.tasks.utd_mhad import clip_names
    from edgefuse_export.utd_source import UtdClips

    if arguments.clips is None:
        return [open_source(uri) for given in arguments.source for uri in numbered(given)]
    names = [name for name in clip_names(arguments.clips) if name[1] % 2 == 0]
    if not names:
        raise ExportError(f"{arguments.clips}: no clips of people with even numbers")
    return [UtdClips(arguments.clips, names)]


def _faults(arguments: argparse.Namespace, topics: Mapping[str, str], sources: list[Source]) -> Faults:
    from edgefuse.campaign import load_campaign
    from edgefuse_export.errors import ExportError
    from edgefuse_export.replayed import drawn, lost
    from edgefuse_export.utd_source import UtdClips

    if arguments.at is not None and not arguments.lose:
        raise ExportError("--at says from when on --lose is: it needs that")
    if arguments.campaign is not None:
        return drawn(load_campaign(arguments.campaign), str(arguments.campaign))
    streams = [name.strip() for name in arguments.lose.split(",")] if arguments.lose else []
    if unknown := [stream for stream in streams if stream not in topics]:
        raise ExportError(f"--lose: no stream {unknown[0]!r}; the bundle has {', '.join(topics)}")
    half_s = sources[0].length_s / 2 if isinstance(sources[0], UtdClips) else 10.0
    return lost([topics[stream] for stream in streams], arguments.at or half_s)
