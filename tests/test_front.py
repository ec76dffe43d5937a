"""Streams are trusted without any model, and one that contradicts another is taken out until they agree again."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

import edgefuse
from edgefuse import RunConfig
from edgefuse import bundle as bundles
from edgefuse.config import StreamConfig, load_config, parse_config
from edgefuse.doctor import shipped_bundle
from edgefuse.faults import Fault, FaultySource
from edgefuse.front import Front
from edgefuse.plan import Plan, make_plan
from edgefuse.replay import replay, replay_trust
from edgefuse.schema import changed
from edgefuse.sources import Source, open_source
from edgefuse.types import NS_PER_S, Trust
from tiny import Tiny

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "configs" / "site.yaml"


def planned(config: RunConfig) -> Plan:
    return make_plan(bundles.read(shipped_bundle()), config)


def watched(plan: Plan, source: Source) -> Iterator[tuple[int, dict[str, Trust]]]:
    """(time since the first tick in ns, stream -> trust) at every tick."""
    start = None
    for t_ns, trusts in replay_trust(plan, source, tick_hz=10):
        start = t_ns if start is None else start
        yield t_ns - start, trusts


@pytest.fixture(scope="module")
def site() -> Source:
    return open_source("site:seed=11&duration_s=10")


def test_on_the_site_depth_agrees_with_the_lidar(site: Source) -> None:
    healths = {trust["depth"].health for t, trust in watched(planned(load_config(SITE)), site) if t > NS_PER_S}
    assert healths == {"ok"}


def test_depth_of_the_wrong_scale_is_taken_out_while_it_lasts_and_stays_out(site: Source) -> None:
    faulty = FaultySource(site, [Fault("depth", "depth_scale", 3.0, 6.0, severity=5)])
    rows = [(t / NS_PER_S, trust["depth"]) for t, trust in watched(planned(load_config(SITE)), faulty)]
    inside = [trust for t, trust in rows if 3.5 < t < 6.0]
    assert {(trust.health, trust.reason) for trust in inside} == {("error", "disagrees")}
    assert {trust.state for trust in inside} == {"absent"}  # a contradicted sample is not held either
    assert {trust.reason for t, trust in rows if t > 7.5} == {None}
    assert {trust.state for t, trust in rows if 1.0 < t < 3.0} == {"fresh"}


def test_without_a_lidar_there_is_nothing_to_contradict(site: Source) -> None:
    faults = [Fault("lidar", "off", 0.0, 60.0), Fault("depth", "depth_scale", 3.0, 6.0, severity=5)]
    rows = list(watched(planned(load_config(SITE)), FaultySource(site, faults)))
    assert "disagrees" not in {trust["depth"].reason for _, trust in rows}


def test_what_is_trusted_is_what_an_engine_trusts(site: Source) -> None:
    source = FaultySource(site, [Fault("camera", "stuck", 2.0, 4.0), Fault("gps", "no_fix", 3.0, 5.0)])
    engine = edgefuse.load(shipped_bundle())
    alone = list(watched(planned(RunConfig()), source))
    for (_, trusts), tick in zip(alone, replay(engine, source, tick_hz=10), strict=True):
        assert dict(tick.result.streams) == trusts


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "depth: {agrees_with: {stream: gps}}",
            "focal_px: is missing; centre_px: is missing; T_depth_lidar: is missing",
        ),
        (
            "camera: {agrees_with: {%s}}",
            r"streams\.camera\.agrees_with: a depth stream can agree with a lidar; this is camera",
        ),
        ("depth: {agrees_with: {%s, within: 3}}", r"streams\.depth\.agrees_with: within: unknown key"),
    ],
)
def test_an_agreement_that_cannot_be_is_refused(text: str, words: str) -> None:
    mounted = "stream: lidar, focal_px: 40, centre_px: [1, 1], T_depth_lidar: [[1,0,0,0],[0,1,0,0],[0,0,1,0]]"
    config = parse_config(f"streams: {{{text.replace('%s', mounted)}}}".encode(), "x.yaml")
    with pytest.raises(edgefuse.ConfigError, match=words):
        planned(config)


def test_a_stream_of_vectors_agrees_with_nothing(tmp_path: Path) -> None:
    mounted = "stream: b, focal_px: 40, centre_px: [1, 1], T_depth_lidar: [[1,0,0,0],[0,1,0,0],[0,0,1,0]]"
    config = parse_config(f"streams: {{a: {{agrees_with: {{{mounted}}}}}}}".encode(), "x.yaml")
    bundle = Tiny().write(tmp_path / "tiny.efb")
    with pytest.raises(edgefuse.ConfigError, match="this is vector, 'b' is vector"):
        make_plan(bundle, config)


def test_memory_does_not_grow_with_what_has_passed() -> None:
    front, source = Front(planned(RunConfig())), open_source("drill:samples=60000")
    tracemalloc.start()
    try:
        for k, sample in enumerate(source.samples()):
            front.push(sample.stream, sample.stamp_ns, sample.payload, sample.arrived_ns)
            if k % 8 == 0:
                front.trusts(sample.arrived_ns)
            if k == 20_000:
                before = tracemalloc.get_traced_memory()[0]
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 100_000  # bytes, over 40,000 samples


def test_a_contradiction_that_can_seldom_be_checked_does_not_let_the_stream_back_in_between(site: Source) -> None:
    config = load_config(SITE)
    slow = changed(config.streams.get("lidar", StreamConfig()), fresh_ms=2000.0, max_age_ms=3000.0)
    config = changed(config, streams={**config.streams, "lidar": slow})
    faults = [Fault("lidar", "slow", 2.0, 60.0), Fault("depth", "depth_scale", 3.0, 60.0, severity=5)]
    told = [trust["depth"].reason for _, trust in watched(planned(config), FaultySource(site, faults))]
    first = told.index("disagrees")
    assert set(told[first:]) == {"disagrees"}
    assert len(told) - first > 50
