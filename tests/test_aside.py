"""All jobs are done once, by two threads, and what one raises is raised where it was asked."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from edgefuse import aside
from edgefuse.aside import Aside


@pytest.fixture
def second() -> Aside:
    return Aside()


def test_all_jobs_are_done_once_before_share_comes_back(second: Aside) -> None:
    for _ in range(200):
        done: list[int] = []
        second.share(partial(done.append, i) for i in range(7))
        assert sorted(done) == list(range(7))
    second.close()


def test_two_jobs_that_wait_for_each_other_are_done_side_by_side(second: Aside) -> None:
    both = threading.Barrier(2, timeout=10.0)
    second.share([both.wait, both.wait])
    second.close()


def test_what_a_job_raises_in_either_thread_is_raised_by_share_after_all_are_done(second: Aside) -> None:
    both, done = threading.Barrier(2, timeout=10.0), []

    def bad() -> None:
        both.wait()
        raise KeyError("bad")

    def good() -> None:
        both.wait()
        time.sleep(0.01)
        done.append(1)

    for jobs in ([bad, good], [good, bad]):
        with pytest.raises(KeyError, match="bad"):
            second.share(jobs)
    assert done == [1, 1]
    second.share([good, both.wait])
    assert done == [1, 1, 1]
    second.close()


def test_its_thread_begins_with_the_first_call_and_ends_when_closed(second: Aside) -> None:
    before = set(threading.enumerate())
    second.share([time.time])
    (own,) = [t for t in set(threading.enumerate()) - before if t.name == "edgefuse aside"]
    second.share([time.time])
    assert {t for t in threading.enumerate() if t.name == "edgefuse aside"} - before == {own}
    second.close()
    own.join(10.0)
    assert not own.is_alive() and not second.useful


def test_with_one_core_it_is_of_no_use(second: Aside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "cores", lambda: 1)
    assert not second.useful
