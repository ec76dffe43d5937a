"""Answers as messages of ROS 2: a Result of our own type, and the diagnostics that every ROS 2 tool shows."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgefuse.reasons import REASONS
from edgefuse.ros.definitions import RESULT, made
from edgefuse.ros.written import TEXT, Written, header_of, written
from edgefuse.types import F32, F64, Expected, Mode, Result, State, Trust

RESULT_TOPIC, DIAGNOSTICS_TOPIC = "/edgefuse/result", "/diagnostics"
RESULT_JSON_TOPIC = "/edgefuse/result_json"
DIAGNOSTICS = "diagnostic_msgs/msg/DiagnosticArray"
OK, WARN, ERROR = 0, 1, 2  # diagnostic_msgs/DiagnosticStatus; its 3, STALE, is for whoever hears nothing from us

_OF_MODE: Mapping[Mode, int] = {"full": OK, "degraded": WARN, "abstain": ERROR, "blind": ERROR}
_OF_STATE: Mapping[State, int] = {"fresh": OK, "held": WARN, "imputed": WARN, "absent": ERROR}
_DOMAIN: Mapping[bool | None, int] = {None: -1, False: 0, True: 1}


def answer(result: Result) -> Written:
    """A result as `edgefuse_msgs/msg/Result`, stamped with the time that it answers for.

    Outputs that are similarities have no values in it, as they may be thousands: their nearest entry is the label.
    """
    name, version = result.bundle
    fields = {**_streams(result.streams), **_outputs(result), **_expected(result.expected)}
    message = made(
        RESULT,
        header=header_of(result.t_ns, ""),
        mode=result.mode,
        why=result.why or "",
        in_domain=_DOMAIN[result.in_domain],
        bundle=name,
        bundle_version=version,
        total_ms=float(result.timing_ms.get("total", math.nan)),
        **fields,
    )
    return written(RESULT, message)


def diagnostics(result: Result) -> Written:
    """A result as `diagnostic_msgs/msg/DiagnosticArray`: one status for the engine, one for each stream.

    The engine is OK when full, WARN when degraded, else ERROR. A stream is OK when fresh, WARN when held or imputed or
    when its health is warn, ERROR when absent; one that the model did not ask for is as its health is.
    """
    status = [_engine_status(result), *(_stream_status(result, name) for name in result.streams)]
    return written(DIAGNOSTICS, made(DIAGNOSTICS, header=header_of(result.t_ns, ""), status=status))


def json_line(result: Result, truth: Mapping[str, str] | None = None) -> Written:
    """A result whole, and the right answer where it is known: the line of a `.jsonl` as a `std_msgs/String`.

    But for `fixes`, which have a topic of their own.
    """
    document = {**result.as_json(), **({"truth": dict(truth)} if truth is not None else {})}
    line = json.dumps(document, allow_nan=False, separators=(",", ":"))
    return written(TEXT, made(TEXT, data=line))


# Topic -> type of what is said of an answer there, and what says it.
TOLD: Mapping[str, tuple[str, Callable[[Result, Mapping[str, str] | None], Written]]] = {
    RESULT_TOPIC: (RESULT, lambda result, truth: answer(result)),
    DIAGNOSTICS_TOPIC: (DIAGNOSTICS, lambda result, truth: diagnostics(result)),
    RESULT_JSON_TOPIC: (TEXT, json_line),
}


def _streams(streams: Mapping[str, Trust]) -> dict[str, Any]:
    trusts = list(streams.values())
    return {
        "streams": list(streams),
        "states": [trust.state for trust in trusts],
        "healths": [trust.health for trust in trusts],
        "reasons": [trust.reason or "" for trust in trusts],
        "rungs": [trust.rung or "" for trust in trusts],
        "ages_ms": np.array([math.nan if trust.age_ms is None else trust.age_ms for trust in trusts], np.float64),
    }


def _outputs(result: Result) -> dict[str, Any]:
    names = list(result.outputs)
    values: list[F32] = [
        np.empty(0, np.float32) if name in result.matches else result.outputs[name].ravel() for name in names
    ]
    chances = [
        result.probabilities.get(name, np.full(own.size, np.nan, np.float32))
        for name, own in zip(names, values, strict=True)
    ]
    return {
        "outputs": names,
        "labels": [result.labels.get(name, "") for name in names],
        "sizes": np.array([own.size for own in values], np.uint32),
        "values": _joined(values),
        "probabilities": _joined(chances),
    }


def _joined(parts: list[F32]) -> F32:
    return np.concatenate([np.empty(0, np.float32), *parts]).astype(np.float32)


def _expected(expected: Expected | None) -> dict[str, Any]:
    names = ("expected", "expected_low", "expected_high")
    if expected is None:
        return {"metric": "", **dict.fromkeys(names, math.nan)}
    values: F64 = np.array([expected.value, expected.low, expected.high], np.float64)
    return {"metric": expected.metric, **dict(zip(names, values.tolist(), strict=True))}


def _engine_status(result: Result) -> Any:
    values = dict(result.labels)
    if result.expected is not None:
        values[f"expected {result.expected.metric}"] = f"{result.expected.value:.4g}"
    values["used"] = ", ".join(result.used) or "nothing"
    values["total_ms"] = f"{result.timing_ms.get('total', math.nan):.3f}"
    message = f"{result.mode}: {result.why}" if result.why else result.mode
    return _status(result, "edgefuse", _OF_MODE[result.mode], message, values)


def _stream_status(result: Result, name: str) -> Any:
    trust = result.streams[name]
    level = max(_OF_STATE[trust.state], WARN if trust.health == "warn" else OK)
    if trust.reason == "not_asked":
        level = OK
    age = "none" if trust.age_ms is None else f"{trust.age_ms:.1f}"
    values = {"state": trust.state, "health": trust.health, "age_ms": age, "rung": trust.rung or "none"}
    message = trust.state if trust.reason is None else f"{trust.reason}: {REASONS[trust.reason][1]}"
    return _status(result, f"edgefuse: {name}", level, message, values)


def _status(result: Result, name: str, level: int, message: str, values: Mapping[str, str]) -> Any:
    pairs = [made("diagnostic_msgs/msg/KeyValue", key=key, value=value) for key, value in values.items()]
    return made(
        "diagnostic_msgs/msg/DiagnosticStatus",
        level=level,
        name=name,
        message=message,
        hardware_id=f"{result.bundle[0]} {result.bundle[1]}",
        values=pairs,
    )
