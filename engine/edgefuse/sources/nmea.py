"""The sources `nmea:FILE` and `nmea:/dev/ttyUSB0`: the fixes of a receiver that speaks NMEA 0183, logged or live."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from edgefuse.errors import SourceError
from edgefuse.sources.base import Source
from edgefuse.sources.clock import now_ns
from edgefuse.sources.live_device import LiveDevice
from edgefuse.sources.nmea_epochs import MOST_GAP_NS, QUIET_S, Epoch, Epochs, longest_stretch, near, stamps_of
from edgefuse.sources.nmea_sentences import DAY_NS, Sentences
from edgefuse.types import F64, NS_PER_S, Sample

TOPIC = "gps"
_CHUNK_BYTES = 1 << 16


def midnight_of(day: str, place: str) -> int | None:
    """`2026-11-28` in nanoseconds since 1970; None of nothing. SourceError."""
    try:
        return (date.fromisoformat(day) - date(1970, 1, 1)).days * DAY_NS if day else None
    except ValueError as error:
        raise SourceError(f"date={day} is no YYYY-MM-DD", place=place) from error


class NmeaLog(Source):
    """A log of NMEA 0183 sentences, one fix for each epoch that holds a GGA.

    Place and quality are the GGA's, the altitude is above the ellipsoid (see `fix_of`), date and validity the RMC's (or
    a ZDA's date), the standard deviations the GST's where it comes, else made from the HDOP. Other sentences, and
    whatever bytes lie between, are passed over. Stamps are the receiver's UTC in nanoseconds since 1970; a log says
    nothing of arrival, which is the stamp, or that of the latest fix before it where the log goes back in time.

    first_day_ns  midnight before the first fix, where the log holds no date or a wrong one: then dates do not count
    What is left out is a `Problem`. SourceError where it cannot be read, holds no fix, or nothing tells the day.
    """

    def __init__(self, path: Path, first_day_ns: int | None = None) -> None:
        super().__init__()
        self.topics = {TOPIC: "gps"}
        self._place = str(path)
        epochs = list(_epochs(path, partial(self.report, self._place)))
        if not any(epoch.fix is not None for epoch in epochs):
            raise SourceError(f"holds no fix: no GGA that can be read{self._first()}", place=self._place)
        stamps = stamps_of(epochs, first_day_ns)
        if stamps is None:
            what = "holds no date, as an RMC or a ZDA would: say that of the first fix as ?date=YYYY-MM-DD"
            raise SourceError(what, place=self._place)
        self._fixes = list(self._chosen(epochs, stamps))

    @property
    def length_s(self) -> float:
        return (max(stamp for stamp, _ in self._fixes) - self._fixes[0][0]) / NS_PER_S

    def samples(self) -> Iterator[Sample]:
        """Every fix, in the order of the log."""
        arrival_ns = 0
        for stamp_ns, fix in self._fixes:
            arrival_ns = max(arrival_ns, stamp_ns)
            yield Sample(TOPIC, stamp_ns, fix, arrival_ns)

    def _chosen(self, epochs: list[Epoch], stamps: list[int]) -> Iterator[tuple[int, F64]]:
        """The fixes between two leaps of the date, each time once."""
        begin, end = longest_stretch(stamps)
        if end - begin < len(epochs):
            what = f"epochs beyond a leap of the date by more than {MOST_GAP_NS // DAY_NS} days"
            self.report(self._place, what, len(epochs) - (end - begin))
        seen: set[int] = set()
        for stamp_ns, epoch in zip(stamps[begin:end], epochs[begin:end], strict=True):
            if epoch.fix is None:
                continue
            if stamp_ns in seen:
                self.report(self._place, "an epoch for the second time: the first is taken")
            else:
                seen.add(stamp_ns)
                yield stamp_ns, epoch.fix

    def _first(self) -> str:
        return f"; first: {self.problems[0].what}" if self.problems else ""


def _epochs(path: Path, report: Callable[[str], None]) -> Iterator[Epoch]:
    """Every epoch of a log, in order."""
    sentences, epochs = Sentences(report), Epochs(report)
    try:
        with path.open("rb") as file:
            while data := file.read(_CHUNK_BYTES):
                yield from filter(None, map(epochs.take, sentences.feed(data)))
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror or error}", place=str(path)) from error
    yield from filter(None, map(epochs.take, sentences.close()))
    if (last := epochs.ended()) is not None:
        yield last


class NmeaDevice(LiveDevice):
    """A receiver at a serial port, live: fixes as of `NmeaLog`.

    Stamps are the receiver's UTC, on the day that its sentences tell, else on that of this computer's clock; arrival is
    when the fix was whole, which is when its line has been quiet for 50 ms, or the next one begins. Where this
    computer's clock is not set by the same time, let the stream have a `clock` in the configuration.
    """

    def __init__(self, path: str, baud: int) -> None:
        self._baud = baud
        super().__init__(path)
        self.topics = {TOPIC: "gps"}

    def _open(self) -> Any:
        import termios

        import serial

        try:
            return serial.Serial(self.place, self._baud, timeout=QUIET_S, exclusive=True)
        except (ValueError, termios.error) as error:  # a speed that the port cannot have; a port that has just gone
            raise OSError(str(error)) from error

    def _shut(self, handle: Any) -> None:
        with suppress(OSError):
            handle.close()

    def _read(self, handle: Any) -> Iterator[Sample]:
        report = partial(self.report, self.place)
        sentences, epochs = Sentences(report), Epochs(report)
        last_ns, heard_s = -1, time.monotonic()
        while not self.ended.is_set():
            data = handle.read(handle.in_waiting or 1)
            heard_s = time.monotonic() if data else heard_s
            for epoch in (*map(epochs.take, sentences.feed(data)), epochs.quiet(time.monotonic() - heard_s)):
                if epoch is None or epoch.fix is None:
                    continue
                stamp_ns = near(epoch.time_ns, now_ns() if epoch.dated_ns is None else epoch.dated_ns)
                if stamp_ns == last_ns:
                    report("an epoch for the second time: the first is taken")
                else:
                    last_ns = stamp_ns
                    yield Sample(TOPIC, stamp_ns, epoch.fix, now_ns())
