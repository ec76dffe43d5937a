"""Inject: a campaign of faults put between a recording and the engine, one replay each, compared with a clean one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from edgefuse.campaign import ANY, Campaign, by_name, load_campaign, trials_of
from edgefuse.engine import Engine
from edgefuse.errors import ConfigError
from edgefuse.faults import Fault
from edgefuse.feeds import unfed
from edgefuse.limits import need_truth
from edgefuse.outcome import Outcome
from edgefuse.progress import Progress
from edgefuse.recorded import Recorded, record
from edgefuse.replay import same_world
from edgefuse.scores import accuracy, retained
from edgefuse.sources import open_source
from edgefuse.trial import Bench, Played, clean_outcome, play, trial_outcome

Tell = Callable[[str], None]


def inject(
    engine: Engine,
    uri: str,
    campaign_path: str,
    tell: Tell,
    *,
    tick_hz: float | None = None,
    config_place: str = "configuration",
) -> Outcome:
    """Run the campaign of a file on the source at `uri`; `tell` gets notes for a person.

    Ctrl-C leaves an outcome of the replays that are done by then.

    Raises ConfigError where campaign, configuration and source do not fit, SourceError where the source cannot be kept.
    """
    campaign, started_s = load_campaign(campaign_path), time.monotonic()
    if engine.plan.config.faults:
        raise ConfigError("a campaign says itself which faults there are", place=f"{config_place}: faults")
    recorded = record(open_source(uri), uri, campaign.times)
    kind_of = _fed(engine, recorded, tell, config_place)
    trials = trials_of(campaign, kind_of, recorded.length_s, campaign_path)
    _check_streams(campaign, kind_of, campaign_path)
    tick_hz = tick_hz or engine.plan.config.tick_hz
    bench = Bench(engine, recorded, campaign.seed, tick_hz, tuple(kind_of), campaign.through == "answer")
    read_s = time.monotonic()
    clean = play(bench, ())
    clean_s = time.monotonic()
    known = any(seen.right is not None for seen in clean.records)
    if not known:
        need_truth(campaign.limits, campaign_path)
    retention: dict[str, float | None] = {} if known else dict.fromkeys(bench.streams)
    found = []
    with Progress(len(trials) + known * len(bench.streams), "replays") as progress:
        for trial in trials:
            found.append(trial_outcome(bench, trial, clean))
            progress.step()
        for stream in bench.streams if known else ():
            retention[stream] = _retention(bench, stream, clean)
            progress.step()
    return Outcome(
        place=campaign_path,
        source=uri,
        bundle=(engine.bundle.manifest.name, engine.bundle.manifest.bundle_version),
        campaign=campaign,
        in_domain=same_world(engine, recorded),
        tick_hz=bench.tick_hz,
        length_s=round(recorded.length_s, 3),
        streams=bench.streams,
        clean=clean_outcome(bench, clean),
        clean_share=accuracy(clean.records),
        trials=tuple(found),
        left_out=len(trials) - len(found) + len(bench.streams) - len(retention),
        retention=retention,
        timing={
            "read_s": round(read_s - started_s, 3),
            "clean_s": round(clean_s - read_s, 3),
            "faulty_s": round(time.monotonic() - clean_s, 3),
        },
    )


def _fed(engine: Engine, recorded: Recorded, tell: Tell, config_place: str) -> dict[str, str]:
    """Stream -> modality kind of the topic that feeds it; streams without one are told."""
    topics = recorded.topics
    for note in unfed(engine.plan, topics, config_place):
        tell(note)
    return {plan.name: topics[plan.topic] for plan in engine.plan.streams if plan.topic in topics}


def _check_streams(campaign: Campaign, kind_of: Mapping[str, str], place: str) -> None:
    """A limit for a stream that is not there would never be held against anything."""
    for stream in by_name(campaign.limits.min_retention):
        if stream != ANY and stream not in kind_of:
            what = f"no stream {stream!r} that the source feeds; there are {', '.join(kind_of)}"
            raise ConfigError(what, place=f"{place}: limits.min_retention.{stream}")


def _retention(bench: Bench, stream: str, clean: Played) -> float | None:
    """What is left of the clean accuracy with a stream off from the first sample to the last."""
    off = play(bench, [Fault(stream, "off", 0.0, float("inf"))])
    return retained(accuracy(off.records), accuracy(clean.records))
