"""Tests of what the kernels refuse: both backends raise ValueError in the same words, whatever comes in."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from edgefuse import kernels, reference, reference_joins, reference_maps, reference_subsets
from edgefuse.joins import Join
from kernel_cases import EDGES, GRID, Project, cloud, join_args, map_args, subset_args


def swapped(a: Any) -> Any:
    return a.astype(a.dtype.newbyteorder())


def strided(a: Any) -> Any:
    wide = np.zeros((*a.shape, 2), a.dtype)
    wide[..., 0] = a
    return wide[..., 0]


def misaligned(a: Any) -> Any:
    view = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


BAD: dict[str, Callable[[Any], Any]] = {
    "other dtype": lambda a: a.astype(np.float64 if a.dtype.kind == "f" else np.int16),
    "list": lambda a: a.tolist(),
    "none": lambda a: None,
    "zero-d": lambda a: a.reshape(-1)[0],
    "one more axis": lambda a: a[None],
    "strided": strided,
    "too long": lambda a: np.concatenate([a, a]),
    "big-endian": swapped,
    "misaligned": misaligned,
}
PROJECT = Project((4, 6), 5, (1, 2))
HALF = Project((4, 6), 5, (1, 2), weights=np.float16)


def calls() -> dict[str, tuple[dict[str, Any], Any, Any]]:
    """Kernel -> good arguments, the gateway, the reference."""
    grid = {**GRID, "points": cloud(9), "out": np.zeros((5, 11, 7), np.float32)}
    return {
        "project": (PROJECT.args, kernels.fuse_project, reference.fuse_project),
        "half project": (HALF.args, kernels.fuse_project, reference.fuse_project),
        "maps": (map_args((1, 2), 3, 4), kernels.fuse_maps, reference_maps.fuse_maps),
        "subsets": (subset_args(3, 5, 4), kernels.subset_head, reference_subsets.subset_head),
        "join": (join_args(Join.GATE, 3, 8, 1), kernels.fuse_join, reference_joins.fuse_join),
        "grid": (grid, kernels.lidar_grid, reference.lidar_grid),
    }


def same_refusal(run: Any, plain: Any, args: dict[str, Any], words: str) -> None:
    """Both backends raise ValueError in the same words."""
    with pytest.raises(ValueError, match=words) as first:
        run(**args)
    with pytest.raises(ValueError, match=words) as second:
        plain(**args)
    assert str(first.value) == str(second.value)


def bad_arrays() -> Iterator[tuple[str, str, str]]:
    """Each array argument of each kernel with each fault that it can have."""
    # These say how long the others must be.
    free = {"x", "weights", "points", "substitutes", "h", "u", "z_edges_m", "masks", "bias"}
    for kernel, (args, _, _) in calls().items():
        for name, bad in itertools.product((n for n, v in args.items() if isinstance(v, np.ndarray)), BAD):
            byte = args[name].dtype == np.uint8 and bad in ("big-endian", "misaligned")
            if not byte and not (name in free and bad == "too long"):
                yield kernel, name, bad


@pytest.mark.parametrize(("kernel", "name", "bad"), list(bad_arrays()))
def test_a_bad_array_is_refused_by_name(kernel: str, name: str, bad: str) -> None:
    args, run, plain = calls()[kernel]
    same_refusal(run, plain, {**args, name: BAD[bad](args[name])}, f"^{name} must")


def test_good_arguments_are_taken() -> None:
    for args, run, plain in calls().values():
        run(**args)
        plain(**args)


@pytest.mark.parametrize("wild", [-1, 10**4, 2**31, 2**62, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("name", ["dims", "offsets", "weight_offsets"])
def test_projection_refuses_wild_layouts_even_of_absent_streams(name: str, wild: int) -> None:
    for stream, select in itertools.product(range(2), range(3)):
        args = Project((4, 6), 5, (select, select)).args
        args[name][stream] = wild
        same_refusal(
            kernels.fuse_project, reference.fuse_project, args, rf"{name}\[{stream}\] must be in|offsets\[{stream}"
        )


def test_the_last_offset_that_fits_is_taken_and_the_next_refused() -> None:
    for name, size in (("offsets", "x"), ("weight_offsets", "weights")):
        args = Project((4, 6), 5, (1, 1)).args
        args[name][1] = args[size].size - (6 if size == "x" else 7 * 5)
        kernels.fuse_project(**args)
        args[name][1] += 1
        same_refusal(kernels.fuse_project, reference.fuse_project, args, rf"^{name}\[1\] must be in")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"activation": 2}, "activation must be in"),
        ({"activation": -1}, "activation must be in"),
        ({"reduce": 6}, "reduce must be in"),
        ({"reduce": 0, "concat": False, "out": np.zeros(0, np.float32)}, "nothing to compute"),
        ({"select": np.array([1, 3], np.uint8)}, "select must hold"),
        ({"substitutes": np.zeros((0, 5), np.float32)}, "streams"),
        ({"substitutes": np.zeros((17, 5), np.float32)}, "streams"),
        ({"substitutes": np.zeros((2, 0), np.float32)}, "width"),
        ({"dims": np.array([0, 6])}, r"dims\[0\]"),
        ({"x": np.zeros(0, np.float32)}, r"dims\[0\]"),
        ({"weights": np.zeros(0, np.float32)}, r"weight_offsets\[0\]"),
    ],
)
def test_projection_refuses_what_makes_no_sense(change: dict[str, Any], words: str) -> None:
    same_refusal(kernels.fuse_project, reference.fuse_project, {**PROJECT.args, **change}, words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"activation": 2}, "activation must be in"),
        ({"reduce": -1}, "reduce must be in"),
        ({"reduce": 6}, "reduce must be in"),
        ({"reduce": 0, "concat": False, "out": np.zeros(0, np.float32)}, "nothing to compute"),
        ({"select": np.array([1, 3], np.uint8)}, "select must hold"),
        ({"substitutes": np.zeros((17, 3), np.float32)}, "streams"),
        ({"substitutes": np.zeros((2, 0), np.float32)}, "width"),
        ({"cells": 0}, "cells must be in"),
        ({"cells": 2**62}, "cells must be in"),
        ({"cells": 5}, "out must have shape"),
        ({"offsets": np.array([-1, 0])}, r"offsets\[0\]"),
        ({"offsets": np.array([0, 2**62])}, r"offsets\[1\]"),
        ({"x": np.zeros(11, np.float32)}, "cells must be in"),
    ],
)
def test_maps_refuse_what_makes_no_sense(change: dict[str, Any], words: str) -> None:
    same_refusal(kernels.fuse_maps, reference_maps.fuse_maps, {**map_args((1, 2), 3, 4), **change}, words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"reduce": 6}, "reduce must be in"),
        ({"reduce": 0, "concat": False}, "nothing to compute"),
        ({"masks": np.array([0, 8], np.uint16)}, "masks must be below"),
        ({"masks": np.arange(7, dtype=np.uint16)}, "out must have shape"),
        ({"bias": np.zeros(0, np.float32)}, "classes"),
        ({"weight": np.zeros((19, 4), np.float32)}, "weight must have shape"),
        ({"concat": False}, "weight must have shape"),
        ({"h": np.zeros((17, 5), np.float32)}, "streams"),
    ],
)
def test_subsets_refuse_what_makes_no_sense(change: dict[str, Any], words: str) -> None:
    args = {**subset_args(3, 5, 4), **change}
    same_refusal(kernels.subset_head, reference_subsets.subset_head, args, words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cell_m": 0.0}, "cell_m must be positive"),
        ({"cell_m": -1.0}, "cell_m must be positive"),
        ({"cell_m": 1e-60}, "cell_m must be positive"),
        ({"cell_m": float("nan")}, "cell_m must be a finite"),
        ({"x_min_m": float("inf")}, "x_min_m must be a finite"),
        ({"y_min_m": 1e300}, "y_min_m must be a finite"),
        ({"count_cap": 0}, "count_cap"),
        ({"count_cap": 2**24 + 1}, "count_cap"),
        ({"z_edges_m": np.array([0, 1, 1, 2], np.float32)}, "z_edges_m must hold"),
        ({"z_edges_m": np.array([0, 1, np.nan, 2], np.float32)}, "z_edges_m must hold"),
        ({"z_edges_m": np.array([-np.inf, 1, 1.5, 2], np.float32)}, "z_edges_m must hold"),
        ({"z_edges_m": np.zeros(0, np.float32)}, "z_edges_m must hold"),
        ({"out": np.zeros((5, 0, 7), np.float32)}, "rows of out"),
    ],
)
def test_grid_refuses_what_makes_no_sense(change: dict[str, Any], words: str) -> None:
    args = {**GRID, "points": cloud(9), "out": np.zeros((5, 11, 7), np.float32), **change}
    same_refusal(kernels.lidar_grid, reference.lidar_grid, args, words)


def test_a_read_only_output_is_refused() -> None:
    for args, run, plain in calls().values():
        out = np.zeros_like(args["out"])
        out.setflags(write=False)
        same_refusal(run, plain, {**args, "out": out}, "out must be writeable")


def test_an_output_that_overlaps_an_input_is_refused() -> None:
    for args, run, plain in calls().values():
        inputs = [n for n, v in args.items() if isinstance(v, np.ndarray) and v.dtype == np.float32 and n != "out"]
        for name in inputs:
            buffer = np.zeros(args["out"].size + args[name].size, np.float32)
            out = buffer[: args["out"].size].reshape(args["out"].shape)
            other = buffer[args["out"].size - 1 :][: args[name].size].reshape(args[name].shape)
            other[...] = args[name]
            if name == "z_edges_m":
                other[...] = EDGES
            same_refusal(run, plain, {**args, "out": out, name: other}, "overlap")
