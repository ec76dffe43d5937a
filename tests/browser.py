"""A real browser for tests of pages: what Chromium makes of a page at a width, in light and in dark."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")

# Run beside the page, which itself may run nothing: it measures what stands in the frame.
_MEASURE = """
onload = () => {
  const frame = document.getElementById("frame"), page = frame.contentDocument, found = {};
  const style = getComputedStyle(page.body);
  Object.assign(found, {ink: style.color, paper: style.backgroundColor, texts: 0});
  Object.assign(found, {overlaps: [], clipped: [], fills: []});
  found.overflow = page.documentElement.scrollWidth - frame.clientWidth;
  for (const svg of page.querySelectorAll("figure svg")) {
    const box = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].map(e => ({e, at: e.getBoundingClientRect(), is: e.textContent}));
    found.texts += texts.length;
    found.fills.push(...texts.map(text => getComputedStyle(text.e).fill));
    for (const {at, is} of texts)
      if (at.left < box.left - 1 || at.right > box.right + 1 || at.top < box.top - 1 || at.bottom > box.bottom + 1)
        found.clipped.push(is);
    texts.forEach((one, i) => texts.slice(i + 1).forEach(other => {
      const width = Math.min(one.at.right, other.at.right) - Math.max(one.at.left, other.at.left);
      const height = Math.min(one.at.bottom, other.at.bottom) - Math.max(one.at.top, other.at.top);
      if (width > 1 && height > 0.3 * Math.min(one.at.height, other.at.height)) found.overlaps.push([one.is, other.is]);
    }));
  }
  found.fills = [...new Set(found.fills)];
  document.getElementById("found").textContent = JSON.stringify(found);
};
"""


def chromium() -> str:
    """The browser's path; skips the test where there is none."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    return found


def measured(page: str, tmp_path: Path, *, width_px: int, dark: bool) -> dict[str, Any]:
    """What stands where: colours of text and paper, texts of figures that are cut or lie on one another, complaints."""
    frame = (
        f'<iframe id="frame" style="border:0;width:{width_px}px;height:800px" srcdoc="{html.escape(page)}"></iframe>'
    )
    beside = f'<!DOCTYPE html><meta charset="utf-8">{frame}<pre id="found"></pre><script>{_MEASURE}</script>'
    (tmp_path / "beside.html").write_text(beside, encoding="utf-8")
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom")
    colours = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    own = (f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,900")
    command = [chromium(), *options, colours, *own, (tmp_path / "beside.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    told = re.search(r'<pre id="found">(.+?)</pre>', done.stdout, re.DOTALL)
    assert told is not None, done.stderr
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return {**json.loads(html.unescape(told.group(1))), "complaints": complaints}
