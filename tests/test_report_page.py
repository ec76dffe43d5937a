"""The page of a run: every figure that its lines hold, nothing that they do not, and readable in a real browser."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the extra `report` is not installed")

from browser import measured
from edgefuse.cli import main
from edgefuse.demo import demo
from edgefuse.page import Cell, Figure, Heading, Paragraph, Table, html_page
from edgefuse.report import read_results
from edgefuse.report_figures import MOST_LABELS, bars, labels_of
from edgefuse.report_page import blocks_of
from edgefuse.report_run import COLUMNS, Run
from test_page import NASTY, Dom

SECONDS = 25.0


def line(i: int, **more: Any) -> dict[str, Any]:
    """An answer of 10 Hz, with no more than an early version wrote; `a` is its one stream."""
    stream = {"state": "fresh", "reason": None, **more.pop("a", {})}
    base = {"t_ns": i * 100_000_000, "mode": "full", "labels": {"way": "left"}, "bundle": {"name": "tiny"}}
    return {**base, "streams": {"a": stream}, **more}


def run_of(tmp_path: Path, *lines: dict[str, Any]) -> Run:
    path = tmp_path / "r.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    return Run(read_results(path))


def page_of(run: Run) -> str:
    return html_page("t", list(blocks_of(run, "r.jsonl")))


def table(run: Run, first: str) -> dict[str, list[str]]:
    """The table whose caption begins so: its first cells -> the others."""
    (found,) = (b for b in blocks_of(run, "r.jsonl") if isinstance(b, Table) and b.caption.startswith(first))
    rows = [[cell.text if isinstance(cell, Cell) else cell for cell in row] for row in found.rows]
    return {row[0]: row[1:] for row in rows}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, dict[str, Any]]:
    """The demo's run as its lines tell it, and the summary that was counted while it ran."""
    path = tmp_path_factory.mktemp("demo") / "demo.jsonl"
    document = demo(lambda _: None, seed=7, seconds=SECONDS, out=path, realtime=False, colour=False)
    return Run(read_results(path)), document


def test_every_reason_is_counted_as_it_was_while_the_run_ran(shown: tuple[Run, dict[str, Any]]) -> None:
    run, document = shown
    (found,) = (b for b in blocks_of(run, "x") if isinstance(b, Table) and b.caption.startswith("Every reason"))
    counted = {f"{row[0]}: {row[1]}": row[2].text for row in found.rows if isinstance(row[2], Cell)}
    assert counted == {name: f"{count:,}" for name, count in document["reasons"].items()}
    assert all(isinstance(row[-1], str) and row[-1] for row in found.rows)


def test_modes_and_what_was_right_are_those_of_the_summary(shown: tuple[Run, dict[str, Any]]) -> None:
    run, document = shown
    rows = table(run, "Answers by mode")
    assert rows.keys() == document["modes"].keys()
    for mode, tally in document["modes"].items():
        answers, _, _, right, expected = rows[mode]
        assert answers == f"{tally['ticks']:,}"
        assert float(right.rstrip("%")) == pytest.approx(100 * tally["accuracy"], abs=0.1)
        assert expected == ("" if tally["expected"] is None else f"{tally['expected']:.3f}")


def test_the_page_of_the_demo_has_all_its_parts_and_stands_alone(shown: tuple[Run, dict[str, Any]]) -> None:
    page = page_of(shown[0])
    dom = Dom(page)
    assert dom.texts["h2"] == [
        "Trust and mode over time",
        "Answers",
        "What was to be expected",
        "Where it was",
        "Age of the samples",
        "Latency",
        "Reasons",
        "What this was made from",
    ]
    assert page.count("<figure>") == 6
    assert dom.tags() & {"script", "link", "img", "iframe", "image"} == set()
    assert all(str(to).startswith("#") for to in (*dom.all("href"), *dom.all("xlink:href"), *dom.all("src")))
    assert "failures, of gps, camera, depth and lidar, the longest first: gps for" in dom.texts["p"][0]


def test_old_lines_make_a_page_without_what_they_do_not_say(tmp_path: Path) -> None:
    for count in (1, 2, 20):
        page = page_of(run_of(tmp_path, *(line(i) for i in range(count))))
        assert Dom(page).texts["h2"] == ["Trust and mode over time", "Answers", "What this was made from"]
        assert "No stream failed" in page


def test_a_model_without_streams_or_outputs_has_a_page(tmp_path: Path) -> None:
    page = page_of(run_of(tmp_path, *(line(i, streams={}, labels={}) for i in range(3))))
    assert "All of them were full" in page


def test_whatever_stands_in_the_lines_comes_out_as_text(tmp_path: Path) -> None:
    odd = [NASTY, "$\\frac{1}{2}$", "工事", "a\nb\x00c", "x" * 300, "", "--><script>"]
    streams = {name: {"state": name, "reason": name, "health": name} for name in odd}
    more = {"streams": streams, "mode": NASTY, "why": NASTY, "bundle": {"name": NASTY}, "timing_ms": {NASTY: 1.0}}
    lines = [line(i, labels={NASTY: odd[i % 7]}, truth={NASTY: odd[i % 5]}, **more) for i in range(40)]
    page = page_of(run_of(tmp_path, *lines))
    assert "script" not in Dom(page).tags()
    assert "$\\frac{1}{2}$" in page
    assert "工事" in page
    drawn = "".join(re.findall(r"<figure>.*?</figure>", page, re.DOTALL))
    assert ">$\\frac{1}{2}$</text>" in drawn
    assert "\x00" not in drawn


def test_reasons_are_written_into_lanes_where_there_is_room_and_numbers_where_there_is_little(tmp_path: Path) -> None:
    out = {"state": "absent", "reason": "blackout", "health": "error"}
    lanes = [out if 10 <= i < 60 or 70 <= i < 76 or i == 90 else {} for i in range(100)]
    run = run_of(tmp_path, *(line(i, a=lane) for i, lane in enumerate(lanes)))
    figure = next(block for block in blocks_of(run, "r") if isinstance(block, Figure))
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", figure.svg)
    assert texts.count("blackout") == 1
    assert texts.count("2") == 2, "a tick of the axis, and the number in the lane"
    assert "3" not in texts, "no room for it"
    assert table(run, "When a stream was taken out")["3"] == ["a", "blackout", "9.0 s", "0.1 s", "1"]


def test_a_long_run_is_thinned_says_so_and_stays_small(tmp_path: Path) -> None:
    drawn = random.Random(3)
    states = {"fresh": (None, "ok"), "held": ("late", "warn"), "absent": ("too_old", "stale")}

    def busy(i: int) -> dict[str, Any]:
        lanes = {f"s{k}": drawn.choice(list(states)) for k in range(8)}
        streams = {
            n: {"state": s, "reason": states[s][0], "health": states[s][1], "age_ms": drawn.uniform(0, 900)}
            for n, s in lanes.items()
        }
        labels, truth = {"way": f"label {drawn.randrange(30)}"}, {"way": f"label {drawn.randrange(30)}"}
        outputs = {"pose": [drawn.gauss(0, 1) for _ in range(6)]}
        expected = {"metric": "accuracy", "value": drawn.random(), "low": 0.0, "high": 1.0, "n": 9, "better": "higher"}
        more = {"streams": streams, "labels": labels, "truth": truth, "outputs": outputs, "expected": expected}
        return line(i, mode=drawn.choice(["full", "degraded", "abstain", "blind"]), **more)

    page = page_of(run_of(tmp_path, *(busy(i) for i in range(10_000))))
    assert len(page.encode()) < 3_000_000
    assert f"The drawings are thinned: each shows {COLUMNS} stretches of 1.4 s" in page
    assert "count all 10,000 answers" in page
    short = page_of(run_of(tmp_path, *(line(i) for i in range(COLUMNS))))
    assert "thinned" not in short


def test_one_bad_answer_in_a_long_run_is_still_seen(tmp_path: Path) -> None:
    run = run_of(tmp_path, *(line(i, a={"state": "absent"} if i == 7777 else {}) for i in range(10_000)))
    states = [one["state"] for one in run.lane("a")]
    rank = {"absent": 0, "fresh": 1}
    found = [bar for bar in bars(run, states, rank) if bar[2] == "absent"]
    ((from_s, to_s, _),) = found
    assert from_s <= 777.7 < to_s
    assert to_s - from_s == pytest.approx(run.length_s / COLUMNS, rel=0.1)


def test_one_answer_fills_its_lane(tmp_path: Path) -> None:
    run = run_of(tmp_path, line(0))
    assert bars(run, ["fresh"], {}) == [(0.0, 1.0, "fresh")]
    assert "answered once. Its mode was full." in page_of(run)


def test_figures_are_as_wide_as_one_another_so_that_moments_lie_above_one_another(
    shown: tuple[Run, dict[str, Any]],
) -> None:
    boxes = re.findall(r'<svg[^>]*viewBox="0 0 ([\d.]+) [\d.]+"', page_of(shown[0]))
    assert len(boxes) == 6
    assert max(map(float, boxes)) < 1.04 * min(map(float, boxes))


def test_where_the_answers_paused_nothing_is_drawn(tmp_path: Path) -> None:
    run = run_of(tmp_path, *(line(i if i < 50 else i + 100) for i in range(100)))
    ends = [(from_s, to_s) for from_s, to_s, _ in bars(run, ["fresh"] * 100, {})]
    assert ends == [pytest.approx((0.0, 5.0)), pytest.approx((15.0, 20.0))]


def test_of_many_labels_the_most_frequent_are_drawn_and_the_page_says_so(tmp_path: Path) -> None:
    rare = [line(i, labels={"way": f"rare {i}"}) for i in range(40)]
    run = run_of(tmp_path, *rare, *(line(40 + i, labels={"way": "often"}) for i in range(40)))
    assert len(labels_of(run, "way")) == MOST_LABELS
    assert "often" in labels_of(run, "way")
    assert "way: the answers; what came up least often is left out." in page_of(run)


def test_values_of_a_regression_are_drawn_and_those_of_labels_are_not(tmp_path: Path) -> None:
    outputs = {"way": [0.0, 1.0], "speed_mps": [1.0], "pose": [0.0] * 8}
    page = page_of(run_of(tmp_path, *(line(i, outputs=outputs) for i in range(5))))
    assert "speed_mps: its values." in page
    assert "pose: its values, the first 6 of 8." in page
    assert "way: its values" not in page


def test_attributions_are_means_for_the_label_that_was_given_and_over_all(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    phi, logits = rng.normal(size=(30, 3)), rng.normal(size=(30, 3))
    lines = [
        line(i, outputs={"way": logits[i].tolist()}, attribution={"way": {"a": phi[i].tolist()}, "v": {"a": [2.0]}})
        for i in range(30)
    ]
    rows = table(run_of(tmp_path, *lines), "Means over the answers")
    own = phi[np.arange(30), logits.argmax(1)].mean()
    assert rows["way"] == ["a", f"{own:+.3f}", f"{np.abs(phi).mean():.3f}", "30"]
    assert rows["v"] == ["a", "+2.000", "2.000", "30"]


def test_a_percentile_is_told_of_answers_enough(tmp_path: Path) -> None:
    lines = [line(i, timing_ms={"total": float(i + 1), **({"encode": 5.0} if i < 99 else {})}) for i in range(101)]
    rows = table(run_of(tmp_path, *lines[:]), "Milliseconds, where")
    assert rows["total"] == ["101", "51.0", "91.0", "100", "101"]
    assert rows["encode"] == ["99", "5.00", "5.00", "", "5.00"]
    assert table(run_of(tmp_path, *lines[:9]), "Milliseconds, where")["total"] == ["9", "5.00", "", "", "9.00"]
    assert list(rows) == ["encode", "total"]


def test_what_made_answers_abstain_is_counted(tmp_path: Path) -> None:
    why = {"mode": "abstain", "why": "needs camera"}
    run = run_of(tmp_path, *(line(i, **(why if i % 4 else {})) for i in range(9)))
    assert table(run, "What made answers abstain")["needs camera"] == ["6", "2", "0.6 s"]


def test_the_verb_writes_a_page_unless_a_picture_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_of(tmp_path, *(line(i) for i in range(5)))
    assert main(["report", "r.jsonl"]) == 0
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert main(["report", "r.jsonl", "--out", "r.PNG"]) == 0
    assert (tmp_path / "r.PNG").read_bytes().startswith(b"\x89PNG")


def test_nothing_is_written_of_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "r.jsonl"
    bad.write_text(json.dumps(line(0)) + "\n{}\n")
    assert main(["report", str(bad), "--out", str(tmp_path / "p.html")]) == 2
    assert "r.jsonl:2: is not a result line" in capsys.readouterr().err
    assert not (tmp_path / "p.html").exists()
    assert main(["report", str(bad), "--out", str(tmp_path / "gone" / "p.html")]) == 2
    assert "gone/p.html: cannot be opened" in capsys.readouterr().err


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width_px", [400, 1280])
def test_in_a_browser_it_is_readable_in_light_and_dark_on_a_telephone_and_a_screen(
    shown: tuple[Run, dict[str, Any]], tmp_path: Path, width_px: int, dark: bool
) -> None:
    found = measured(page_of(shown[0]), tmp_path, width_px=width_px, dark=dark)
    assert found["complaints"] == found["overlaps"] == found["clipped"] == []
    assert found["overflow"] <= 0
    assert found["texts"] > 50
    assert found["ink"] in found["fills"]
    light = {side: sum(map(int, re.findall(r"\d+", found[side])[:3])) / 3 for side in ("ink", "paper")}
    assert (light["ink"] > 200 and light["paper"] < 60) if dark else (light["ink"] < 60 and light["paper"] > 200)


def test_the_browser_finds_what_lies_on_one_another_and_what_is_cut(tmp_path: Path) -> None:
    svg = '<svg viewBox="0 0 200 100"><text x="10" y="50">one</text><text x="14" y="52">two</text>'
    figure = Figure("c", "a", svg + '<text x="190" y="90">outside of it</text></svg>')
    found = measured(html_page("t", [Heading("h"), Paragraph("x" * 500), figure]), tmp_path, width_px=400, dark=False)
    assert found["overlaps"] == [["one", "two"]]
    assert found["clipped"] == ["outside of it"]
