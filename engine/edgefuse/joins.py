"""The joins: what becomes of the projected rows u_i where a plain fold is not the whole operator, with their sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum

from msgspec import Struct

Theta = dict[str, tuple[int, ...]]  # name -> shape of a join's own parameters, in the order of `fusion.bin`


class Join(IntEnum):
    """Which join; `reference_joins` states each formula."""

    NONE = 0
    GATE = 1
    CHANNEL = 2
    SHARE = 3
    GMU = 4
    GMU_N = 5
    PAIR = 6
    PAIRS = 7
    EXPERTS = 8
    LMF = 9
    MFB = 10
    MUTAN = 11
    RESIDUAL_LATE = 12
    RESIDUAL_GATED_LATE = 13
    RESIDUAL_EARLY = 14
    RESIDUAL_GATED_EARLY = 15
    VOTE_MEAN = 16
    VOTE_SHARE = 17
    VOTE_PRODUCT = 18
    VOTE_MAJORITY = 19
    STACK = 20
    COSINE = 21


GATES = (  # by weights that come from the rows or are learned: what a device joins in one launch
    Join.GATE,
    Join.CHANNEL,
    Join.SHARE,
    Join.GMU,
    Join.GMU_N,
    Join.PAIR,
    Join.PAIRS,
    Join.EXPERTS,
    Join.COSINE,
)
OF_TWO = (Join.GMU, Join.PAIR)  # not defined for another number of streams


class Size(Struct, frozen=True):
    """N streams at width `dim`; `rank` where an operator has one."""

    streams: int
    dim: int
    rank: int = 1


Count = Callable[[Size], int]


class Shapes(Struct, frozen=True):
    """Of one join: the columns W of each row u_i, the length of what it gives, and its own parameters."""

    columns: Count
    out: Count
    theta: Callable[[Size], Theta]


def _dim(s: Size) -> int:
    return s.dim


def _two(s: Size) -> int:
    return 2 * s.dim


def _ranked(s: Size) -> int:
    return s.rank * s.dim


def _blocks(s: Size) -> int:
    return s.streams * s.dim


def _own_and_all(s: Size) -> int:
    return s.dim + s.streams * s.dim


def _nothing(s: Size) -> Theta:
    return {}


def _logit_a_stream(s: Size) -> Theta:
    return {"join.logit": (s.streams,)}


def _late_blocks(columns: int) -> Callable[[Size], Theta]:
    return lambda s: {
        "join.weight": (s.streams, s.dim, columns * s.dim),
        "join.bias": (s.streams, columns * s.dim),
    }


def _early_block(columns: int) -> Callable[[Size], Theta]:
    return lambda s: {"join.weight": (s.dim, columns * s.dim), "join.bias": (columns * s.dim,)}


SHAPES: Mapping[Join, Shapes] = {
    Join.GATE: Shapes(_dim, _dim, lambda s: {"join.weight": (s.streams, s.dim), "join.bias": (s.streams,)}),
    Join.CHANNEL: Shapes(_dim, _dim, lambda s: {"join.logit": (s.streams, s.dim)}),
    Join.SHARE: Shapes(_dim, _dim, _logit_a_stream),
    Join.GMU: Shapes(_two, _dim, _nothing),
    Join.GMU_N: Shapes(_own_and_all, _dim, _nothing),
    Join.PAIR: Shapes(_dim, _dim, _nothing),
    Join.PAIRS: Shapes(_two, _dim, _nothing),
    Join.EXPERTS: Shapes(_two, _two, _nothing),
    Join.LMF: Shapes(_ranked, _dim, lambda s: {"join.weight": (s.rank,), "join.bias": (s.dim,)}),
    Join.MFB: Shapes(_ranked, _dim, _nothing),
    Join.MUTAN: Shapes(_ranked, _dim, _nothing),
    Join.RESIDUAL_LATE: Shapes(_dim, _blocks, _late_blocks(1)),
    Join.RESIDUAL_GATED_LATE: Shapes(_dim, _blocks, _late_blocks(2)),
    Join.RESIDUAL_EARLY: Shapes(_dim, _dim, _early_block(1)),
    Join.RESIDUAL_GATED_EARLY: Shapes(_dim, _dim, _early_block(2)),
    Join.VOTE_MEAN: Shapes(_dim, _dim, _nothing),
    Join.VOTE_SHARE: Shapes(_dim, _dim, _logit_a_stream),
    Join.VOTE_PRODUCT: Shapes(_dim, _dim, lambda s: {"join.log_prior": (s.dim,)}),
    Join.VOTE_MAJORITY: Shapes(_dim, _dim, _nothing),
    Join.STACK: Shapes(_dim, _blocks, _nothing),
    Join.COSINE: Shapes(_dim, _dim, _nothing),
}
