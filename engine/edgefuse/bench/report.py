"""Report: the scenarios of one bench with everything that decides their numbers."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgefuse.bench import conditions, machine, processes, races
from edgefuse.bench.profile import Profile
from edgefuse.bench.races import Peers, Stand
from edgefuse.bench.section import Section
from edgefuse.engine import Engine
from edgefuse.errors import UsageError

SCHEMA = 1
UNEVEN = 1.15  # largest over smallest median of the tenths of a race: above, the machine was not quiet
Progress = Callable[[Iterable[str], int, str], Iterator[str]]

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
}


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured, on what, and why it may not be trusted."""

    circumstances: Mapping[str, Any]
    warnings: tuple[str, ...]
    sections: Mapping[str, Section]

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
    progress: Progress,
    peers: Peers | None = None,
    tell: Callable[[Section], None] = lambda section: None,
) -> Report:
    """Run these scenarios, in this order, and tell each as it ends.

    UsageError: a scenario that there is none of, or a bundle that cannot be fed.
    """
    for name in scenarios:
        if name not in SCENARIOS:
            raise UsageError(f"bench: no scenario {name!r}; there are {', '.join(SCENARIOS)}")
    stand, known = Stand.of(engine, profile, peers), machine.facts()
    before = machine.state()
    sections = {}
    for name in progress(scenarios, len(scenarios), "scenarios"):
        sections[name] = SCENARIOS[name](stand)
        tell(sections[name])
    after = machine.state()
    manifest = engine.bundle.manifest
    circumstances = {
        **known,
        "bundle": manifest.name,
        "bundle_version": manifest.bundle_version,
        "sha256": engine.bundle.sha256,
        "command": sys.argv[1:],
        "profile": profile.model_dump(),
        "at_utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "before": before.as_json(),
        "after": after.as_json(),
    }
    return Report(circumstances, tuple(_doubts(sections, profile, machine.warnings(before, after, known))), sections)


def _doubts(sections: Mapping[str, Section], profile: Profile, told: Sequence[str]) -> Iterator[str]:
    yield from told
    for name, section in sections.items():
        for timing in section.timings.values():
            if timing.ms.size < profile.least_count:
                yield f"{name}: {timing.name} has {timing.ms.size} answers, the profile asks for {profile.least_count}"
        if name == "fresh":
            yield from (f"{name}: {t} was uneven" for t in _uneven(section))


def _uneven(section: Section) -> Iterator[str]:
    for timing in section.timings.values():
        tenths = timing.as_json()["tenths_ms"]
        if min(tenths) > 0.0 and max(tenths) / min(tenths) > UNEVEN:
            yield f"{timing.name}, whose median by tenths went from {min(tenths):.3f} to {max(tenths):.3f} ms,"
