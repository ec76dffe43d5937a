"""The gate is quick to leave and slow to come back, answers every event in every state, and never flaps."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from edgefuse.gate import Gate
from edgefuse.types import LEVEL, Reason

RECOVER = 5
REASONS: list[Reason | None] = [None, *LEVEL]
FAULTS = [reason for reason, level in LEVEL.items() if level in ("error", "stale")]


def reachable() -> set[Gate]:
    states = {Gate()}
    while True:
        reached = {state.after(reason, RECOVER) for state in states for reason in REASONS} | states
        if reached == states:
            return states
        states = reached


def test_the_states_are_open_and_so_many_good_samples_after_each_fault() -> None:
    assert len(reachable()) == 1 + RECOVER * len(FAULTS)


def test_every_state_answers_every_event() -> None:
    for state in reachable():
        for reason in REASONS:
            after = state.after(reason, RECOVER)
            if reason is None:
                open_again = state.fault is None or state.good == RECOVER - 1
                assert after == (Gate() if open_again else Gate(state.fault, state.good + 1))
            else:
                assert after == (Gate(reason) if reason in FAULTS else state)


def test_no_state_is_a_dead_end() -> None:
    for state in reachable():
        recovered = state
        for _ in range(RECOVER):
            recovered = recovered.after(None, RECOVER)
        assert recovered == Gate()


def test_a_monitor_that_did_not_look_closes_every_gate() -> None:
    assert {state.after("unwatched", RECOVER) for state in reachable()} == {Gate("unwatched")}


@given(st.lists(st.sampled_from(REASONS), max_size=200))
def test_the_gate_changes_at_most_twice_a_fault(reasons: list[Reason | None]) -> None:
    assert transitions(reasons) <= 2 * sum(reason is not None for reason in reasons)


def test_ten_thousand_intermittent_faults_do_not_make_it_flap() -> None:
    rng, events, faults = random.Random(1), list[Reason | None](), 0
    while faults < 10_000:
        bad = rng.random() < 0.3
        events.append(rng.choice(FAULTS) if bad else None)
        faults += bad
    assert transitions(events) <= 2 * faults
    assert transitions(events) < faults  # far fewer: the next fault mostly comes before the gate has opened again


def transitions(events: list[Reason | None]) -> int:
    gate, changes = Gate(), 0
    for reason in events:
        after = gate.after(reason, RECOVER)
        changes += (after.fault is None) != (gate.fault is None)
        gate = after
    return changes
