"""One model against a specialist for each subset: trained once, kept, compared with intervals."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `export` is not installed")

from edgefuse_export import study as studies  # noqa: E402
from edgefuse_export.cli import main  # noqa: E402
from edgefuse_export.settings import Settings  # noqa: E402
from edgefuse_export.study import JOINER, NAME, Outcome, Plan, Unit, packed, study, units_of  # noqa: E402
from edgefuse_export.study_table import interval, markdown, text, verdict  # noqa: E402
from small_digits import small_digits, write_digits  # noqa: E402

torch.set_num_threads(1)


def quiet(items: Iterator[Any], *_: object) -> Iterator[Any]:
    return items


def test_every_seed_has_a_bundle_a_whole_and_a_specialist_for_each_smaller_subset() -> None:
    units = list(units_of(["a", "b", "c"], 2))
    assert len(units) == len(set(units)) == 2 * (2 + 6)
    assert [u.streams for u in units if u.role == "specialist" and u.seed == 1] == ["a", "b", "c", "a+b", "a+c", "b+c"]


def outcome(role: Any, streams: str, right: dict[str, Any], seed: int = 0) -> Outcome:
    n = len(next(iter(right.values())))
    bits = {s: packed(np.array(rows, bool)) for s, rows in right.items()}
    return Outcome(role=role, streams=streams, seed=seed, loss=0.1, n=n, right=bits)


def made_up(n: int = 200) -> list[Outcome]:
    """The bundle is right about 80 % everywhere; specialists about 81, 79 and, of the whole, 75."""
    shares = {"a": 0.81, "b": 0.79, "a+b": 0.75}
    found = []
    for seed in range(3):
        bundle = {s: np.arange(n) < 0.8 * n for s in shares}
        found.append(outcome("bundle", "a+b", bundle, seed))
        found.append(outcome("whole", "a+b", {s: np.arange(n) < 0.75 * n for s in shares}, seed))
        found += [outcome("specialist", s, {s: np.arange(n) < shares[s] * n}, seed) for s in ("a", "b")]
    return found


def test_the_table_compares_with_the_specialist_and_the_whole_with_the_whole() -> None:
    found = verdict(made_up(), None)
    assert [(r.streams, round(r.points, 6)) for r in found.rows] == [(("a",), -1.0), (("b",), 1.0), (("a", "b"), 5.0)]
    assert (found.average, found.worst, found.whole) == pytest.approx((5 / 3, -1.0, 5.0))
    assert found.untrained == pytest.approx(75.0)
    assert found.reached
    assert "a, b" in text(found) and markdown(found).count("\n| ") == 4
    assert all(row.low <= row.points <= row.high for row in found.rows)


def test_two_points_behind_is_not_reached() -> None:
    outcomes = [o for o in made_up() if (o.role, o.streams) != ("specialist", "a")]
    behind = [outcome("specialist", "a", {"a": np.arange(200) < 170}, seed) for seed in range(3)]
    assert not verdict([*outcomes, *behind], None).reached


def test_what_was_right_comes_back_row_by_row() -> None:
    rows = np.random.default_rng(0).random(37) < 0.5
    np.testing.assert_array_equal(outcome("bundle", "a", {"a": rows}).rows("a"), rows)


def test_groups_and_seeds_widen_the_interval_as_far_as_they_differ() -> None:
    rng = np.random.default_rng(1)
    alike = np.repeat(rng.normal(size=(1, 50)), 3, axis=0).repeat(8, axis=1)
    groups = np.repeat(np.arange(50), 8)
    narrow, wide = interval(alike, None), interval(alike, groups)
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])
    apart = alike + np.array([[-1.0], [0.0], [1.0]])
    far = interval(apart, groups)
    assert far[1] - far[0] > wide[1] - wide[0]


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    return write_digits(tmp_path / "digits", *small_digits(10))


def test_what_is_finished_is_not_trained_again(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "units_of", lambda names, seeds: itertools.islice(units_of(names, seeds), 4))
    plan = Plan(f"digits:{digits}", Settings(epochs=1, batch=20, dim=8), 1, tmp_path / "work")
    first = study(plan, 1, quiet)
    assert [o.role for o in first] == ["bundle", "whole", "specialist", "specialist"]
    assert len(first[0].right) == 63 and list(first[2].right) == ["fourier"]
    lines = (tmp_path / "work" / NAME).read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(studies, "measure", lambda plan, unit: pytest.fail("trained again"))
        assert study(plan, 1, quiet) == first
    assert (tmp_path / "work" / NAME).read_bytes() == lines


def test_another_recipe_for_absence_trains_the_bundle_alone_again(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studies, "units_of", lambda names, seeds: itertools.islice(units_of(names, seeds), 3))
    plan = Plan(f"digits:{digits}", Settings(epochs=1, batch=20, dim=8), 1, tmp_path / "work")
    first, again, measure = study(plan, 1, quiet), list[str](), studies.measure
    changed = replace(plan, settings=replace(plan.settings, drop_rate=0.7, distil=0.1))
    monkeypatch.setattr(studies, "measure", lambda plan, unit: again.append(unit.role) or measure(plan, unit))
    second = study(changed, 1, quiet)
    assert again == ["bundle"]
    assert second[1:] == first[1:] and second[0] != first[0]
    study(replace(plan, settings=replace(plan.settings, epochs=2)), 1, quiet)
    assert again == ["bundle", "bundle", "whole", "specialist"]


def test_a_training_depends_on_its_unit_alone(digits: Path, tmp_path: Path) -> None:
    plan = Plan(f"digits:{digits}", Settings(epochs=1, batch=20, dim=8), 1, tmp_path / "work")
    unit = Unit("specialist", JOINER.join(["fourier", "pixels"]), 1)
    torch.manual_seed(5)
    first = studies.measure(plan, unit)
    torch.manual_seed(6)
    assert studies.measure(plan, unit) == first


def test_a_specialist_trains_where_the_recipe_names_a_stream_that_it_lacks(digits: Path, tmp_path: Path) -> None:
    settings = Settings(epochs=1, batch=20, dim=8, drop_rates={"zernike": 0.4})
    plan = Plan(f"digits:{digits}", settings, 1, tmp_path / "work")
    found = studies.measure(plan, Unit("specialist", JOINER.join(["fourier", "pixels"]), 0))
    assert list(found.right) == ["fourier+pixels"]


def test_the_verb_prints_the_table_and_says_by_its_status_whether_the_goal_is_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], digits: Path
) -> None:
    monkeypatch.setattr(studies, "study", lambda plan, workers, progress: made_up())
    out = tmp_path / "t.md"
    given = ["study", "digits", str(digits), "--work", str(tmp_path / "w"), "--out", str(out), "--json"]
    assert main(given) == 0
    told = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert told["reached"] is True and len(told["rows"]) == 3
    assert out.read_text().startswith("| streams |")


def test_a_task_that_is_not_known_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "weather", "--work", str(tmp_path)]) == 2
    assert "no data 'weather'; known: site, digits" in capsys.readouterr().err
