"""The joins, on every instruction set and in NumPy, against a float64 truth; sizes in both languages; refusals."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from edgefuse import arguments, kernels
from edgefuse.joins import OF_TWO, SHAPES, Join, Size
from fusion_truth import kernel_truth
from kernel_cases import JOINED, join_args

KINDS = [kind for kind in Join if kind != Join.NONE]


def truth(a: dict[str, Any]) -> Any:
    kind, streams = Join(a["kind"]), len(a["u"])
    named, begin = {}, 0
    for name, shape in SHAPES[kind].theta(Size(streams, a["dim"], a["rank"])).items():
        named[name] = a["theta"][begin : begin + math.prod(shape)].reshape(shape).astype(float)
        begin += math.prod(shape)
    columns = a["u"].shape[1]
    through = [(np.eye(columns), np.zeros(columns))] * streams
    # LMF gives an absent stream its bias; here the bias is 0, so a row left out stands in as ones.
    ones = [np.ones(columns) if kind == Join.LMF and not s else None for s in a["select"]]
    x = [u.astype(float) if s else None for u, s in zip(a["u"], a["select"], strict=True)]
    return kernel_truth(JOINED[kind].name, through, named, x, a["dim"], a["rank"], ones)


def counts(kind: Join) -> tuple[int, ...]:
    return (2,) if kind in OF_TWO else (1, 2, 3, 6)


@pytest.mark.parametrize("kind", KINDS)
def test_every_mask_gives_the_formula(path: Any, kind: Join) -> None:
    for streams, (dim, rank) in itertools.product(counts(kind), ((1, 1), (5, 3), (33, 2), (130, 1))):
        if kind == Join.COSINE and dim == 1:
            continue  # unit vectors on a line cancel to rounding noise, which is then normalised
        a = join_args(kind, streams, dim, rank)
        for select in itertools.product((0, 1), repeat=streams):
            if any(select) and (streams < 6 or dim == 5):
                a["select"][:] = select
                path.fuse_join(**a)
                want = truth(a)
                bound = 4e-6 * (1 + np.abs(want).max())
                np.testing.assert_allclose(a["out"], want, rtol=0, atol=bound)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_left_out_are_never_read_and_nothing_gives_zeros(path: Any, kind: Join) -> None:
    streams = counts(kind)[-1]
    a = join_args(kind, streams, 9, 2)
    for select in itertools.product((0, 1), repeat=streams):
        a["select"][:] = select
        path.fuse_join(**a)
        clean = a["out"].tobytes()
        for worst in (np.nan, np.inf):
            u = np.where(np.array(select, bool)[:, None], a["u"], np.float32(worst))
            path.fuse_join(**{**a, "u": u})
            assert a["out"].tobytes() == clean
        assert any(select) or not a["out"].any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_substituted_row_counts_like_a_present_one(path: Any, kind: Join) -> None:
    a = join_args(kind, 2, 6, 2)
    path.fuse_join(**a)
    present = a["out"].copy()
    a["select"][:] = (2, 1)
    path.fuse_join(**a)
    assert a["out"].tobytes() == present.tobytes()


# The others multiply, square or divide by what they are given.
BOUNDED = [Join.GATE, Join.CHANNEL, Join.SHARE, Join.GMU, Join.GMU_N, Join.PAIR, Join.PAIRS, Join.STACK]
VOTES = [Join.VOTE_MEAN, Join.VOTE_SHARE, Join.VOTE_PRODUCT, Join.VOTE_MAJORITY]


@pytest.mark.parametrize("kind", BOUNDED + VOTES)
def test_extreme_rows_stay_finite_where_the_formula_does(path: Any, kind: Join) -> None:
    a = join_args(kind, 2, 4, 1)
    a["u"][:] = np.where(a["u"] > 0, np.float32(3e37), np.float32(-3e37))
    path.fuse_join(**a)
    assert np.isfinite(a["out"]).all()


def test_a_join_of_two_refuses_three() -> None:
    for kind in OF_TWO:
        a = join_args(kind, 2, 4, 1)
        with pytest.raises(ValueError, match="joins two streams"):
            arguments.join(**{**a, "u": np.zeros((3, a["u"].shape[1]), np.float32), "select": np.ones(3, np.uint8)})


def test_an_output_that_overlaps_is_refused() -> None:
    a = join_args(Join.GATE, 3, 5, 1)
    with pytest.raises(ValueError, match="out must not overlap u"):
        kernels.fuse_join(**{**a, "out": a["u"].reshape(-1)[:5]})


@pytest.mark.parametrize("kind", KINDS)
def test_both_languages_agree_on_the_sizes(kind: Join) -> None:
    for streams, dim, rank in itertools.product(counts(kind), (1, 4, 7), (1, 3)):
        a = join_args(kind, streams, dim, rank)
        kernels.fuse_join(**a)  # the module refuses every other size
        for name in ("u", "theta", "out"):
            shape = a[name].shape
            more = np.zeros((*shape[:-1], shape[-1] + 1), np.float32)
            with pytest.raises(ValueError, match=name):
                kernels.fuse_join(**{**a, name: more})
