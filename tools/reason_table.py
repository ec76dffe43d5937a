"""Write the table of reasons into docs/results.md, between its two marks; `make docs` runs it."""

from __future__ import annotations

import sys
from pathlib import Path

from edgefuse.reasons import REASONS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "results.md"
BEGIN, END = "<!-- reasons, from their table -->", "<!-- end of reasons -->"


def page(text: str) -> str:
    """The page with the table as it should be."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    rows = "\n".join(f"| `{reason}` | {level} | {words} |" for reason, (level, words) in REASONS.items())
    return f"{before}{BEGIN}\n| reason | level | what it says |\n| --- | --- | --- |\n{rows}\n{END}{after}"


def main() -> int:
    """Write the page."""
    PAGE.write_text(page(PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
