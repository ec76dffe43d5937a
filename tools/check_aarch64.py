"""Asks the package index whether every runtime dependency, and all that it pulls in, has an aarch64 Linux wheel.

pip reads environment markers (`; python_version < "3.11"`) with the Python that runs it, so a dependency that is only
needed on another Python can be missed; the packages named in pyproject.toml are checked on each Python in any case.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PYTHONS = ("3.10", "3.11", "3.12")
# Every tag that a system with glibc 2.28 or newer accepts (JetPack 5 on); pip takes each one literally.
PLATFORMS = ("manylinux2014_aarch64", *(f"manylinux_2_{minor}_aarch64" for minor in range(17, 29)))
PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def dependencies(pyproject: str) -> list[str]:
    """Return the entries of `dependencies = [...]`; Python 3.10 has no TOML reader."""
    block = re.search(r"^dependencies = \[(.*?)^\]", pyproject, re.MULTILINE | re.DOTALL)
    if block is None:
        raise SystemExit(f"{PROJECT}: no list of dependencies")
    return re.findall(r'"([^"]+)"', block[1])


def resolve(requirements: list[str], python: str) -> tuple[dict[str, tuple[str, str]], str]:
    """Return package -> (version, wheel) as pip would install them on aarch64, and pip's complaint where it cannot."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--dry-run"]
        command += ["--ignore-installed", "--target", folder, "--only-binary=:all:", "--implementation", "cp"]
        command += ["--python-version", python, "--report", str(report)]
        command += [part for tag in PLATFORMS for part in ("--platform", tag)]
        done = subprocess.run([*command, *requirements], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            return {}, errors[-1] if errors else done.stderr.strip()
        return dict(map(row, json.loads(report.read_text())["install"])), ""


def row(item: dict[str, dict[str, str]]) -> tuple[str, tuple[str, str]]:
    """Return name -> (version, wheel) of one entry of pip's report."""
    metadata, wheel = item["metadata"], item["download_info"]["url"].rsplit("/", 1)[-1]
    return metadata["name"], (metadata["version"], wheel)


def main() -> int:
    """Print a table for each Python; return 1 and name what did not resolve."""
    requirements = dependencies(PROJECT.read_text())
    missing = []
    for python in PYTHONS:
        found, complaint = resolve(requirements, python)
        print(f"Python {python}, aarch64")
        for name, (version, wheel) in sorted(found.items()):
            print(f"  {name:24} {version:14} {wheel}")
        if complaint:
            alone = {name: resolve([name], python)[1] for name in requirements}
            missing += [f"Python {python}: {name}: {why}" for name, why in alone.items() if why] or [complaint]
    print("\n".join(["not resolved:", *missing]) if missing else "every dependency has an aarch64 wheel")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
