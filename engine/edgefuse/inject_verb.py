"""The verb `inject`: its options, and campaigns of faults run one after the other, each told and held to its limits."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgefuse.command import finish, log, positive
from edgefuse.progress import until_stopped


def options(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("--bundle", help="an .efb file (default: the reference bundle that edgefuse ships)")
    parser.add_argument("--source", required=True, help="what is read once and replayed, a URI as of `run`")
    parser.add_argument(
        "--campaign", required=True, nargs="+", help="YAML: which faults, on which streams, and the limits; or several"
    )
    parser.add_argument("--config", type=Path, help="YAML configuration")
    parser.add_argument("--out", type=Path, help="write one HTML page (needs the extra `report`)")
    parser.add_argument("--rate", type=positive, help="answers per second (default: tick_hz of the configuration)")


def inject(arguments: argparse.Namespace) -> int:
    """Run the campaigns; status 1 where a limit is not kept, 2 where an interrupt leaves replays undone."""
    from edgefuse.campaign import load_campaign
    from edgefuse.doctor import shipped_bundle
    from edgefuse.engine import load

    for path in arguments.campaign:
        load_campaign(path)  # what is wrong with the last one is told before the first has run
    engine = load(arguments.bundle or shipped_bundle(), arguments.config)
    found, _ = until_stopped(_campaigns(arguments, engine))
    left_out = arguments.campaign[len(found) :]
    if left_out:
        log(f"stopped before {', '.join(left_out)}")
    passed = not left_out and all(document["passed"] for document in found)
    whole = {"passed": passed, "campaigns": dict(zip(arguments.campaign, found, strict=False))}
    document = whole if len(arguments.campaign) > 1 else found[0]
    return finish(arguments, document, 2 if left_out or found[-1]["left_out"] else 0 if passed else 1)


def _campaigns(arguments: argparse.Namespace, engine: Any) -> Iterator[dict[str, Any]]:
    """One after the other, up to one that is stopped."""
    for path in arguments.campaign:
        document = _one_campaign(arguments, engine, path)
        yield document
        if document["left_out"]:
            return


def _one_campaign(arguments: argparse.Namespace, engine: Any, path: str) -> dict[str, Any]:
    from edgefuse.inject import inject as injected
    from edgefuse.inject_text import describe
    from edgefuse.limits import checks_of

    page = _campaign_page(arguments.out, path if len(arguments.campaign) > 1 else None)
    place = str(arguments.config or "configuration")
    outcome = injected(engine, arguments.source, path, log, tick_hz=arguments.rate, config_place=place)
    checks = checks_of(outcome)
    print(describe(outcome, checks))
    page(outcome, checks)
    passed = all(check.kept for check in checks)
    return {"passed": passed, "checks": [check.as_json() for check in checks], **outcome.as_json()}


def _campaign_page(out: Path | None, campaign: str | None) -> Any:
    """What writes the page, where one is wanted; what it lacks is told before the work, not after.

    campaign: of several, each has a page of its own, called after it.
    """
    if out is None:
        return lambda outcome, checks: None
    from edgefuse.inject_page import page_writer

    return page_writer(out if campaign is None else out.with_stem(f"{out.stem}-{Path(campaign).stem}"))
