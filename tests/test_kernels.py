"""Tests of what the kernels compute: every instruction set and NumPy against a float64 truth and each other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgefuse import kernels, reference
from edgefuse.reference import Activation, Reduce
from edgefuse.types import F32
from kernel_cases import EDGES, EPS, GRID, ISAS, OPERATORS, Project, assert_near_truth, cloud, cpp, gate_args

PATHS = [*ISAS, "numpy"]


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Each way to run the kernels: the C++ module on each instruction set, and NumPy."""
    if request.param == "numpy":
        yield reference
        return
    before = cpp.isa()
    cpp.set_isa(request.param)
    yield cpp
    cpp.set_isa(before)


# fuse_project


@pytest.mark.parametrize("width", [1, 3, 8, 16, 17, 63, 65, 130, 256, 300])
@pytest.mark.parametrize("d", [1, 3, 8, 17, 64, 130])
def test_projection_is_near_the_float64_truth_at_every_size(path: Any, width: int, d: int) -> None:
    for reduce, concat in OPERATORS:
        assert_near_truth(Project((d, 5, d), width, (1, 1, 2), reduce=reduce, concat=concat), path)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_projection_is_near_the_float64_truth_for_every_presence_pattern(path: Any, n: int) -> None:
    for select in itertools.product((0, 1, 2), repeat=n):
        for k, (reduce, concat) in enumerate(OPERATORS):
            assert_near_truth(Project((6,) * n, 9, select, k % 2, reduce, concat), path)


@pytest.mark.parametrize(("reduce", "concat"), OPERATORS)
def test_absent_streams_are_never_read(path: Any, reduce: Reduce, concat: bool) -> None:
    for select in itertools.product((0, 1, 2), repeat=3):
        case = Project((4, 40, 9), 35, select, reduce=reduce, concat=concat)
        clean = case.run(path)
        case.poison_absent()
        assert case.run(path).tobytes() == clean.tobytes()
        assert np.isfinite(clean).all()


@pytest.mark.parametrize(
    ("reduce", "empty"), [(Reduce.SUM, 0), (Reduce.AVERAGE, 0), (Reduce.MAX, 0), (Reduce.PRODUCT, 1)]
)
def test_the_empty_set_gives_the_documented_value(path: Any, reduce: Reduce, empty: float) -> None:
    out = Project((3, 4), 5, (0, 0), reduce=reduce).run(path)
    assert out.tolist() == [0.0] * 10 + [empty] * 5


def test_leaving_a_stream_out_equals_a_model_without_it(path: Any) -> None:
    for reduce in list(Reduce)[1:]:
        two = Project((5, 7), 20, (1, 1), reduce=reduce, concat=False)
        three = Project((5, 7, 6), 20, (1, 1, 0), reduce=reduce, concat=False)
        for name in ("x", "weights"):
            size = len(two.args[name]) - 2
            three.args[name][:size] = two.args[name][:size]
        assert three.run(path).tobytes() == two.run(path).tobytes()


@pytest.mark.parametrize("reduce", list(Reduce)[1:])
def test_nan_in_a_present_stream_reaches_every_output_it_enters(path: Any, reduce: Reduce) -> None:
    for bad in range(3):
        case = Project((4, 5, 6), 18, (1, 1, 1), reduce=reduce)
        case.args["x"][case.args["offsets"][bad]] = np.nan
        out = case.run(path).reshape(4, 18)
        assert np.isnan(out).all(axis=1).tolist() == [i in (bad, 3) for i in range(4)]


def test_relu_keeps_negative_zero_and_nan_as_torch_does(path: Any) -> None:
    case = Project((1,), 3, (1,), reduce=Reduce.NONE)
    case.args.update(x=np.array([0, 1, 0], np.float32), weights=np.array([0, -1, 2, np.nan, 0, 0, 0], np.float32))
    assert case.run(path).tolist()[:2] == [0.0, 2.0]
    assert np.isnan(case.run(path)[2])


def test_multconcat_is_the_blocks_and_then_their_product(path: Any) -> None:
    out = Project((8, 12, 5, 3), 16, (1, 1, 0, 1)).run(path).reshape(5, 16)
    assert (out[2] == 0).all()
    assert (out >= 0).all()
    np.testing.assert_array_equal(out[4], out[0] * out[1] * out[3])


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_cpp_and_numpy_projections_are_each_near_the_truth_for_any_layout(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 16))
    dims = tuple(data.draw(st.lists(st.integers(1, 40), min_size=n, max_size=n)))
    select = tuple(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))
    reduce, concat = data.draw(st.sampled_from(OPERATORS))
    case = Project(dims, data.draw(st.integers(1, 80)), select, data.draw(st.sampled_from(Activation)), reduce, concat)
    for path in (reference, kernels):
        assert_near_truth(case, path)


# fuse_gate


@pytest.mark.parametrize("width", [1, 3, 15, 16, 17, 64, 130, 256])
def test_gate_is_near_the_float64_softmax(path: Any, width: int) -> None:
    for n in (1, 2, 3, 4):
        for select in itertools.product((0, 1, 2), repeat=n):
            a = gate_args(n, width, select)
            path.fuse_gate(**a)
            rows = [i for i, s in enumerate(select) if s]
            h, w = a["h"].astype(float), a["gate_weight"].astype(float)
            e = [np.exp(sum(w[i] * h[i]) + float(a["gate_bias"][i])) for i in rows]
            alpha = np.zeros(n)
            alpha[rows] = np.array(e) / sum(e) if rows else []
            sizes = np.abs(w * h).sum(axis=1) + np.abs(a["gate_bias"])
            slack = 4 * (width + 2) * EPS * sizes.max() + 64 * EPS
            assert (np.abs(a["alpha"] - alpha) <= slack * alpha).all()
            assert (np.abs(a["out"] - alpha @ h) <= (slack + 32 * EPS) * (alpha @ np.abs(h))).all()


def test_gate_weights_sum_to_one_over_those_present_and_are_zero_elsewhere(path: Any) -> None:
    a = gate_args(5, 33, (1, 0, 2, 0, 1))
    path.fuse_gate(**a)
    assert a["alpha"].sum() == pytest.approx(1, abs=8 * EPS)
    assert (a["alpha"] > 0).tolist() == [True, False, True, False, True]


def test_gate_never_reads_absent_rows(path: Any) -> None:
    for select in itertools.product((0, 1), repeat=4):
        a = gate_args(4, 21, select)
        path.fuse_gate(**a)
        clean = a["out"].tobytes() + a["alpha"].tobytes()
        absent = a["select"] == 0
        a["h"][absent], a["gate_weight"][absent], a["gate_bias"][absent] = np.nan, np.inf, np.nan
        path.fuse_gate(**a)
        assert a["out"].tobytes() + a["alpha"].tobytes() == clean


def test_gate_with_nothing_selected_gives_zeros(path: Any) -> None:
    a = gate_args(3, 7, (0, 0, 0))
    path.fuse_gate(**a)
    assert not a["out"].any()
    assert not a["alpha"].any()


def test_gate_with_one_row_passes_it_unchanged_however_large_its_logit(path: Any) -> None:
    a = gate_args(3, 7, (0, 1, 0))
    a["gate_bias"][1] = 1e38
    path.fuse_gate(**a)
    assert a["out"].tobytes() == a["h"][1].tobytes()


# lidar_grid


def grid(path: Any, points: F32, **changes: Any) -> tuple[F32, int]:
    out = np.full((5, 11, 7), np.nan, np.float32)
    used = path.lidar_grid(points=points, out=out, **{**GRID, **changes})
    return out, used


def slow_grid(points: F32) -> tuple[F32, int]:
    """The grid, one point after another, in scalar float32 arithmetic."""
    out, used = np.zeros((5, 11, 7), np.float32), 0
    for x, y, z, reflectance in points:
        if not np.isfinite([x, y, z, reflectance]).all():
            continue
        with np.errstate(over="ignore"):
            row = np.floor((x - np.float32(-2.5)) / np.float32(0.7))
            col = np.floor((y - np.float32(1.25)) / np.float32(0.7))
        band = next((b for b in range(3) if EDGES[b] <= z < EDGES[b + 1]), None)
        if band is None or not (0 <= row < 11 and 0 <= col < 7):
            continue
        r, c, used = int(row), int(col), used + 1
        out[band, r, c] += 1
        out[3, r, c] = max(out[3, r, c], z - EDGES[0])
        out[4, r, c] = max(out[4, r, c], min(reflectance, np.float32(1)))
    out[:3] = np.minimum(out[:3], 3) / np.float32(3)
    return out, used


@pytest.mark.parametrize("n", [0, 1, 255, 256, 257, 3000])
def test_grid_is_bit_identical_to_one_point_after_another(path: Any, n: int) -> None:
    points = cloud(n)
    (out, used), (expected, expected_used) = grid(path, points), slow_grid(points)
    assert used == expected_used
    assert out.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "value", [np.nan, np.inf, -np.inf, 3e38, -3e38, 1e10, -1e10, 2.0**31, -0.0, 0.0, 0.5, 2.0, -1.0]
)
def test_grid_takes_any_value_at_any_coordinate(path: Any, value: float) -> None:
    for axis in range(4):
        points = cloud(60, seed=axis)
        points[::2, axis] = value
        (out, used), (expected, expected_used) = grid(path, points), slow_grid(points)
        assert used == expected_used
        assert out.tobytes() == expected.tobytes()


@given(points=hnp.arrays(np.float32, st.tuples(st.integers(0, 30), st.just(4)), elements=st.floats(width=32)))
@settings(max_examples=150, deadline=None)
def test_cpp_and_numpy_grids_agree_bit_for_bit(points: F32) -> None:
    (a, used_a), (b, used_b) = grid(kernels, points), grid(reference, points)
    assert used_a == used_b
    assert a.tobytes() == b.tobytes()


def test_grid_counts_stop_at_the_cap(path: Any) -> None:
    points = np.tile(np.array([[0.0, 2.0, 0.25, 0.5]], np.float32), (10, 1))
    for cap, expected in ((3, 1.0), (10, 1.0), (20, 0.5)):
        out, used = grid(path, points, count_cap=cap)
        assert used == 10
        assert out[1].max() == np.float32(expected)
        assert out[4].max() == 0.5


def test_arrays_that_only_touch_are_not_an_overlap(path: Any) -> None:
    a = gate_args(2, 4, (1, 1))
    buffer = np.zeros(12, np.float32)
    buffer[4:] = a["h"].reshape(-1)
    path.fuse_gate(**{**a, "h": buffer[4:].reshape(2, 4), "out": buffer[:4]})
    path.fuse_gate(**a)
    assert buffer[:4].tobytes() == a["out"].tobytes()
