"""Draws docs/report.png: the page of `edgefuse report` on the demo, as Chromium shows its beginning.

Usage: python tools/report_picture.py docs/report.png
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from edgefuse.cli import main as edgefuse

WIDTH_PX, HEIGHT_PX = 860, 1500  # to the end of the answers
COLOURS = 64
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def main() -> int:
    """Draw it."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        raise SystemExit(f"needs a browser: none of {', '.join(BROWSERS)} is installed")
    with tempfile.TemporaryDirectory() as folder:
        lines, page, shot = (Path(folder) / name for name in ("demo.jsonl", "demo.html", "demo.png"))
        edgefuse(["demo", "--out", str(lines)])
        edgefuse(["report", str(lines), "--out", str(page)])
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder}/own"]
        quiet = subprocess.DEVNULL  # it complains of what a computer without a desktop lacks
        size = f"--window-size={WIDTH_PX},{HEIGHT_PX}"
        subprocess.run(
            [browser, *options, size, f"--screenshot={shot}", page.as_uri()], check=True, timeout=120, stderr=quiet
        )
        picture = Image.open(shot).convert("RGB")
        picture.quantize(COLOURS, dither=Image.Dither.NONE).save(sys.argv[1], optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
