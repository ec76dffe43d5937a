"""Pace: how often something comes, learned from its stamps, so that silence and slowness have a measure."""

from __future__ import annotations

from collections import deque

import numpy as np

LOOK = 16  # intervals that a low rate is told from
BACK = 5  # intervals that its end is told from
LEARN = 64  # intervals of which one median is taken
MEDIANS = 32  # of them the second smallest is the period: one that a hiccup made too small decides nothing
CAP = 4  # periods that one interval counts for at most: a silence is told as silence, not as a low rate after it


class Pace:
    """The period of one stream of stamps, given or learned, and how the newest stamps compare with it.

    The period is what the stream has shown at its best of late: the second smallest of the medians of its intervals. A
    sensor that slows down is thus measured against what it could do, until that is some 2,000 samples ago.
    """

    def __init__(self, period_ns: int | None = None) -> None:
        self.period_ns = period_ns
        self._fixed = period_ns is not None
        self._intervals: deque[int] = deque(maxlen=LEARN)
        self._medians: deque[int] = deque(maxlen=MEDIANS)
        self._recent: deque[int] = deque(maxlen=LOOK)
        self._since = 0
        self._slow = False
        self._new = False  # something has come since it was last told
        self.last_ns: int | None = None

    def see(self, stamp_ns: int) -> None:
        """Take in the next stamp; stamps ascend."""
        if self.last_ns is not None:
            self._intervals.append(stamp_ns - self.last_ns)
            self._recent.append(stamp_ns - self.last_ns)
            self._since += 1
            self._new = True
            self._learn()
        self.last_ns = stamp_ns

    def silent(self, t_ns: int, periods: float) -> bool:
        """Has nothing come for so many periods? No, while the period is not known."""
        return (
            self.period_ns is not None and self.last_ns is not None and t_ns - self.last_ns > periods * self.period_ns
        )

    def slow(self, share: float) -> bool:
        """Has the rate of late fallen below this share of what it should be, and not come back halfway since?"""
        look = BACK if self._slow else LOOK
        if not self._new or self.period_ns is None or len(self._recent) < look:
            return self._slow
        self._new = False
        gaps, least_ns = list(self._recent)[-look:], self.period_ns * look
        limit = (1.0 + share) / 2.0 if self._slow else share
        before, self._slow = self._slow, limit * sum(gaps) > least_ns
        if self._slow:  # it may be no more than one silence: that does not count in full
            self._slow = limit * sum(min(gap, CAP * self.period_ns) for gap in gaps) > least_ns
        if before and not self._slow:
            self._recent.clear()  # what made it slow is over
        return self._slow

    def _learn(self) -> None:
        if self._fixed or self._since < (LOOK if self.period_ns is None else LEARN):
            return
        self._since = 0
        self._medians.append(max(1, round(float(np.median(self._intervals)))))
        self.period_ns = sorted(self._medians)[:2][-1]
