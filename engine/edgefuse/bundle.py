"""The .efb file: a manifest and the files that it declares, whose every byte is either hashed or canonical."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from msgspec import Struct

from edgefuse.complaints import complaint
from edgefuse.container import MANIFEST, Contents, pack, read_regular, spans
from edgefuse.errors import BundleError
from edgefuse.files import write_whole
from edgefuse.manifest import Manifest
from edgefuse.schema import validate

MAX_MANIFEST_BYTES = 1 << 20  # room for the labels of thousands of known places


class Bundle(Struct, frozen=True):
    """The checked manifest and the very bytes that were hashed: in memory, until they are let go."""

    path: str
    manifest: Manifest
    files: Contents
    sha256: str

    def __getitem__(self, name: str) -> bytes:
        return self.files[name]

    def place(self, what: str) -> str:
        """Where in the bundle, for an error message."""
        return f"{self.path}: {what}"


def read(path: str | os.PathLike[str]) -> Bundle:
    """Read and check a bundle. Anything wrong is a BundleError naming the file and the field."""
    place = os.fspath(path)
    return parse(read_regular(place), place)


def parse(data: bytes, place: str) -> Bundle:
    """Check the bytes of a bundle; `place` is what errors call it."""
    found, view, whole = spans(data, place), memoryview(data), _Hashing(data)
    manifest = _manifest(data[slice(*found.pop(MANIFEST))], place)
    _check_files(manifest, {name: view[slice(*span)] for name, span in found.items()}, place)
    digests = {name: spec.sha256 for name, spec in manifest.files.items()}
    return Bundle(place, manifest, Contents(data, found, digests, place), whole.digest())


class _Hashing(threading.Thread):
    """SHA-256 of a whole bundle, made while that of each of its files is: a fifth of what loading a large one took."""

    def __init__(self, data: bytes) -> None:
        super().__init__(name="edgefuse-hash", daemon=True)
        self._data, self._found = data, ""
        with suppress(RuntimeError):  # no thread is to be had
            self.start()

    def run(self) -> None:
        self._found = hashlib.sha256(self._data).hexdigest()

    def digest(self) -> str:
        """In hexadecimals, once it is known."""
        if self.ident is not None:
            self.join()
        return self._found or hashlib.sha256(self._data).hexdigest()


def write(path: str | os.PathLike[str], fields: Mapping[str, Any], files: Mapping[str, bytes]) -> Bundle:
    """Write a bundle of `fields` (the manifest without `files`) and `files`; the target appears whole or not at all."""
    data = assemble(fields, files)
    bundle = parse(data, os.fspath(path))
    save(path, data)
    return bundle


def assemble(fields: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    """The bytes of a bundle, its manifest completed with size and hash of every file; nothing is checked yet."""
    listing = {n: {"size_bytes": len(c), "sha256": hashlib.sha256(c).hexdigest()} for n, c in sorted(files.items())}
    document = json.dumps({**fields, "files": listing}, indent=1, allow_nan=False).encode()
    return pack({MANIFEST: document, **files})


def save(path: str | os.PathLike[str], data: bytes) -> None:
    """Store the bytes of a bundle, whole or not at all; a BundleError names the place."""
    try:
        write_whole(path, data)
    except OSError as error:
        raise BundleError(f"cannot be written: {error.strerror or error}", place=os.fspath(path)) from error


def strict_json(data: bytes, place: str) -> Any:
    """JSON without duplicate keys, NaN, infinities or numbers too large for a float."""
    try:
        return json.loads(data, object_pairs_hook=_no_duplicates, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"is not strict JSON: {error}", place=place) from error


def _manifest(data: bytes, place: str) -> Manifest:
    where = f"{place}: {MANIFEST}"
    if len(data) > MAX_MANIFEST_BYTES:
        raise BundleError(f"is larger than {MAX_MANIFEST_BYTES} bytes", place=where)
    document = strict_json(data, where)
    if not isinstance(document, dict):
        raise BundleError("is not a JSON object", place=where)
    if document.get("schema_version") != 1:
        raise BundleError(f"schema_version: this runtime reads 1, not {document.get('schema_version')!r}", place=where)
    try:
        return validate(Manifest, document)
    except ValueError as error:
        raise BundleError(complaint(error), place=where) from error


def _check_files(manifest: Manifest, files: Mapping[str, memoryview], place: str) -> None:
    for name in files:
        if name not in manifest.files:
            raise BundleError("is not declared in the manifest", place=f"{place}: {name}")
    for name, spec in manifest.files.items():
        if name not in files:
            raise BundleError("is declared in the manifest but missing", place=f"{place}: {name}")
        if len(files[name]) != spec.size_bytes:
            raise BundleError(f"has {len(files[name])} bytes, not {spec.size_bytes}", place=f"{place}: {name}")
        if hashlib.sha256(files[name]).hexdigest() != spec.sha256:
            raise BundleError("was altered: its SHA-256 is not the declared one", place=f"{place}: {name}")


def _no_duplicates(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"key {key!r} stands twice")
        result[key] = value
    return result


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not allowed")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text} is too large")
    return value
