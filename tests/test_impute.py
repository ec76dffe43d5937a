"""Absent streams told from the present ones: the maps of a bundle, against the formula and least squares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefuse import bundle as bundles
from edgefuse.bundle import Bundle
from edgefuse.engine import Engine
from edgefuse.errors import BundleError
from edgefuse.impute import shapes
from edgefuse.schema import document_of
from tiny import DIM, Tiny


def bundle_with(tmp_path: Path, tiny: Tiny, rank: int | None = None, **changes: Any) -> tuple[Bundle, dict[Any, Any]]:
    """A bundle whose maps are drawn, and the maps by pattern, multiplied out."""
    dims = [d + 1 for d in tiny.dims.values()]
    rng, maps, data = np.random.default_rng(5), {}, b""
    for shape in shapes(dims, [DIM] * len(dims), rank):
        parts = [rng.normal(0.0, 0.3, size).astype(np.float32) for size in shape.parts]
        data += b"".join(part.astype("<f4").tobytes() for part in parts)
        maps[shape.pattern] = np.linalg.multi_dot([*map(np.float64, parts), np.eye(shape.outputs)])
    spec: dict[str, Any] = {"file": "impute.bin", **({"rank": rank} if rank else {})}
    fallback = {"ladder": ["hold", "impute"], "impute": spec, **changes}
    files = {n: c for n, c in tiny.files().items() if n != "fallback.bin"}
    path = tmp_path / "t.efb"
    return bundles.write(path, tiny.fields(fallback=fallback), {**files, "impute.bin": data}), maps


@pytest.mark.parametrize("rank", [None, 2])
@pytest.mark.parametrize("operator", ["multconcat", "sum", "lmf", "gated"])
def test_what_stands_in_is_the_map_of_the_present_embeddings(rank: int | None, operator: str, tmp_path: Path) -> None:
    tiny = Tiny(operator=operator)
    if tiny.operator.columns(3, DIM, tiny.operator.default_rank) != DIM:
        pytest.skip("its rows are wider than what is drawn here")
    bundle, maps = bundle_with(tmp_path, tiny, rank)
    engine, samples, names = Engine(bundle), tiny.samples(), list(tiny.dims)
    for pattern, told in maps.items():
        there = [name for name, on in zip(names, pattern, strict=True) if on]
        absent = [name for name in names if name not in there]
        e = np.concatenate([*(tiny._embedding(name, samples[name]) for name in there), [1.0]])
        rows = dict(zip(absent, np.split(e @ told, len(absent)), strict=True))
        result = engine.answer({name: samples[name] for name in there})
        np.testing.assert_allclose(result.outputs["way"], tiny.truth({n: samples[n] for n in there}, rows), atol=2e-5)
        assert [result.streams[n].state for n in absent] == ["imputed"] * len(absent)
        assert {result.streams[n].rung for n in absent} == {"impute"}


def test_what_if_tells_it_from_those_that_would_be_left(tmp_path: Path) -> None:
    tiny = Tiny()
    engine, samples = Engine(bundle_with(tmp_path, tiny)[0]), tiny.samples()
    want = engine.answer({n: v for n, v in samples.items() if n != "b"}).outputs["way"]
    engine.answer(samples)
    np.testing.assert_allclose(engine.what_if("b").outputs["way"], want, atol=1e-6)


def test_nothing_left_is_blind(tmp_path: Path) -> None:
    result = Engine(bundle_with(tmp_path, Tiny())[0]).answer({})
    assert result.mode == "blind"


def test_a_file_of_another_size_or_not_finite_is_named(tmp_path: Path) -> None:
    tiny = Tiny()
    bundle, _ = bundle_with(tmp_path, tiny)
    fields = document_of(bundle.manifest, "files")
    data = bundle["impute.bin"]
    for wrong, words in ((data[4:], "bytes, the maps"), (b"\x00\x00\xc0\x7f" + data[4:], "non-finite")):
        broken = bundles.write(tmp_path / "b.efb", fields, {**bundle.files, "impute.bin": wrong})
        with pytest.raises(BundleError, match=rf"impute\.bin: .*{words}"):
            Engine(broken)


def test_a_ladder_with_a_rung_that_the_bundle_has_nothing_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="rung 'impute': the bundle holds nothing for it"):
        Tiny().write(tmp_path / "t.efb", fallback={"ladder": ["hold", "impute"]})
