"""A file is there whole, or what was there before still is."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefuse.files import write_whole
from full_disk import run_on_a_full_disk


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    write_whole(tmp_path / "f", b"one")
    write_whole(tmp_path / "f", b"two")
    assert (tmp_path / "f").read_bytes() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


WRITE = """
from edgefuse.files import write_whole
try:
    write_whole("f", b"x" * 1000)
except OSError as error:
    print(error.strerror)
"""


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old")
    assert "File too large" in run_on_a_full_disk(WRITE, 100, tmp_path)
    assert (tmp_path / "f").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_folder_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "gone" / "f", b"")
