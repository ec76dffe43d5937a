"""Tests of fuse_maps and subset_head: each instruction set and NumPy against a float64 truth and fuse_project."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from edgefuse import reference
from edgefuse.reference import Reduce
from edgefuse.types import F32, F64
from kernel_cases import EPS, OPERATORS, folded, map_args, subset_args

# fuse_maps


def maps_truth(a: dict[str, Any]) -> tuple[F64, F64]:
    """The output in float64, and how far float32 may be from it."""
    size = a["substitutes"].shape[1] * a["cells"]
    maps = [np.maximum(a["x"][o : o + size].astype(float), 0) for o in a["offsets"]]
    spread = [np.repeat(row.astype(float), a["cells"]) for row in a["substitutes"]]
    u = [{0: np.zeros(size), 1: m, 2: s}[k] for k, m, s in zip(a["select"].tolist(), maps, spread, strict=True)]
    taken = [block for block, k in zip(u, a["select"], strict=True) if k]
    z, slack = folded(a["reduce"], taken, [np.zeros(size)] * len(taken), size) if a["reduce"] else (u[0][:0], u[0][:0])
    blocks = np.concatenate(u) if a["concat"] else u[0][:0]
    return np.concatenate([blocks, z]), np.concatenate([np.zeros(blocks.size), slack])


@pytest.mark.parametrize(("width", "cells"), [(1, 1), (3, 7), (2, 17), (5, 64), (3, 1024), (1, 2051)])
def test_maps_are_near_the_float64_truth_for_every_pattern_and_operator(path: Any, width: int, cells: int) -> None:
    for select in itertools.product((0, 1, 2), repeat=3):
        for reduce, concat in OPERATORS:
            a = map_args(select, width, cells, reduce, concat)
            path.fuse_maps(**a)
            expected, slack = maps_truth(a)
            assert (np.abs(a["out"] - expected) <= slack).all()


@pytest.mark.parametrize("cells", [60_000, 60_001])
def test_maps_larger_than_the_caches_are_right_at_every_alignment(path: Any, cells: int) -> None:
    a = map_args((1, 0, 2, 1), 3, cells)
    expected, slack = maps_truth(a)
    for skip in range(16):
        buffer = np.full(a["out"].size + 40, np.nan, np.float32)
        out = buffer[skip : skip + a["out"].size]
        path.fuse_maps(**{**a, "out": out})
        assert (np.abs(out - expected) <= slack).all()
        assert np.isnan(buffer[:skip]).all() and np.isnan(buffer[skip + out.size :]).all()


def test_a_map_of_one_cell_is_joined_as_a_projected_vector(path: Any) -> None:
    for select in itertools.product((0, 1, 2), repeat=3):
        for reduce, concat in OPERATORS:
            a = map_args(select, 33, 1, reduce, concat)
            path.fuse_maps(**a)
            rows = np.stack([np.maximum(a["x"][o : o + 33], 0) for o in a["offsets"]])
            given = np.where(np.array(select)[:, None] == 1, rows, a["substitutes"])
            out = np.empty_like(a["out"])
            as_rows = np.where(np.array(select) > 0, 2, 0).astype(np.uint8)
            zeros = np.zeros(3, np.int64)
            path.fuse_project(
                x=np.zeros(1, np.float32), dims=zeros + 1, offsets=zeros, weights=np.zeros(66, np.float32),
                weight_offsets=zeros, substitutes=given, select=as_rows, activation=0, reduce=int(reduce),
                concat=concat, out=out,
            )  # fmt: skip
            assert out.tobytes() == a["out"].tobytes()


def test_absent_maps_are_never_read(path: Any) -> None:
    for select in itertools.product((0, 1, 2), repeat=3):
        for reduce, concat in OPERATORS:
            a = map_args(select, 2, 21, reduce, concat)
            path.fuse_maps(**a)
            clean = a["out"].tobytes()
            for i, o in enumerate(a["offsets"]):
                if select[i] != reference.PRESENT:
                    a["x"][o : o + 42] = np.nan
                if select[i] != reference.SUBSTITUTED:
                    a["substitutes"][i] = np.inf
            path.fuse_maps(**a)
            assert a["out"].tobytes() == clean


def test_nan_in_a_present_map_reaches_its_own_cell_alone(path: Any) -> None:
    for reduce in list(Reduce)[1:]:
        a = map_args((1, 1), 2, 30, reduce)
        a["x"][a["offsets"][1] + 37] = np.nan
        path.fuse_maps(**a)
        assert np.flatnonzero(np.isnan(a["out"])).tolist() == [60 + 37, 120 + 37]


# subset_head


def subset_truth(a: dict[str, Any]) -> tuple[F64, F64]:
    """The logits in float64, one subset after another, and how far float32 may be from them."""
    h, w, values, slacks = a["h"].astype(float), a["weight"].astype(float), [], []
    n, width = h.shape
    for mask in a["masks"].tolist():
        taken = [i for i in range(n) if mask >> i & 1]
        blocks = [h[i] if i in taken else np.zeros(width) for i in range(n)] if a["concat"] else []
        sizes = [np.abs(b) for b in blocks]
        error = np.zeros(w.shape[1])
        if a["reduce"]:
            z, e = folded(a["reduce"], [h[i] for i in taken], [np.zeros(width)] * len(taken), width)
            blocks, sizes = [*blocks, z], [*sizes, np.abs(z)]
            error = e @ np.abs(w[-width:])
        values.append(np.concatenate(blocks) @ w + a["bias"])
        slacks.append(error + (len(w) + n + 4) * EPS * (np.concatenate(sizes) @ np.abs(w) + np.abs(a["bias"])))
    return np.array(values), np.array(slacks)


@pytest.mark.parametrize("width", [1, 5, 127, 128, 129])
@pytest.mark.parametrize("classes", [1, 3, 4, 9, 16, 21])
def test_subset_logits_are_near_the_float64_truth(path: Any, width: int, classes: int) -> None:
    for reduce, concat in OPERATORS:
        a = subset_args(4, width, classes, reduce, concat)
        path.subset_head(**a)
        expected, slack = subset_truth(a)
        assert (np.abs(a["out"] - expected) <= slack).all()


def logits(path: Any, a: dict[str, Any], masks: Any) -> F32:
    out: F32 = np.full((len(masks), a["bias"].size), np.nan, np.float32)
    path.subset_head(**{**a, "masks": np.array(masks, np.uint16), "out": out})
    return out


def test_the_logits_of_a_subset_do_not_depend_on_the_others_asked_for(path: Any) -> None:
    for reduce, concat in OPERATORS:
        a = subset_args(5, 40, 7, reduce, concat)
        path.subset_head(**a)
        for masks in ([31], [7, 7, 0, 31, 7], list(range(31, -1, -1)), [16, 1, 9]):
            assert logits(path, a, masks).tobytes() == a["out"][masks].tobytes()


def test_no_masks_give_no_logits(path: Any) -> None:
    assert logits(path, subset_args(3, 4, 5), []).shape == (0, 5)


def test_sixteen_streams_and_a_few_subsets(path: Any) -> None:
    masks = [0, 1, 0x8000, 0x7FFF, 0xFFFF, 0x5555]
    a = subset_args(4, 6, 3)
    for reduce, concat in OPERATORS:
        rows, rng = 6 * (16 * concat + (reduce > 0)), np.random.default_rng(reduce)
        a.update(h=rng.standard_normal((16, 6)).astype(np.float32), reduce=int(reduce), concat=concat)
        a.update(weight=rng.standard_normal((rows, 3)).astype(np.float32), masks=np.array(masks, np.uint16))
        expected, slack = subset_truth(a)
        assert (np.abs(logits(path, a, masks) - expected) <= slack).all()


def test_poison_in_a_stream_shows_in_its_own_subsets_alone(path: Any) -> None:
    for reduce, concat in OPERATORS:
        a = subset_args(4, 19, 5, reduce, concat)
        path.subset_head(**a)
        clean = a["out"].copy()
        a["h"][2] = np.nan
        path.subset_head(**a)
        without = [m for m in range(16) if not m >> 2 & 1]
        assert a["out"][without].tobytes() == clean[without].tobytes()
        lone = [4] if reduce is Reduce.JOINT_PRODUCT and not concat else []
        assert np.isnan(a["out"][[m for m in range(16) if m >> 2 & 1 and m not in lone]]).all()
