"""A page stands alone, says what it was given and nothing that it was not: everything is escaped."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from edgefuse.errors import SinkError
from edgefuse.page import Cell, Figure, Heading, Paragraph, Table, html_page, plain_svg, write_page

NASTY = "<script>alert(1)</script> & \"quoted\" 'too' </td></style><!-- "
VOID = {"meta", "br", "img", "link"}


class Dom(HTMLParser):
    """The elements of a document with their attributes and text; fails where they are not nested."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(document)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open[-1]][-1] += data

    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}

    def all(self, attribute: str) -> list[str | None]:
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]


SVG = '<svg viewBox="0 0 1 1"><text>drawn</text></svg>'


def test_everything_that_is_put_in_comes_out_as_text() -> None:
    table = Table(NASTY, (NASTY, "b"), ((NASTY, Cell(NASTY, mark=NASTY, number=True)),))
    page = html_page(NASTY, [Heading(NASTY), Paragraph(NASTY), table, Figure(NASTY, NASTY, SVG)])
    dom = Dom(page)
    assert "script" not in dom.tags()
    for tag in ("title", "h1", "h2", "p", "caption", "figcaption"):
        assert dom.texts[tag] == [NASTY]
    assert dom.texts["td"] == [NASTY, NASTY]
    assert dom.texts["th"] == [NASTY, "b"]
    assert dom.all("aria-label") == [NASTY]


def test_a_page_needs_nothing_but_itself() -> None:
    dom = Dom(html_page("a title", [Paragraph("words"), Figure("c", "a", SVG)]))
    assert dom.tags() & {"script", "link", "img", "iframe", "object"} == set()
    assert dom.all("src") == dom.all("href") == []
    policy = next(a["content"] for tag, a in dom.elements if tag == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    (style,) = dom.texts["style"]
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style


def test_wide_things_scroll_by_themselves() -> None:
    page = html_page("t", [Table("c", ("a",), (("1",),)), Figure("c", "a", SVG)])
    assert page.count('<div class="scroll">') == 2
    assert 'name="viewport"' in page


def test_numbers_and_marks_are_classes() -> None:
    dom = Dom(html_page("t", [Table("c", ("a", "b"), ((Cell("1", "bad", True), Cell("2")),))]))
    assert [a.get("class") for tag, a in dom.elements if tag == "td"] == ["bad number", None]


def test_a_drawing_loses_its_prologue_its_size_and_its_metadata() -> None:
    document = (
        '<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg width="5pt" height="4pt" viewBox="0 0 5 4">'
        '<metadata>\nwhen\n</metadata><path d="M 0 0" stroke-width="2"/></svg>\n'
    )
    assert plain_svg(document) == '<svg viewBox="0 0 5 4"><path d="M 0 0" stroke-width="2"/></svg>'


def test_a_page_is_written_whole(tmp_path: Path) -> None:
    write_page(tmp_path / "p.html", "t", [Paragraph("ä ✓")])
    assert "ä ✓" in (tmp_path / "p.html").read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["p.html"]


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"no/p\.html: cannot be opened: No such file"):
        write_page(tmp_path / "no" / "p.html", "t", [])
    with pytest.raises(SinkError, match="cannot be written: Is a directory"):
        write_page(tmp_path, "t", [])
