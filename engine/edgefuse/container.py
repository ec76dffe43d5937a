"""The container of a bundle: a store-only zip that has one form only, so that nothing can hide in it.

Entries stand in the order of `manifest.json` first, then the names sorted, without compression, comments or attributes,
with fixed dates. A reader derives every byte that is no content from names, sizes and checksums, and compares.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping

from edgefuse.buffers import give_back
from edgefuse.errors import BundleError
from edgefuse.schema import FILE_PATTERN

MANIFEST = "manifest.json"
MAX_BUNDLE_BYTES = 1 << 30

Span = tuple[int, int]  # first byte of a content, and the one after its last

_DOS_DATE = 0x21  # 1 January 1980
_LOCAL = struct.Struct("<4sHHHHHLLLHH")
_CENTRAL = struct.Struct("<4sHHHHHHLLLHHHHHLL")
_END = struct.Struct("<4sHHHHLLH")


class Contents(Mapping[str, bytes]):
    """File name -> its bytes, out of the archive in memory or, once that was let go, out of the file again."""

    def __init__(self, data: bytes, found: Mapping[str, Span], digests: Mapping[str, str], path: str) -> None:
        """digests: file name -> SHA-256 in hexadecimals, of the contents as they were checked."""
        self._data: bytes | None = data
        self._spans, self._digests, self._path = dict(found), dict(digests), path

    def let_go(self) -> None:
        """Keep nothing in memory from now on: encoders live in their sessions, and a bundle is as large as they are."""
        self._data = None
        give_back()

    def __getitem__(self, name: str) -> bytes:
        begin, end = self._spans[name]
        return self._again(name) if self._data is None else self._data[begin:end]

    def __iter__(self) -> Iterator[str]:
        return iter(self._spans)

    def __len__(self) -> int:
        return len(self._spans)

    def _again(self, name: str) -> bytes:
        content = read_regular(self._path, *self._spans[name])
        if hashlib.sha256(content).hexdigest() != self._digests[name]:
            raise BundleError("is not what it was when the bundle was read", place=f"{self._path}: {name}")
        return content


def read_regular(path: str, begin: int = 0, end: int = MAX_BUNDLE_BYTES + 1) -> bytes:
    """What lies in a file between two places; a BundleError where it is none, cannot be read, or is too large."""
    try:
        with open(path, "rb", opener=lambda p, flags: os.open(p, flags | getattr(os, "O_NONBLOCK", 0))) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BundleError("is not a regular file", place=path)
            if status.st_size > MAX_BUNDLE_BYTES:
                raise BundleError(f"is larger than {MAX_BUNDLE_BYTES} bytes", place=path)
            file.seek(begin)
            return file.read(end - begin)
    except OSError as error:
        raise BundleError(f"cannot be read: {error.strerror or error}", place=path) from error


def spans(data: bytes, place: str) -> dict[str, Span]:
    """Where in an archive each content lies; a BundleError, which calls it `place`, unless it has the one form."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise BundleError(f"is not a whole edgefuse bundle: {error}", place=place) from error
    _check_infos(infos, place)
    found, view = dict[str, Span](), memoryview(data)
    for info in sorted(infos, key=lambda info: _rank(info.filename)):
        begin = info.header_offset + _LOCAL.size + len(info.filename)
        found[info.filename] = begin, begin + info.file_size
    headers, end = _frame({name: view[slice(*span)] for name, span in found.items()})
    ends = [0, *(span[1] for span in found.values())]
    pieces = zip(headers, ends, (span[0] for span in found.values()), strict=False)
    if not all(view[at:until] == header for header, at, until in pieces) or view[ends[-1] :] != end:
        raise BundleError(
            "is not a whole edgefuse bundle: the archive was altered or made by another tool", place=place
        )
    return found


def pack(entries: Mapping[str, bytes]) -> bytes:
    """The archive of these contents."""
    ordered = {name: entries[name] for name in sorted(entries, key=_rank)}
    headers, end = _frame(ordered)
    return b"".join([*(part for pair in zip(headers, ordered.values(), strict=True) for part in pair), end])


def _rank(name: str) -> tuple[bool, str]:
    return name != MANIFEST, name


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


def _frame(contents: Mapping[str, bytes | memoryview]) -> tuple[list[bytes], bytes]:
    """What stands before each content, and what after the last one.

    Written by hand, not by `zipfile`, so that the form cannot drift with the version of Python.
    """
    local, central, offset = [], [], 0
    for name, content in contents.items():
        fields = (20, 0, 0, 0, _DOS_DATE, zlib.crc32(content), len(content), len(content))
        encoded = name.encode()
        local.append(_LOCAL.pack(b"PK\3\4", *fields, len(encoded), 0) + encoded)
        central.append(_CENTRAL.pack(b"PK\1\2", 20, *fields, len(encoded), 0, 0, 0, 0, 0, offset) + encoded)
        offset += len(local[-1]) + len(content)
    directory = b"".join(central)
    end = _END.pack(b"PK\5\6", 0, 0, len(contents), len(contents), len(directory), offset, 0)
    return local, directory + end
