"""A bundle is verified by answering its own golden moments again, and says so when it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgefuse
from edgefuse import bundle as bundles
from edgefuse.errors import BundleError
from edgefuse.types import Array
from edgefuse.verify import verify
from tiny import Tiny, npy


def golden_bundle(path: Path, change: float = 0.0, **files: bytes) -> None:
    tiny = Tiny()
    moments = [tiny.samples(), {"b": tiny.samples()["b"]}]
    contents: dict[str, bytes] = dict(tiny.files())
    golden: list[dict[str, Any]] = []
    for k, samples in enumerate(moments):
        truth: Array = tiny.truth(samples).astype(np.float32)
        truth[0] += change
        contents.update({f"golden/m{k}/{name}.npy": npy(payload) for name, payload in samples.items()})
        contents[f"golden/m{k}/out.npy"] = npy(truth)
        names = {name: f"golden/m{k}/{name}.npy" for name in samples}
        golden.append({"samples": names, "outputs": {"way": f"golden/m{k}/out.npy"}})
    bundles.write(path, tiny.fields(golden=golden), {**contents, **files})


def test_an_honest_bundle_passes(tmp_path: Path) -> None:
    golden_bundle(tmp_path / "g.efb")
    checks = verify(edgefuse.load(tmp_path / "g.efb"))
    assert [(check.streams, check.passed) for check in checks] == [(("a", "b", "c"), True), (("b",), True)]


def test_other_answers_than_the_recorded_ones_fail(tmp_path: Path) -> None:
    golden_bundle(tmp_path / "g.efb", change=1e-3)
    assert [check.passed for check in verify(edgefuse.load(tmp_path / "g.efb"))] == [False, False]
    golden_bundle(tmp_path / "g.efb", change=float("nan"))
    assert [check.passed for check in verify(edgefuse.load(tmp_path / "g.efb"))] == [False, False]


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"pickle", npy(np.zeros(3))[:-4]])
def test_a_golden_file_that_is_no_array_is_named(tmp_path: Path, content: bytes) -> None:
    golden_bundle(tmp_path / "g.efb", **{"golden/m0/out.npy": content})
    with pytest.raises(BundleError, match=r"golden/m0/out\.npy: is not a plain \.npy array"):
        verify(edgefuse.load(tmp_path / "g.efb"))


def test_objects_in_a_golden_file_are_never_unpickled(tmp_path: Path) -> None:
    import io

    file = io.BytesIO()
    np.save(file, np.array([print], dtype=object), allow_pickle=True)
    golden_bundle(tmp_path / "g.efb", **{"golden/m0/out.npy": file.getvalue()})
    with pytest.raises(BundleError, match=r"is not a plain \.npy array"):
        verify(edgefuse.load(tmp_path / "g.efb"))
