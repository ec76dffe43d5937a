"""A bundle is read whole and as it was written, or refused with one BundleError that names the file and the field."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgefuse
from edgefuse import bundle as bundles
from edgefuse.container import pack
from edgefuse.errors import BundleError
from tiny import Tiny


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "tiny.efb"
    Tiny().write(target)
    return target


def test_what_was_written_is_read(path: Path) -> None:
    bundle = bundles.read(path)
    assert dict(bundle.files) == Tiny().files()
    assert bundle.manifest.stream_names == ("a", "b", "c")


def test_any_zip_reader_can_open_a_bundle(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist()[0] == "manifest.json"
        assert archive.read("fusion.bin") == Tiny().files()["fusion.bin"]


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "one.efb", tmp_path / "two.efb"
    Tiny().write(one)
    Tiny().write(two)
    assert one.read_bytes() == two.read_bytes()


def test_every_truncation_is_refused(path: Path) -> None:
    data = path.read_bytes()
    for size in range(0, len(data), 7):
        path.write_bytes(data[:size])
        with pytest.raises(BundleError, match=r"tiny\.efb"):
            bundles.read(path)


def test_a_flipped_bit_anywhere_is_refused(path: Path) -> None:
    data = path.read_bytes()
    bits = np.random.default_rng(0).integers(0, 8, len(data))
    accepted = []
    for i, bit in enumerate(bits):
        path.write_bytes(data[:i] + bytes([data[i] ^ (1 << int(bit))]) + data[i + 1 :])
        try:
            bundles.read(path)
            accepted.append(i)
        except BundleError:
            pass
    assert accepted == []


@pytest.mark.parametrize("junk", [b"", b"PK", b"\0" * 100, b"not a zip at all", os.urandom(1000)])
def test_a_foreign_file_is_refused(tmp_path: Path, junk: bytes) -> None:
    target = tmp_path / "foreign.efb"
    target.write_bytes(junk)
    with pytest.raises(BundleError, match=r"foreign\.efb: is not a whole edgefuse bundle"):
        bundles.read(target)


def test_bytes_before_or_behind_the_archive_are_refused(path: Path) -> None:
    data = path.read_bytes()
    for altered in (b"x" + data, data + b"x"):
        path.write_bytes(altered)
        with pytest.raises(BundleError):
            bundles.read(path)


def test_a_foreign_zip_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "foreign.efb"
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(BundleError, match=r"it holds no manifest\.json"):
        bundles.read(target)


def test_a_compressed_bundle_is_refused(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "small.efb"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in source.namelist():
            archive.writestr(name, source.read(name))
    with pytest.raises(BundleError, match="compressed"):
        bundles.read(target)


@pytest.mark.parametrize("name", ["../up.onnx", "/etc/passwd", "a b", "UPPER/x", ".hidden", "x" * 200])
def test_a_name_that_could_leave_the_bundle_is_refused(tmp_path: Path, name: str) -> None:
    target = tmp_path / "odd.efb"
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("manifest.json", "{}")
        archive.writestr(name, "x")
    with pytest.raises(BundleError, match="name that is not allowed"):
        bundles.read(target)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.efb")
    for name in ("fifo.efb", ".", "missing.efb"):
        with pytest.raises(BundleError, match=r"cannot be read|not a regular file"):
            bundles.read(tmp_path / name)


def test_a_loaded_engine_keeps_no_second_copy_of_its_weights_and_reads_them_again_when_asked(path: Path) -> None:
    whole = dict(bundles.read(path).files)
    bundle = edgefuse.load(path).bundle
    assert {name: bundle[name] for name in bundle.files} == whole
    path.write_bytes(path.read_bytes().replace(whole["fusion.bin"], bytes(len(whole["fusion.bin"]))))
    with pytest.raises(BundleError, match=r"tiny\.efb: fusion\.bin: is not what it was when the bundle was read"):
        bundle["fusion.bin"]
    path.unlink()
    with pytest.raises(BundleError, match=r"cannot be read"):
        bundle["fusion.bin"]


def test_a_bundle_is_known_by_the_hash_of_its_file(path: Path) -> None:
    assert bundles.read(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_bundle_that_nobody_let_go_needs_its_file_no_longer(path: Path) -> None:
    bundle = bundles.read(path)
    path.unlink()
    assert dict(bundle.files) == Tiny().files()


def packed(path: Path, manifest: bytes, files: dict[str, bytes]) -> None:
    path.write_bytes(pack({"manifest.json": manifest, **files}))


def test_an_undeclared_file_is_refused(path: Path) -> None:
    files = dict(bundles.read(path).files)
    with zipfile.ZipFile(path) as archive:
        manifest = archive.read("manifest.json")
    packed(path, manifest, {**files, "extra.bin": b"x"})
    with pytest.raises(BundleError, match=r"extra\.bin: is not declared"):
        bundles.read(path)
    packed(path, manifest, {n: c for n, c in files.items() if n != "head.onnx"})
    with pytest.raises(BundleError, match=r"head\.onnx: is declared in the manifest but missing"):
        bundles.read(path)
    packed(path, manifest, {**files, "fusion.bin": files["fusion.bin"][:-4] + b"\0\0\0\0"})
    with pytest.raises(BundleError, match=r"fusion\.bin: was altered"):
        bundles.read(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'{"schema_version": 1, "schema_version": 1}', "stands twice"),
        (b'{"schema_version": NaN}', "NaN is not allowed"),
        (b'{"schema_version": 1e999}', "too large"),
        (b'{"schema_version": 2}', "this runtime reads 1, not 2"),
        (b"[]", "not a JSON object"),
        (b"[" * 60_000, "not strict JSON"),
        (b"\xff\xfe", "not strict JSON"),
        (b" " * 1_100_000, "larger than"),
    ],
)
def test_a_manifest_that_is_not_strict_json_is_refused(tmp_path: Path, text: bytes, words: str) -> None:
    target = tmp_path / "bad.efb"
    packed(target, text, {})
    with pytest.raises(BundleError, match=words) as caught:
        bundles.read(target)
    assert "bad.efb: manifest.json" in str(caught.value)


def drop(*keys: Any) -> Callable[[dict[str, Any]], None]:
    def change(fields: dict[str, Any]) -> None:
        for key in keys[:-1]:
            fields = fields[key]
        del fields[keys[-1]]

    return change


def put(value: Any, *keys: Any) -> Callable[[dict[str, Any]], None]:
    def change(fields: dict[str, Any]) -> None:
        for key in keys[:-1]:
            fields = fields[key]
        fields[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("blend", "fusion", "operator"), r"fusion: unknown operator 'blend'; known: concat"),
        (put(1, "fusion", "colour"), r"fusion\.colour: unknown key"),
        (put(-1.0, "streams", 0, "fresh_ms"), r"streams\.0\.fresh_ms: expected float > 0\.0 \(given -1\.0\)"),
        (put("12", "streams", 0, "fresh_ms"), r"streams\.0\.fresh_ms: expected float, got str \(given '12'\)"),
        (put(True, "streams", 0, "embedding_dim"), r"streams\.0\.embedding_dim: expected int, got bool"),
        (put(50.0, "streams", 1, "max_age_ms"), r"streams\.1: max_age_ms 50\.0 is below fresh_ms"),
        (put("zebra", "streams", 0, "derived_from"), r"streams\.a\.derived_from: no stream 'zebra'"),
        (put("a", "streams", 1, "name"), r"stream 'a' is declared twice"),
        (put("join", "streams", 1, "name"), r"stream 'join' has a name that the graphs need themselves"),
        (put("A b", "streams", 1, "name"), r"streams\.1\.name"),
        (put(["x"], "head", "outputs", 0, "labels"), r"head\.outputs\.0: 1 labels for 3 values"),
        (put("gone.onnx", "head", "file"), r"gone\.onnx is used but not listed"),
        (put([], "streams"), r"streams: expected list of length >= 1"),
        (drop("head"), r"head: is missing"),
        (put("../x", "graph"), r"graph: "),
        (put([60_000, 60_000], "streams", 0, "tensor_shape"), r"tensor_shape \[60000, 60000\] holds more than"),
        (put([{"samples": {}, "outputs": {}}], "golden"), r"golden: outputs \[\], not \['way'\]"),
        (put([{"samples": {}, "outputs": {"x": "y"}}], "golden"), r"golden: outputs \['x'\], not \['way'\]"),
    ],
)
def test_a_wrong_field_is_named_with_its_path(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    fields = json.loads(json.dumps(Tiny().fields()))
    change(fields)
    with pytest.raises(BundleError, match=words):
        bundles.write(tmp_path / "wrong.efb", fields, Tiny().files())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            put({"onnxruntime": "99.0"}, "requires"),
            r"requires\.onnxruntime: the bundle needs onnxruntime 99\.0 or newer",
        ),
        (put({"edgefuse": "9.1"}, "requires"), r"requires\.edgefuse: the bundle needs edgefuse 9\.1 or newer, here is"),
        (put("sonar", "streams", 0, "kind"), r"streams\.a\.kind: unknown kind 'sonar'; known: camera"),
        (put({"shape": [4]}, "streams", 0, "preprocess"), r"streams\.a: preprocessing gives float32 \[4\]"),
        (
            put({"size": [3]}, "streams", 0, "preprocess"),
            r"streams\.a\.preprocess: size: unknown key; shape: is missing",
        ),
        (put(9, "streams", 0, "embedding_dim"), r"fusion\.bin: has \d+ bytes, the operator needs"),
        (put("mlb", "fusion", "operator"), r"head\.onnx: input 'fused' is float32 \[1, 32\], not float32 \[1, 8\]"),
        (put("encoders/b.onnx", "streams", 0, "encoder"), r"encoders/b\.onnx: input 'input' is float32 \[1, 5\]"),
        (put(["mean"], "fallback", "blocks"), r"fallback\.bin: is not 24 finite float32"),
    ],
)
def test_parts_that_do_not_fit_each_other_are_named(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    fields = json.loads(json.dumps(Tiny().fields()))
    change(fields)
    bundles.write(tmp_path / "odd.efb", fields, Tiny().files())
    with pytest.raises(BundleError, match=words):
        edgefuse.load(tmp_path / "odd.efb")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_weights_are_refused(tmp_path: Path, bad: float) -> None:
    files = Tiny().files()
    weights = np.frombuffer(files["fusion.bin"], dtype="<f4").copy()
    weights[3] = bad
    bundles.write(tmp_path / "nan.efb", Tiny().fields(), {**files, "fusion.bin": weights.tobytes()})
    with pytest.raises(BundleError, match=r"fusion\.bin: parameter a\.weight holds non-finite values"):
        edgefuse.load(tmp_path / "nan.efb")


@pytest.mark.parametrize("graph", [b"", b"garbage", b"\0" * 64])
def test_a_graph_that_onnx_runtime_refuses_is_named(tmp_path: Path, graph: bytes) -> None:
    bundles.write(tmp_path / "graph.efb", Tiny().fields(), {**Tiny().files(), "encoders/a.onnx": graph})
    with pytest.raises(BundleError, match=r"encoders/a\.onnx: ONNX Runtime refuses it"):
        edgefuse.load(tmp_path / "graph.efb")


def test_a_bundle_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be written"):
        Tiny().write(tmp_path / "no" / "such" / "folder.efb")
    assert list(tmp_path.iterdir()) == []
