"""The verb `doctor`: what this machine gives the engine, or what a source offers and how a bundle can run on it."""

from __future__ import annotations

import argparse

from edgefuse.command import finish, log, positive


def options(parser: argparse.ArgumentParser) -> None:
    """Without a source it is about the machine."""
    add = parser.add_argument
    add("--source", help="listen to this source, as of `run`, and propose a configuration for it on stdout")
    add("--bundle", help="whose streams it is to feed (default: the reference bundle that edgefuse ships)")
    add("--seconds", type=positive, help="how long (default: 5 of a live source, the whole of a recording)")


def doctor(arguments: argparse.Namespace) -> int:
    """Examine, and print what was found."""
    from edgefuse.doctor import describe, examine
    from edgefuse.errors import UsageError

    if arguments.source is not None:
        return _source(arguments)
    if arguments.bundle is not None or arguments.seconds is not None:
        raise UsageError("doctor: --bundle and --seconds go with --source")
    facts = examine()
    print(describe(facts))
    return finish(arguments, facts)


def _source(arguments: argparse.Namespace) -> int:
    """The table for a person goes to stderr, so that stdout is a file to run with."""
    from edgefuse import bundle as bundles
    from edgefuse.doctor import shipped_bundle
    from edgefuse.proposal import proposal
    from edgefuse.sources import open_source
    from edgefuse.survey import LISTEN_S, describe, survey

    manifest = bundles.read(arguments.bundle or shipped_bundle()).manifest
    source = open_source(arguments.source)
    if source.live:
        log(f"listening for {arguments.seconds or LISTEN_S:g} s")
    found = survey(source, arguments.seconds)
    log(describe(found))
    text = proposal(found, manifest, arguments.source)
    print(text, end="")
    told = {"source": arguments.source, **found.as_json(), "proposal": text}
    return finish(arguments, told, 0 if found.whole else 2)
