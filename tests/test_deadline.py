"""Against a deadline the encoders go that cost the expected metric least for each millisecond they save."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefuse.deadline import A_FEW, RECENT, Times, fitting


def table(values: dict[str, float]) -> object:
    def worth(streams: Collection[int]) -> float | None:
        return values.get("".join(str(i) for i in sorted(streams)))

    return worth


WORTH = table({"012": 0.9, "01": 0.85, "02": 0.88, "12": 0.6, "0": 0.5, "1": 0.5, "2": 0.4, "": 0.2})


@pytest.mark.parametrize(
    ("costs", "left", "chosen"),
    [
        ([10.0, 5.0, 5.0], 20.0, [0, 1, 2]),
        ([10.0, 5.0, 5.0], 15.0, [0, 2]),  # 0.02 lost for 5 ms, against 0.05 for 5 and 0.3 for 10
        ([10.0, 1.0, 50.0], 20.0, [0, 1]),  # 0.05 lost for 50 ms, against 0.02 for 1 that would not help
        ([10.0, 5.0, 5.0], 5.0, [2]),  # without 1 first; then 0 is 10 ms for 0.48, 2 is 5 ms for 0.38
        ([10.0, 5.0, 5.0], 0.0, []),
    ],
)
def test_the_cheapest_loss_goes_first(costs: list[float], left: float, chosen: list[int]) -> None:
    assert fitting([0, 1, 2], costs, left, (), WORTH) == chosen  # type: ignore[arg-type]


def test_without_a_datasheet_the_dearest_goes_first() -> None:
    assert fitting([0, 1, 2], [3.0, 9.0, 4.0], 8.0, (), lambda _: None) == [0, 2]


def test_streams_that_stand_already_count_in_what_is_expected() -> None:
    assert fitting([1, 2], [0.0, 5.0, 5.0], 5.0, [0], WORTH) == [2]  # type: ignore[arg-type]


@given(st.lists(st.floats(0.0, 100.0), min_size=1, max_size=6), st.floats(0.0, 300.0))
def test_what_is_chosen_fits_and_nothing_is_left_out_for_nothing(costs: list[float], left: float) -> None:
    chosen = fitting(range(len(costs)), costs, left, (), lambda _: None)
    assert sum(costs[i] for i in chosen) <= left
    if sum(costs) <= left:
        assert chosen == list(range(len(costs)))


def test_p99_is_what_nearly_all_of_the_recent_durations_do_not_exceed() -> None:
    times = Times()
    assert times.p99_ms == 0.0
    for ms in (3.0, 1.0, 2.0):
        times.note(ms)
    assert times.p99_ms == 3.0
    for ms in [1.0] * A_FEW:
        times.note(ms)
    times.note(500.0)
    assert times.p99_ms == 3.0  # one that was slow by chance is left out
    times.note(500.0)
    assert times.p99_ms == 500.0
    for ms in [1.0] * (RECENT - 1):
        times.note(ms)
    assert times.p99_ms == 1.0
