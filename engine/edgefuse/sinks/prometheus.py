"""Prometheus: counters and gauges of the answers for a scraper on this computer, as text over HTTP."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from edgefuse.errors import SinkError
from edgefuse.sinks import Setting
from edgefuse.sinks.base import Sink
from edgefuse.sinks.places import HOST, places_of
from edgefuse.sinks.shown import MODE_NUMBERS, STATE_NUMBERS
from edgefuse.types import Result

PORT = 9464  # what OpenTelemetry's exporters for Prometheus listen on
BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_MS_PER_S = 1e3

# What is counted and gauged: class of the metric, name, help, labels. Prometheus adds `_total` to counters.
_METRICS: Mapping[str, tuple[str, str, str, tuple[str, ...]]] = {
    "answers": ("Counter", "edgefuse_answers", "Answers by mode", ("mode",)),
    "reasons": ("Counter", "edgefuse_reasons", "Answers for which a stream had a reason", ("stream", "reason")),
    "state": ("Gauge", "edgefuse_trust_state", "Trust: 3 fresh, 2 held, 1 imputed, 0 absent", ("stream",)),
    "age": ("Gauge", "edgefuse_sample_age_seconds", "Age of what was used, or came last, if any", ("stream",)),
    "expected": ("Gauge", "edgefuse_expected", "What the datasheet expects of the last answer", ("metric",)),
    "silence": ("Gauge", "edgefuse_last_answer_age_seconds", "Time since the last answer, if any", ()),
    "bundle": ("Gauge", "edgefuse_bundle_info", "Which bundle answers; always 1", ("name", "version")),
}


class PrometheusSink(Sink):
    """`prometheus:9464` serves on 127.0.0.1, on every path; port 0 is any that is free.

    Nothing but what is said here is served: neither the process nor the interpreter are looked into. What is not known
    is NaN. Ages are as they were at the last answer.
    """

    def __init__(self, uri: str, setting: Setting) -> None:
        self._streams, self._tell = tuple(setting.kinds), setting.tell
        self._places = places_of(uri, PORT)
        self._answered_s: float | None = None

    def __enter__(self) -> PrometheusSink:
        """Begin to serve; a SinkError where the port cannot be had."""
        import prometheus_client

        registry = prometheus_client.CollectorRegistry()
        self._metrics: dict[str, Any] = {
            attribute: getattr(prometheus_client, kind)(name, words, labels, registry=registry)
            for attribute, (kind, name, words, labels) in _METRICS.items()
        }
        self._latency = prometheus_client.Histogram(
            "edgefuse_latency_seconds", "How long an answer took", buckets=BUCKETS_S, registry=registry
        )
        self._begin()
        port = self._places.port or 0
        try:
            self._server, self._thread = prometheus_client.start_http_server(port, HOST, registry)
        except OSError as error:
            raise SinkError(f"port {port} cannot be served on: {error.strerror}", place=self._places.uri) from error
        self._tell(f"prometheus: scrape http://{HOST}:{self._server.server_port}/metrics")
        return self

    def write(self, result: Result, truth: Mapping[str, str] | None = None) -> None:
        self._answered_s = time.monotonic()
        metrics = self._metrics
        metrics["answers"].labels(result.mode).inc()
        for stream, trust in result.streams.items():
            metrics["state"].labels(stream).set(STATE_NUMBERS[trust.state])
            metrics["age"].labels(stream).set(float("nan") if trust.age_ms is None else trust.age_ms / _MS_PER_S)
            if trust.reason is not None:
                metrics["reasons"].labels(stream, trust.reason).inc()
        self._expect(result)
        metrics["bundle"].labels(result.bundle[0], str(result.bundle[1])).set(1)
        if "total" in result.timing_ms:
            self._latency.observe(result.timing_ms["total"] / _MS_PER_S)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _begin(self) -> None:
        """Every series that is sure to come is there from the start, as a rate needs its zero."""
        for mode in MODE_NUMBERS:
            self._metrics["answers"].labels(mode)
        for stream in self._streams:
            self._metrics["state"].labels(stream).set(STATE_NUMBERS["absent"])
            self._metrics["age"].labels(stream).set(float("nan"))
        self._metrics["silence"].set_function(self._silence_s)

    def _silence_s(self) -> float:
        return float("nan") if self._answered_s is None else time.monotonic() - self._answered_s

    def _expect(self, result: Result) -> None:
        if result.expected is None:  # what held for an earlier answer must not look as if it still did
            self._metrics["expected"].clear()
        else:
            self._metrics["expected"].labels(result.expected.metric).set(result.expected.value)
