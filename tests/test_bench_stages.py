"""Stages: the encoders one by one, what is left over, and that all of it adds up to the whole."""

from __future__ import annotations

import pytest

from edgefuse.bench.stages import ELSE, WHOLE, split, table


def test_encoders_stand_one_by_one_and_nothing_is_counted_twice() -> None:
    timing = {"health": 1.0, "preprocess": 2.0, "preprocess.camera": 2.0, "encode": 3.0}
    timing |= {"encode.camera": 2.5, "encode.gps": 0.5, "head": 0.25, "total": 8.0}
    assert split(timing) == {"health": 1.0, "preprocess": 2.0, "encode.camera": 2.5, "encode.gps": 0.5, "head": 0.25}


def test_the_means_add_up_to_the_total() -> None:
    rows = [{"health": 1.0, "fuse": 2.0, "copy": 0.5, WHOLE: 4.0}, {"health": 3.0, "copy": 0.5, WHOLE: 6.0}]
    figures = table(rows)
    assert list(figures) == ["copy", "health", "fuse", ELSE, WHOLE]
    assert {name: row["mean_ms"] for name, row in figures.items()} == {
        "copy": 0.5,
        "health": 2.0,
        "fuse": 1.0,
        ELSE: 1.5,
        WHOLE: 5.0,
    }
    assert sum(row["share"] for name, row in figures.items() if name != WHOLE) == pytest.approx(1.0, abs=1e-3)
