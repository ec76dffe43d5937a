"""The .efb file: one store-only zip, read in memory, whose every byte is either hashed or canonical.

The archive has one form only: entries in the order of `manifest.json` first, then the names sorted, no compression, no
comments, no attributes, fixed dates. A reader rebuilds that form from what it read and compares, so that nothing can
hide in the container and any flipped bit is refused.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edgefuse.errors import BundleError
from edgefuse.files import write_whole
from edgefuse.manifest import Manifest
from edgefuse.schema import FILE_PATTERN, complaint, validate

MANIFEST = "manifest.json"
MAX_BUNDLE_BYTES = 1 << 30
MAX_MANIFEST_BYTES = 1 << 20  # room for the labels of thousands of known places


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle in memory: the checked manifest and the very bytes that were hashed."""

    path: str
    manifest: Manifest
    files: Mapping[str, bytes]
    sha256: str

    def __getitem__(self, name: str) -> bytes:
        return self.files[name]

    def place(self, what: str) -> str:
        """Where in the bundle, for an error message."""
        return f"{self.path}: {what}"


def read(path: str | os.PathLike[str]) -> Bundle:
    """Read and check a bundle. Anything wrong is a BundleError naming the file and the field."""
    place = os.fspath(path)
    return parse(_read_regular(place), place)


def parse(data: bytes, place: str) -> Bundle:
    """Check the bytes of a bundle; `place` is what errors call it."""
    entries = _entries(data, place)
    manifest = _manifest(entries, place)
    files = {name: content for name, content in entries.items() if name != MANIFEST}
    _check_files(manifest, files, place)
    return Bundle(place, manifest, files, hashlib.sha256(data).hexdigest())


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
    return _pack({MANIFEST: document, **files})


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


def _read_regular(place: str) -> bytes:
    try:
        with open(place, "rb", opener=lambda p, flags: os.open(p, flags | getattr(os, "O_NONBLOCK", 0))) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BundleError("is not a regular file", place=place)
            if status.st_size > MAX_BUNDLE_BYTES:
                raise BundleError(f"is larger than {MAX_BUNDLE_BYTES} bytes", place=place)
            return file.read(MAX_BUNDLE_BYTES + 1)
    except OSError as error:
        raise BundleError(f"cannot be read: {error.strerror or error}", place=place) from error


def _entries(data: bytes, place: str) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            _check_infos(infos, place)
            entries = {info.filename: archive.read(info) for info in infos}
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise BundleError(f"is not a whole edgefuse bundle: {error}", place=place) from error
    if _pack(entries) != data:
        raise BundleError(
            "is not a whole edgefuse bundle: the archive was altered or made by another tool", place=place
        )
    return entries


def _check_infos(infos: list[zipfile.ZipInfo], place: str) -> None:
    names = [info.filename for info in infos]
    if MANIFEST not in names:
        raise BundleError(f"is not an edgefuse bundle: it holds no {MANIFEST}", place=place)
    for info in infos:
        if not re.match(FILE_PATTERN, info.filename):
            raise BundleError(f"entry {info.filename[:80]!r} has a name that is not allowed", place=place)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size or info.flag_bits:
            raise BundleError(
                "is compressed or encrypted; bundles are stored plainly", place=f"{place}: {info.filename}"
            )
    if len(set(names)) != len(names):
        raise BundleError("holds two entries of one name", place=place)


def _manifest(entries: Mapping[str, bytes], place: str) -> Manifest:
    where = f"{place}: {MANIFEST}"
    if len(entries[MANIFEST]) > MAX_MANIFEST_BYTES:
        raise BundleError(f"is larger than {MAX_MANIFEST_BYTES} bytes", place=where)
    document = strict_json(entries[MANIFEST], where)
    if not isinstance(document, dict):
        raise BundleError("is not a JSON object", place=where)
    if document.get("schema_version") != 1:
        raise BundleError(f"schema_version: this runtime reads 1, not {document.get('schema_version')!r}", place=where)
    try:
        return validate(Manifest, document)
    except ValueError as error:
        raise BundleError(complaint(error), place=where) from error


def _check_files(manifest: Manifest, files: Mapping[str, bytes], place: str) -> None:
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


# The canonical container. Written by hand, not by `zipfile`, so that the form cannot drift with the Python version.
_DOS_DATE = 0x21  # 1 January 1980
_LOCAL = struct.Struct("<4sHHHHHLLLHH")
_CENTRAL = struct.Struct("<4sHHHHHHLLLHHHHHLL")
_END = struct.Struct("<4sHHHHLLH")


def _pack(entries: Mapping[str, bytes]) -> bytes:
    names = [MANIFEST, *sorted(n for n in entries if n != MANIFEST)]
    local, central, offset = [], [], 0
    for name in names:
        fields = (20, 0, 0, 0, _DOS_DATE, zlib.crc32(entries[name]), len(entries[name]), len(entries[name]))
        encoded = name.encode()
        local.append(_LOCAL.pack(b"PK\3\4", *fields, len(encoded), 0) + encoded + entries[name])
        central.append(_CENTRAL.pack(b"PK\1\2", 20, *fields, len(encoded), 0, 0, 0, 0, 0, offset) + encoded)
        offset += len(local[-1])
    directory = b"".join(central)
    end = _END.pack(b"PK\5\6", 0, 0, len(names), len(names), len(directory), offset, 0)
    return b"".join(local) + directory + end


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
