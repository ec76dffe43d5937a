"""A page: one HTML file that needs nothing else, with paragraphs, tables and figures; whatever is put in is escaped."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from edgefuse.errors import SinkError
from edgefuse.files import write_whole

GOOD, BAD = "good", "bad"  # marks of a cell


@dataclass(frozen=True, slots=True)
class Cell:
    """Text with a mark, or a number that is set flush right."""

    text: str
    mark: str = ""
    number: bool = False


Text = str | Cell


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of what follows."""

    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Words."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under column titles, with a caption that says what they are."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Text, ...], ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing, an SVG element as Matplotlib writes it, with a caption; `alt` says in words what it shows."""

    caption: str
    alt: str
    svg: str


Block = Heading | Paragraph | Table | Figure

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2329; --soft: #59636e; --paper: #ffffff; --line: #d5dae0; --band: #f4f6f8;
  --good: #1a7f37; --bad: #c0282d; }
@media (prefers-color-scheme: dark) { :root { --ink: #e2e7ec; --soft: #9aa5b1; --paper: #14181c; --line: #363e47;
  --band: #1c2228; --good: #57c271; --bad: #ff7b72; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; }
p { max-width: 46rem; margin: .5rem 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; min-width: 22rem; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption, figcaption { text-align: left; color: var(--soft); font-size: .875rem; padding-bottom: .4rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem .5rem; }
th, td { border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
tbody tr:nth-child(even) { background: var(--band); }
td.number { text-align: right; white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; }
figure { margin: 1rem 0; } figure svg { display: block; height: auto; width: 100%; min-width: 22rem; max-width: 46rem; }
"""

# The frame forbids everything that would have to be fetched or run.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def html_page(title: str, blocks: Sequence[Block]) -> str:
    """The whole document."""
    body = "\n".join(_block(block) for block in blocks)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
{body}
</main>
</body>
</html>
"""


def write_page(path: str | os.PathLike[str], title: str, blocks: Sequence[Block]) -> None:
    """Write the page, whole or not at all; a SinkError names the path."""
    check_writable(path)
    try:
        write_whole(path, html_page(title, blocks).encode())
    except OSError as error:
        raise SinkError(f"cannot be written: {error.strerror or error}", place=os.fspath(path)) from error


def check_writable(path: str | os.PathLike[str]) -> None:
    """Refuse a path whose folder is not there before there is work to lose."""
    if not Path(path).parent.is_dir():
        raise SinkError("cannot be opened: No such file or directory", place=os.fspath(path))


def plain_svg(document: str) -> str:
    """The SVG element of a document by Matplotlib, fit to stand in a page: no prologue, no metadata, no fixed size."""
    element = re.sub(r"<metadata>.*?</metadata>", "", document[document.index("<svg") :], flags=re.DOTALL)
    end = element.index(">")
    return re.sub(r' (width|height)="[^"]*"', "", element[:end]) + element[end:].strip()


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h2>{escape(block.text)}</h2>"
    if isinstance(block, Paragraph):
        return f"<p>{escape(block.text)}</p>"
    return _table(block) if isinstance(block, Table) else _figure(block)


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in table.columns)
    body = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows)
    caption = f"<caption>{escape(table.caption)}</caption>"
    return (
        f'<div class="scroll"><table>{caption}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
    )


def _cell(text: Text) -> str:
    cell = text if isinstance(text, Cell) else Cell(text)
    names = " ".join(name for name in (cell.mark, "number" if cell.number else "") if name)
    return f'<td class="{escape(names)}">{escape(cell.text)}</td>' if names else f"<td>{escape(cell.text)}</td>"


def _figure(figure: Figure) -> str:
    svg = figure.svg.replace("<svg", f'<svg role="img" aria-label="{escape(figure.alt)}"', 1)
    return f'<figure><figcaption>{escape(figure.caption)}</figcaption><div class="scroll">{svg}</div></figure>'
