"""The operator benchmark's figures are what a hand computes, and its table shows all of them."""

from __future__ import annotations

import re
import statistics

import pytest

pytest.importorskip("torch", reason="the extra `export` is not installed")

from edgefuse.schema import changed
from edgefuse_export import FusionModel
from edgefuse_export.benchmark_table import (
    HEADINGS,
    ROUNDS,
    corrected_interval,
    interleaved,
    markdown,
    rows,
    student_t,
    text,
)
from edgefuse_export.benchmark_training import Protocol, fresh_model
from small_digits import FILES, an_outcome

TINY = Protocol(folds=2, seeds=1, epochs=2, batch=16)
PAIR = ["sum", "multconcat"]


@pytest.mark.parametrize(("freedom", "t"), [(1, 12.7062), (2, 4.30265), (4, 2.77645), (14, 2.14479), (100, 1.98397)])
def test_t_is_as_printed_in_tables(freedom: int, t: float) -> None:
    assert student_t(freedom) == pytest.approx(t, rel=1e-5)


def test_the_interval_counts_that_trainings_share_their_data() -> None:
    values = [0.90, 0.92, 0.94, 0.96, 0.98]
    figure = corrected_interval(values, folds=5)
    # By hand: variance 0.001, 1/5 + 1/4 = 0.45, t(4) = 2.776445.
    assert figure.half == pytest.approx(2.776445 * (0.45 * 0.001) ** 0.5, rel=1e-5)
    assert figure.mean == pytest.approx(0.94)
    assert corrected_interval([0.9], folds=5).half is None


def test_the_view_that_is_missed_most_is_found_by_its_mean() -> None:
    without = {"fourier_profiles_karhunen_zernike_morphology": 0.2, "fourier_profiles_karhunen_pixels_zernike": 0.3}
    flipped = dict(zip(without, [0.45, 0.3], strict=True))
    whole = {"_".join(FILES): 0.9}
    outcomes = [an_outcome(0, **whole, **without), an_outcome(1, **whole, **flipped)]
    (row,) = rows(outcomes, TINY, lambda model: None)
    assert row.missing_view == "morphology"
    assert row.missing.mean == pytest.approx(0.3)
    assert row.all_views.mean == pytest.approx(0.9)
    assert row.subsets.mean == pytest.approx((60 * 0.5 + 0.9 + 0.325 + 0.3) / 63)
    assert row.trainings == 2


def test_models_take_turns_at_the_clock() -> None:
    models = {name: fresh_model(name, TINY) for name in PAIR}
    turns: list[str] = []

    def latency(model: FusionModel) -> float | None:
        turns.append(model.fusion.operator.name)
        return float(len(turns)) if turns[-1] == "sum" else None

    took = interleaved(models, latency)
    assert turns == PAIR * ROUNDS
    assert took == {"sum": statistics.median(range(1, 2 * ROUNDS, 2)), "multconcat": None}


def test_the_table_has_its_columns() -> None:
    outcomes = [an_outcome(fold, 0.5 + 0.1 * fold, name) for name in PAIR for fold in (0, 1)]
    outcomes[3] = changed(outcomes[3], loss=None)
    table = rows(outcomes, TINY, lambda model: 12.34 if model.fusion.operator.name == "sum" else None)
    lines = text(table).splitlines()
    assert re.split(r" {2,}", lines[0]) == list(HEADINGS)
    assert lines[1].split()[0] == "sum" and lines[1].endswith("12.3")
    assert lines[2].split()[0] == "multconcat" and lines[2].endswith("-")
    assert "multconcat 1 of 2" in lines[-1]
    page = markdown(table, TINY, 60).splitlines()
    grid = [[cell.strip() for cell in line.strip("|").split("|")] for line in page if line.startswith("|")]
    assert grid[0] == list(HEADINGS)
    assert [row[0] for row in grid[2:]] == PAIR and {len(row) for row in grid} == {len(HEADINGS)}
    assert "60 digits" in "\n".join(page)


def test_parameters_are_counted() -> None:
    (row,) = rows([an_outcome()], TINY, lambda model: None)
    fusion = 6 * (32 * 32 + 32)
    encoders = sum(d * 64 + 64 + 64 * 32 + 32 for _, d in FILES.values())
    assert row.fusion_parameters == fusion
    assert row.parameters == fusion + encoders + (32 * 64 + 64 + 64 * 10 + 10)
