"""Health is quick to leave and slow to come back, and always says why."""

from __future__ import annotations

import numpy as np
import pytest

from edgefuse.config import RunConfig, StreamConfig
from edgefuse.health import StreamHealth, inspect
from edgefuse.plan import Plan, make_plan
from edgefuse.types import NS_PER_MS, Account, Array, Arrival, Judged, Reason, Sample
from edgefuse.verdicts import close_derived
from tiny import Tiny

RECOVER = 5


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    bundle = Tiny().write(tmp_path_factory.mktemp("health") / "tiny.efb")
    return make_plan(bundle, RunConfig(streams={"b": StreamConfig(derived_from="a")}))


class Sensor:
    """A stream's health with a payload that changes at every sample, in milliseconds."""

    def __init__(self, plan: Plan) -> None:
        self.health = StreamHealth(plan.streams[0], Account(), RECOVER)
        self.sent = 0

    def sends(self, t_ms: float, payload: Array | None = None, reason: Reason | None = None) -> Judged:
        content = np.array([t_ms, 1, 2], dtype=np.float32) if payload is None else payload
        self.sent += 1
        self.health.watch([Arrival(Sample("a", round(t_ms * NS_PER_MS), content, number=self.sent), reason)])
        return self.silent(t_ms)

    def silent(self, t_ms: float) -> Judged:
        return self.health.judge(round(t_ms * NS_PER_MS))


NAN = np.array([0, np.nan, 0], dtype=np.float32)


def test_a_stream_that_never_spoke_is_stale(plan: Plan) -> None:
    assert Sensor(plan).silent(1000) == Judged("stale", "no_data", None, None, False)


def test_the_first_good_sample_is_trusted_at_once(plan: Plan) -> None:
    judged = Sensor(plan).sends(10)
    assert (judged.health, judged.reason, judged.fresh) == ("ok", None, True)


def test_a_sample_ages_from_fresh_to_late_to_lost(plan: Plan) -> None:
    sensor = Sensor(plan)
    sensor.sends(0)
    assert sensor.silent(100).fresh
    late = sensor.silent(101)
    assert (late.health, late.reason, late.fresh, late.age_ms) == ("warn", "late", False, 101.0)
    assert late.sample is not None
    lost = sensor.silent(301)
    assert (lost.health, lost.reason, lost.sample) == ("stale", "too_old", None)


def test_one_bad_sample_closes_the_gate_and_the_last_good_one_may_be_held(plan: Plan) -> None:
    sensor = Sensor(plan)
    sensor.sends(0)
    judged = sensor.sends(10, NAN)
    assert (judged.health, judged.reason, judged.fresh) == ("error", "non_finite", False)
    assert judged.sample is not None and judged.sample.stamp_ns == 0


def test_the_gate_opens_at_the_fifth_good_sample_and_not_before(plan: Plan) -> None:
    sensor = Sensor(plan)
    sensor.sends(0)
    sensor.sends(10, NAN)
    fresh = [sensor.sends(10 + 10 * i).fresh for i in range(1, 6)]
    assert fresh == [False, False, False, False, True]


def test_after_silence_a_stream_must_prove_itself_again(plan: Plan) -> None:
    sensor = Sensor(plan)
    sensor.sends(0)
    sensor.silent(1000)
    judged = [sensor.sends(1000 + 10 * i) for i in range(1, 6)]
    assert [(j.fresh, j.reason) for j in judged] == [(False, "too_old")] * 4 + [(True, None)]


def test_a_frozen_sensor_is_found_at_the_third_equal_payload(plan: Plan) -> None:
    sensor = Sensor(plan)
    same = np.ones(3, dtype=np.float32)
    assert [sensor.sends(10 * i, same).reason for i in range(4)] == [None, None, "stuck", "stuck"]


def test_the_copies_of_a_frozen_sensor_do_not_make_it_younger(plan: Plan) -> None:
    sensor = Sensor(plan)
    same = np.ones(3, dtype=np.float32)
    told = [sensor.sends(20 * i, same) for i in range(4)]
    assert [judged.age_ms for judged in told] == [0.0, 0.0, 40.0, 60.0]
    assert told[-1].sample is not None and told[-1].sample.stamp_ns == 0


def test_a_sample_out_of_order_is_dropped_without_closing_the_gate(plan: Plan) -> None:
    sensor = Sensor(plan)
    sensor.sends(10)
    judged = sensor.sends(12, reason="out_of_order")
    assert (judged.health, judged.reason, judged.fresh) == ("warn", "out_of_order", True)
    assert sensor.silent(13).fresh


def test_every_sample_is_accounted_for(plan: Plan) -> None:
    sensor = Sensor(plan)
    for i in range(20):
        sensor.sends(10 * i, NAN if i in (3, 11) else None)
        if i % 2 and sensor.health.trusted is not None:
            sensor.health.used(sensor.health.trusted)
    account = sensor.health.count(0)
    assert account.dropped == {"non_finite": 2, "recovering": 8, "superseded": 3}
    assert (account.used, account.waiting) == (6, 1)  # the one before the last could still be held


def test_a_derived_stream_is_lost_with_its_parent(plan: Plan) -> None:
    good = Judged("ok", None, 0.0, Sample("b", 0, NAN), True)
    bad = Judged("error", "stuck", 0.0, Sample("a", 0, NAN), False)
    closed = close_derived([bad, good, good], plan.streams)
    assert [(j.reason, j.fresh) for j in closed] == [("stuck", False), ("parent_lost", False), (None, True)]
    assert closed[1].sample is None


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ([1.0, 2.0, 3.0], "bad_type"),
        (None, "bad_type"),
        (np.zeros(3), "bad_dtype"),
        (np.zeros(3, dtype=">f4"), "byte_order"),
        (np.zeros(4, dtype=np.float32), "bad_shape"),
        (np.zeros((3, 1), dtype=np.float32), "bad_shape"),
        (np.zeros(0, dtype=np.float32), "bad_shape"),
        (np.array(1.0, dtype=np.float32), "bad_shape"),
        (np.array(["a", "b", "c"], dtype=object), "bad_dtype"),
        (NAN, "non_finite"),
        (np.array([np.inf, 0, 0], dtype=np.float32), "non_finite"),
        (np.arange(6, dtype=np.float32)[::2], None),
    ],
)
def test_a_payload_that_breaks_its_contract_has_a_reason(plan: Plan, payload: Array, reason: Reason | None) -> None:
    assert inspect(plan.streams[0], payload)[0] == reason
