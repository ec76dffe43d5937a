"""What the operator benchmark has finished survives a kill, and nothing foreign is taken for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefuse_export.benchmark_store import NAME, Store, Unit
from edgefuse_export.errors import ExportError
from small_digits import an_outcome


def test_a_last_line_that_was_cut_off_is_ignored(tmp_path: Path) -> None:
    store = Store(tmp_path, "f")
    store.add(an_outcome(0))
    store.add(an_outcome(1))
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes()[:-40])
    torn = Store(tmp_path, "f")
    assert list(torn.outcomes) == [Unit("sum", 0, 0)]
    torn.add(an_outcome(2))
    assert list(Store(tmp_path, "f").outcomes) == [Unit("sum", 0, 0), Unit("sum", 0, 2)]


def test_outcomes_of_another_fingerprint_stay_but_do_not_count(tmp_path: Path) -> None:
    Store(tmp_path, "f").add(an_outcome())
    other = Store(tmp_path, "g")
    assert other.outcomes == {}
    other.add(an_outcome(1))
    assert list(Store(tmp_path, "f").outcomes) == [Unit("sum", 0, 0)]


@pytest.mark.parametrize("line", ["{", "[]", "5", '{"a": 1}', '{"fingerprint": "f", "operator": "sum"}', "NaN", '"ab"'])
def test_a_line_that_is_no_outcome_is_named(line: str, tmp_path: Path) -> None:
    Store(tmp_path, "f").add(an_outcome())
    with (tmp_path / NAME).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ExportError, match=rf"{NAME}: line 2: "):
        Store(tmp_path, "f")


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match=f"file/{NAME}: "):
        Store(tmp_path / "file", "f")
