"""What follows from the formulas for models with a linear head: absent streams can be folded into the head."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

import edgefuse
from edgefuse.config import RunConfig
from edgefuse.types import Array
from tiny import DIM, Tiny

DIMS = {"a": 3, "b": 17, "c": 4, "d": 1}
MASKS = [mask for mask in itertools.product((True, False), repeat=4) if any(mask)]


def answer(engine: edgefuse.Engine, samples: dict[str, Array]) -> Array:
    return engine.answer(samples).outputs["way"]


@pytest.mark.parametrize("mask", MASKS)
def test_an_absent_block_of_a_concatenation_is_a_head_without_its_rows(mask: tuple[bool, ...], tmp_path: Path) -> None:
    whole = Tiny(DIMS, "concat")
    whole.write(tmp_path / "whole.efb")
    names = [name for name, on in zip(DIMS, mask, strict=True) if on]
    part = Tiny({name: DIMS[name] for name in names}, "concat")
    part.encoders = {name: whole.encoders[name] for name in names}
    part.parameters = {key: value for key, value in whole.parameters.items() if key.split(".")[0] in names}
    blocks = whole.head[0].reshape(4, DIM, -1)
    part.head = (blocks[np.array(mask)].reshape(len(names) * DIM, -1), whole.head[1])
    part.write(tmp_path / "part.efb")
    samples = {name: whole.samples()[name] for name in names}
    both = [answer(edgefuse.load(tmp_path / file), samples) for file in ("whole.efb", "part.efb")]
    np.testing.assert_allclose(both[0], both[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mask", MASKS)
def test_means_can_be_folded_into_the_constants_of_the_head(mask: tuple[bool, ...], tmp_path: Path) -> None:
    tiny = Tiny(DIMS, "concat")
    tiny.write(tmp_path / "imputed.efb")
    names = [name for name, on in zip(DIMS, mask, strict=True) if on]
    samples = {name: tiny.samples()[name] for name in names}
    imputed = answer(edgefuse.load(tmp_path / "imputed.efb", RunConfig(ladder=("mean",))), samples)
    weight, bias = tiny.head
    gone = ~np.repeat(np.array(mask), DIM)
    tiny.head = (weight, bias + tiny.blocks["mean"].reshape(-1)[gone] @ weight[gone])
    tiny.write(tmp_path / "folded.efb")
    folded = answer(edgefuse.load(tmp_path / "folded.efb", RunConfig(ladder=("mask",))), samples)
    np.testing.assert_allclose(imputed, folded, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("operator", "identity"), [("product", 1.0), ("mlb", 1.0), ("sum", 0.0), ("max", -3e38)])
def test_the_identity_stands_in_as_if_the_stream_were_not_there(operator: str, identity: float, tmp_path: Path) -> None:
    tiny = Tiny(DIMS, operator)
    tiny.blocks["mean"][:] = identity
    tiny.write(tmp_path / "x.efb")
    stood, without = (edgefuse.load(tmp_path / "x.efb", RunConfig(ladder=(rung,))) for rung in ("mean", "mask"))
    given = tiny.samples()
    for mask in MASKS:
        samples = {name: given[name] for name, on in zip(DIMS, mask, strict=True) if on}
        assert answer(stood, samples).tobytes() == answer(without, samples).tobytes()
