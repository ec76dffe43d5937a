"""Progress is for terminals; Ctrl-C ends what it counts, and what is done by then stays."""

from __future__ import annotations

import io
import itertools
import time
from collections.abc import Iterator

import pytest

from edgefuse.progress import Progress, until_stopped


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def _a_second_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0.0, 1.0)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))


@pytest.mark.usefixtures("_a_second_a_look")
@pytest.mark.parametrize(
    ("total", "words"),
    [
        (4, "2 of 4 replays, 1.0/s, 0:02 left"),
        (150.5, "2 of 150 replays, 1.0/s, 2:28 left"),
        (None, "2 replays, 1.0/s"),
    ],
)
def test_it_says_how_far_how_fast_and_how_long_still(total: float | None, words: str) -> None:
    out = Terminal()
    with Progress(total, "replays", out) as progress:
        progress.step()
        progress.step()
    assert out.getvalue().split("\r\x1b[K")[-2:] == [words, ""]  # and leaves a clean line


def test_what_is_no_terminal_is_told_nothing() -> None:
    out = io.StringIO()
    with Progress(1, "replays", out) as progress:
        progress.step()
    assert out.getvalue() == ""


@pytest.mark.usefixtures("_a_second_a_look")
def test_more_than_was_expected_leaves_no_time_below_nothing() -> None:
    out = Terminal()
    with Progress(2.0, "s", out) as progress:
        progress.reach(2.5)
    assert "0:00 left" in out.getvalue()


def test_an_interrupt_ends_the_block_once_something_is_done() -> None:
    with Progress(4, "replays") as progress:
        progress.step()
        raise KeyboardInterrupt
    assert progress.stopped and progress.done == 1  # type: ignore[unreachable]


def test_an_interrupt_before_anything_is_done_goes_on_and_so_does_every_error() -> None:
    def ended(done: int, error: type[BaseException]) -> None:
        with Progress(4, "replays") as progress:
            progress.reach(done)
            raise error

    for done, error in ((0, KeyboardInterrupt), (1, ValueError)):
        with pytest.raises(error):
            ended(done, error)


def test_things_until_an_interrupt() -> None:
    def things(count: int, interrupted: bool) -> Iterator[int]:
        yield from range(count)
        if interrupted:
            raise KeyboardInterrupt

    assert until_stopped(things(2, interrupted=False)) == ([0, 1], False)
    assert until_stopped(things(2, interrupted=True)) == ([0, 1], True)
    assert until_stopped(things(0, interrupted=False)) == ([], False)
    with pytest.raises(KeyboardInterrupt):
        until_stopped(things(0, interrupted=True))
