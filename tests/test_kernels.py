"""Tests of what the kernels compute: every instruction set and NumPy against a float64 truth and each other."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgefuse import kernels, reference
from edgefuse.reference import Activation, Reduce
from edgefuse.types import F32
from kernel_cases import EDGES, GRID, OPERATORS, Project, assert_near_truth, cloud

# fuse_project


@pytest.mark.parametrize("width", [1, 3, 8, 16, 17, 63, 65, 130, 256, 300])
@pytest.mark.parametrize("d", [1, 3, 8, 17, 64, 130])
def test_projection_is_near_the_float64_truth_at_every_size(path: Any, width: int, d: int) -> None:
    for reduce, concat in OPERATORS:
        for weights in (np.float32, np.float16):
            case = Project((d, 5, d), width, (1, 1, 2), reduce=reduce, concat=concat, weights=weights)
            assert_near_truth(case, path)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_projection_is_near_the_float64_truth_for_every_presence_pattern(path: Any, n: int) -> None:
    for select in itertools.product((0, 1, 2), repeat=n):
        for k, (reduce, concat) in enumerate(OPERATORS):
            assert_near_truth(Project((6,) * n, 9, select, k % 2, reduce, concat), path)


@pytest.mark.parametrize(("reduce", "concat"), OPERATORS)
def test_absent_streams_are_never_read(path: Any, reduce: Reduce, concat: bool) -> None:
    for k, select in enumerate(itertools.product((0, 1, 2), repeat=3)):
        weights = (np.float32, np.float16)[k % 2]
        case = Project((4, 40, 9), 35, select, reduce=reduce, concat=concat, weights=weights)
        clean = case.run(path)
        case.poison_absent()
        assert case.run(path).tobytes() == clean.tobytes()
        assert np.isfinite(clean).all()


@pytest.mark.parametrize(
    ("reduce", "empty"),
    [(Reduce.SUM, 0), (Reduce.AVERAGE, 0), (Reduce.MAX, 0), (Reduce.PRODUCT, 1), (Reduce.JOINT_PRODUCT, 0)],
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


def test_the_joint_product_needs_two_streams(path: Any) -> None:
    for select in itertools.product((0, 1, 2), repeat=3):
        joint, plain = (
            Project((5, 7, 6), 21, select, reduce=r).run(path) for r in (Reduce.JOINT_PRODUCT, Reduce.PRODUCT)
        )
        if np.count_nonzero(select) < 2:
            plain[-21:] = 0
        assert joint.tobytes() == plain.tobytes()


def test_half_weights_give_the_bits_of_the_same_weights_widened(path: Any) -> None:
    for width in (1, 3, 4, 15, 16, 17, 130, 300):
        half = Project((40, 3, 9), width, (1, 2, 1), weights=np.float16)
        widened = Project((40, 3, 9), width, (1, 2, 1))
        widened.args["weights"] = half.args["weights"].astype(np.float32)
        assert half.run(path).tobytes() == widened.run(path).tobytes()


def test_every_half_is_widened_exactly_subnormal_and_infinite_ones_too(path: Any) -> None:
    halfs = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    case = Project((1,), halfs.size, (1,), Activation.IDENTITY, Reduce.NONE, weights=np.float16)
    case.args["offsets"][0] = case.args["weight_offsets"][0] = 0
    case.args.update(x=np.ones(1, np.float32), weights=np.concatenate([halfs, np.zeros_like(halfs)]))
    with np.errstate(invalid="ignore"):  # NumPy tells of signalling NaN
        np.testing.assert_array_equal(case.run(path), halfs.astype(np.float32))


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_cpp_and_numpy_projections_are_each_near_the_truth_for_any_layout(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 16))
    dims = tuple(data.draw(st.lists(st.integers(1, 40), min_size=n, max_size=n)))
    select = tuple(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))
    reduce, concat = data.draw(st.sampled_from(OPERATORS))
    width, activation = data.draw(st.integers(1, 80)), data.draw(st.sampled_from(Activation))
    weights = data.draw(st.sampled_from([np.float32, np.float16]))
    case = Project(dims, width, select, activation, reduce, concat, weights=weights)
    for path in (reference, kernels):
        assert_near_truth(case, path)


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
    case = Project((3, 2), 4, (1, 1), reduce=Reduce.SUM, concat=False)
    x = case.args["x"]
    buffer = np.zeros(4 + x.size, np.float32)
    buffer[4:] = x
    path.fuse_project(**{**case.args, "x": buffer[4:], "out": buffer[:4]})
    assert buffer[:4].tobytes() == case.run(path).tobytes()
