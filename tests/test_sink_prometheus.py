"""Prometheus can scrape what the answers were made from, by its own conventions, and a scraper stops no run."""

from __future__ import annotations

import math
import re
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prometheus_client", reason="the extra `prometheus` is not installed")

from prometheus_client.parser import text_string_to_metric_families

from edgefuse.errors import SinkError
from edgefuse.sinks import Setting, open_sink
from edgefuse.sinks.prometheus import BUCKETS_S, PrometheusSink
from sink_samples import KINDS, result

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def sink(told: list[str], place: str = "0") -> PrometheusSink:
    return PrometheusSink(f"prometheus:{place}", Setting(KINDS, tell=told.append))


def url_of(lines: list[str]) -> str:
    (url,) = re.findall(r"http://127\.0\.0\.1:\d+/metrics", "\n".join(lines))
    return str(url)


def families(told: list[str]) -> list[Any]:
    with urllib.request.urlopen(url_of(told), timeout=10.0) as answer:
        return list(text_string_to_metric_families(answer.read().decode()))


def scraped(told: list[str]) -> Series:
    """(name, labels) -> value of every series."""
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families(told) for s in f.samples}


def by(series: Series, name: str, label: str) -> dict[str, float]:
    """The values of one metric by one of its labels."""
    return {dict(labels)[label]: value for (found, labels), value in series.items() if found == name}


def test_answers_are_counted_by_mode_and_reasons_by_stream() -> None:
    told: list[str] = []
    with sink(told) as target:
        for mode in ("degraded", "degraded", "blind"):
            target.write(result(mode=mode))
        found = scraped(told)
    assert by(found, "edgefuse_answers_total", "mode") == {"full": 0, "degraded": 2, "abstain": 0, "blind": 1}
    reasons = {labels: value for (name, labels), value in found.items() if name == "edgefuse_reasons_total"}
    assert reasons == {
        (("reason", "stuck"), ("stream", "depth")): 3,
        (("reason", "beams_lost"), ("stream", "lidar")): 3,
        (("reason", "no_data"), ("stream", "gps")): 3,
    }


def test_trust_and_ages_are_those_of_the_last_answer_in_seconds() -> None:
    told: list[str] = []
    with sink(told) as target:
        target.write(result())
        found = scraped(told)
    states = by(found, "edgefuse_trust_state", "stream")
    ages = by(found, "edgefuse_sample_age_seconds", "stream")
    assert states == {"front": 3, "depth": 2, "lidar": 1, "gps": 0, "imu": 3}
    assert math.isnan(ages.pop("gps"))
    assert ages == {"front": 0.05, "depth": 0.3125, "lidar": 0.06, "imu": 0.005}


def test_before_the_first_answer_every_stream_is_there_and_absent() -> None:
    told: list[str] = []
    with sink(told):
        found = scraped(told)
    assert by(found, "edgefuse_trust_state", "stream") == dict.fromkeys(KINDS, 0)
    assert set(by(found, "edgefuse_answers_total", "mode").values()) == {0}
    assert math.isnan(found["edgefuse_last_answer_age_seconds", ()])
    assert not by(found, "edgefuse_expected", "metric")


def test_the_last_answer_grows_old_until_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, told = [100.0], list[str]()
    monkeypatch.setattr("edgefuse.sinks.prometheus.time.monotonic", lambda: clock[0])
    with sink(told) as target:
        ages = []
        target.write(result())
        for seconds in (0.0, 5.0, 60.0):
            clock[0] += seconds
            ages.append(scraped(told)["edgefuse_last_answer_age_seconds", ()])
        target.write(result())
        ages.append(scraped(told)["edgefuse_last_answer_age_seconds", ()])
    assert ages == [0.0, 5.0, 65.0, 0.0]


def test_an_expectation_ends_with_the_answer_it_was_for() -> None:
    told: list[str] = []
    with sink(told) as target:
        target.write(result())
        first = by(scraped(told), "edgefuse_expected", "metric")
        target.write(result(expected=None))
        assert (first, by(scraped(told), "edgefuse_expected", "metric")) == ({"accuracy": 0.75}, {})


def test_latency_is_a_histogram_in_seconds() -> None:
    told: list[str] = []
    with sink(told) as target:
        for total_ms in (0.4, 2.25, 3.0, 5000.0):
            target.write(result(timing_ms={"total": total_ms}))
        found = scraped(told)
    buckets = by(found, "edgefuse_latency_seconds_bucket", "le")
    assert list(map(float, buckets)) == [*BUCKETS_S, math.inf]
    assert (buckets["0.0005"], buckets["0.002"], buckets["0.005"], buckets["1.0"], buckets["+Inf"]) == (1, 1, 3, 3, 4)
    assert found["edgefuse_latency_seconds_sum", ()] == pytest.approx(5.00565)


def test_the_bundle_is_named() -> None:
    told: list[str] = []
    with sink(told) as target:
        target.write(result())
        found = scraped(told)
    assert found["edgefuse_bundle_info", (("name", "site"), ("version", "3"))] == 1


def test_nothing_is_served_but_the_answers() -> None:
    told: list[str] = []
    with sink(told) as target:
        target.write(result())
        names = {family.name for family in families(told)}
    assert all(name.startswith("edgefuse_") for name in names)


def test_two_sinks_do_not_count_for_each_other() -> None:
    one, other = list[str](), list[str]()
    with sink(one) as first, sink(other):
        first.write(result())
        assert by(scraped(other), "edgefuse_answers_total", "mode")["degraded"] == 0


def test_nothing_is_served_to_other_computers() -> None:
    told: list[str] = []
    with sink(told):
        port = int(url_of(told).split(":")[2].split("/")[0])
        listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    assert [address for address in listening if int(address.split(":")[1], 16) == port] == [f"0100007F:{port:04X}"]


def test_a_scraper_that_goes_away_stops_nothing() -> None:
    told: list[str] = []
    with sink(told) as target:
        port = int(url_of(told).split(":")[2].split("/")[0])
        with socket.create_connection(("127.0.0.1", port)) as half_open:
            half_open.sendall(b"GET /metrics HTTP/1.1\r\n")
            target.write(result())
            assert by(scraped(told), "edgefuse_answers_total", "mode")["degraded"] == 1


def test_a_port_is_given_back_at_the_end() -> None:
    told: list[str] = []
    with sink(told):
        pass
    port = url_of(told).split(":")[2].split("/")[0]
    with sink(told, port) as target:
        target.write(result())


def test_a_port_that_is_taken_is_one_clear_error() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(SinkError, match=rf"^prometheus:{port}: port {port} cannot be served on: Address already"),
            sink([], str(port)),
        ):
            pass


@pytest.mark.parametrize("place", ["x", "70000", "1,2", "run.prom", "localhost:9464"])
def test_a_place_that_is_none_is_refused(place: str) -> None:
    with pytest.raises(SinkError, match=rf"^prometheus:{place}: '.*' is no port from 0 to 65535, or one too many$"):
        open_sink(f"prometheus:{place}", Setting(KINDS))


def test_a_run_can_be_scraped_while_it_runs() -> None:
    command = [sys.executable, "-m", "edgefuse.cli", "run", "--source", "site:seed=2&duration_s=3", "--realtime"]
    with subprocess.Popen(
        [*command, "--out", "prometheus:0"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stderr is not None
        lines = [run.stderr.readline()]
        while "full" not in lines[-1]:
            lines.append(run.stderr.readline())
        found = scraped(lines)
        run.communicate(timeout=60)
    assert run.returncode == 0
    assert set(by(found, "edgefuse_trust_state", "stream")) == {"camera", "depth", "lidar", "gps"}
    assert sum(by(found, "edgefuse_answers_total", "mode").values()) >= 1
