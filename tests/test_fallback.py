"""The ladder is tried rung by rung, in its order, and the mask that the kernels read says what was taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgefuse.config import RunConfig, StreamConfig, parse_config
from edgefuse.fallback import Substitutes, descend, select
from edgefuse.modes import mode_of
from edgefuse.plan import Plan, make_plan
from edgefuse.types import Judged, Mode, Rung, Sample, State, Trust
from tiny import DIM, Tiny

HELD = Judged("warn", "late", 150.0, Sample("a", 0, np.zeros(3, dtype=np.float32)), fresh=False)
LOST = Judged("stale", "too_old", 900.0, None, fresh=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fallback")


def plan_with(folder: Path, *ladder: Rung) -> Plan:
    bundle = Tiny().write(folder / "tiny.efb")
    return make_plan(bundle, RunConfig(streams={"a": StreamConfig(ladder=ladder)}))


@pytest.mark.parametrize(
    ("ladder", "judged", "state", "rung"),
    [
        (("hold", "mask"), HELD, "held", "hold"),
        (("hold", "mask"), LOST, "absent", "mask"),
        (("hold", "mean", "mask"), LOST, "imputed", "mean"),
        (("token", "hold"), HELD, "imputed", "token"),
        (("mask", "hold"), HELD, "absent", "mask"),
        (("hold",), LOST, "absent", None),
    ],
)
def test_the_first_rung_that_carries_is_taken(
    folder: Path, ladder: tuple[Rung, ...], judged: Judged, state: State, rung: Rung | None
) -> None:
    trust = descend(judged, plan_with(folder, *ladder).streams[0])
    assert (trust.state, trust.rung) == (state, rung)
    assert (trust.health, trust.reason, trust.age_ms) == (judged.health, judged.reason, judged.age_ms)


def trusts_of(*states: State) -> list[Trust]:
    return [Trust(state, "ok", rung="mean" if state == "imputed" else None) for state in states]


@pytest.mark.parametrize(
    ("states", "mode"),
    [
        (("fresh", "fresh"), "full"),
        (("fresh", "held"), "degraded"),
        (("held", "held"), "degraded"),
        (("fresh", "absent"), "degraded"),
        (("fresh", "imputed"), "degraded"),
        (("absent", "absent"), "blind"),
        (("imputed", "absent"), "blind"),
    ],
)
def test_the_mode_says_what_is_left(states: tuple[State, ...], mode: Mode) -> None:
    assert mode_of(trusts_of(*states)) == mode


def test_the_mask_and_the_substitutes_are_data(folder: Path) -> None:
    tiny = Tiny()
    bundle = tiny.write(folder / "tiny.efb")
    trusts = trusts_of("held", "imputed", "absent")
    mask, rows = np.full(3, 9, dtype=np.uint8), np.full((3, DIM), 7, dtype=np.float32)
    select(trusts, mask)
    Substitutes.of(bundle).fill(trusts, rows)
    assert mask.tolist() == [1, 2, 0]
    np.testing.assert_array_equal(rows[1], tiny.blocks["mean"][1])
    assert (rows[[0, 2]] == 7).all()


CONDITIONS: list[tuple[str, Judged, State, Rung | None]] = [
    ("[{rung: hold, max_age_ms: 200}, mask]", HELD, "held", "hold"),
    ("[{rung: hold, max_age_ms: 100}, mask]", HELD, "absent", "mask"),
    ("[{rung: hold, unless: [late]}, mean]", HELD, "imputed", "mean"),
    ("[{rung: hold, unless: [stuck]}, mean]", HELD, "held", "hold"),
    ("[{rung: mean, only: [late]}, token]", LOST, "imputed", "token"),
    ("[{rung: mean, only: [too_old, stuck]}, token]", LOST, "imputed", "mean"),
    ("[{rung: mean, only: [stuck]}]", LOST, "absent", None),
]


@pytest.mark.parametrize(("ladder", "judged", "state", "rung"), CONDITIONS)
def test_a_rung_is_taken_under_its_conditions_alone(
    folder: Path, ladder: str, judged: Judged, state: State, rung: Rung | None
) -> None:
    bundle = Tiny().write(folder / "tiny.efb")
    config = parse_config(f"streams: {{a: {{ladder: {ladder}}}}}".encode(), "x.yaml")
    trust = descend(judged, make_plan(bundle, config).streams[0])
    assert (trust.state, trust.rung) == (state, rung)
