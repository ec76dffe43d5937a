"""Report: the scenarios of one bench with everything that decides their numbers."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgefuse.bench import conditions, machine, processes, races
from edgefuse.bench.on_device import on_device
from edgefuse.bench.profile import Profile
from edgefuse.bench.races import Peers, Stand
from edgefuse.bench.section import Section
from edgefuse.engine import Engine
from edgefuse.errors import UsageError
from edgefuse.progress import Progress
from edgefuse.schema import document_of

SCHEMA = 1
UNEVEN = 1.15  # largest over smallest median of the tenths of a race: above, the machine was not quiet

Scenario = Callable[[Stand], Section]
SCENARIOS: Mapping[str, Scenario] = {
    "fresh": races.fresh,
    "in_hand": races.in_hand,
    "overhead": races.overhead,
    "subsets": races.each_subset,
    "one_new": races.one_new,
    "gaps": races.gaps,
    "loaded": conditions.loaded,
    "overload": processes.overload,
    "faults": lambda stand: conditions.faulty(stand, f"site:seed=5&duration_s={conditions.fault_seconds(stand)}"),
    "rates": processes.own_rates,
    "idle": processes.idling,
    "starts": processes.starts,
    "memory": processes.weights,
    "energy": conditions.energy,
    "device": on_device,
}


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured, on what, and why it may not be trusted; `whole` unless an interrupt left scenarios out."""

    circumstances: Mapping[str, Any]
    warnings: tuple[str, ...]
    sections: Mapping[str, Section]
    whole: bool = True

    def as_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "circumstances": dict(self.circumstances),
            "warnings": list(self.warnings),
            "scenarios": {name: section.as_json() for name, section in self.sections.items()},
        }


def measured(
    engine: Engine,
    profile: Profile,
    scenarios: Sequence[str],
    peers: Peers | None = None,
    tell: Callable[[Section], None] = lambda section: None,
) -> Report:
    """Run these scenarios, in this order, and tell each as it ends; an interrupt leaves out what is not done by then.

    UsageError: a scenario that there is none of, or a bundle that cannot be fed.
    """
    for name in scenarios:
        if name not in SCENARIOS:
            raise UsageError(f"bench: no scenario {name!r}; there are {', '.join(SCENARIOS)}")
    stand, known = Stand.of(engine, profile, peers), machine.facts()
    before = machine.state()
    sections = dict[str, Section]()
    with Progress(len(scenarios), "scenarios") as progress:
        for name in scenarios:
            sections[name] = SCENARIOS[name](stand)
            tell(sections[name])
            progress.step()
    after = machine.state()
    manifest = engine.bundle.manifest
    circumstances = {
        **known,
        "bundle": manifest.name,
        "bundle_version": manifest.bundle_version,
        "sha256": engine.bundle.sha256,
        "command": sys.argv[1:],
        "profile": document_of(profile),
        "providers": [engine.parts.provider],
        "refused": [str(refused) for refused in engine.parts.refused],
        "at_utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "before": before.as_json(),
        "after": after.as_json(),
    }
    told = machine.warnings(before, after, known)
    if progress.stopped:
        told = [*told, f"stopped after {len(sections)} of {len(scenarios)} scenarios"]
    return Report(circumstances, tuple(_doubts(sections, profile, told)), sections, not progress.stopped)


def _doubts(sections: Mapping[str, Section], profile: Profile, told: Sequence[str]) -> Iterator[str]:
    yield from told
    for timing in sections["fresh"].timings.values() if "fresh" in sections else ():
        if timing.ms.size < profile.least_count:
            yield f"fresh: {timing.name} has {timing.ms.size} answers, the profile asks for {profile.least_count}"
        tenths = [float(np.median(block)) for block in timing.blocks()]
        if max(tenths) > UNEVEN * min(tenths):
            span = f"from {min(tenths):.3f} to {max(tenths):.3f} ms"
            yield f"fresh: {timing.name} was uneven: its median by tenths went {span}"
